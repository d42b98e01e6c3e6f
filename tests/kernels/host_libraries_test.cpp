// The warning about OpenBLAS's choice of kernels.
#include "rtl/kernels/host_libraries.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "kernels/cpu/blas_check.hpp"
#include "kernels/cpu/onednn.hpp"

namespace rtl::kernels {
namespace {

TEST(HostLibraries, NamesTheCoreAndTheVersions) {
  EXPECT_FALSE(host_blas_core().empty());
  EXPECT_NE(host_blas_configuration().find("OpenBLAS"), std::string::npos);
  EXPECT_EQ(host_dnnl_version().find("2."), 0U);
}

TEST(HostLibraries, WarnsOnlyWhereOldKernelsRunOnANewProcessor) {
  EXPECT_EQ(cpu::blas_core_warning("SkylakeX", true, true), "");
  EXPECT_EQ(cpu::blas_core_warning("Zen", true, true), "");
  EXPECT_EQ(cpu::blas_core_warning("Prescott", false, false), "");
  EXPECT_NE(cpu::blas_core_warning("Prescott", true, true).find("OPENBLAS_CORETYPE=SkylakeX"), std::string::npos);
  EXPECT_NE(cpu::blas_core_warning("Prescott", true, false).find("OPENBLAS_CORETYPE=Haswell"), std::string::npos);
}

TEST(HostLibraries, Bf16IsMultipliedWhereOneDnnHasIt) {
  const char* limit = std::getenv("ONEDNN_MAX_CPU_ISA");
  const bool none = limit != nullptr && std::string(limit) == "AVX2";
  EXPECT_FALSE(none && cpu::multiplies_bf16());
  EXPECT_TRUE(cpu::multiplies_bf16() || !cpu::multiplies_tiles());
}

}  // namespace
}  // namespace rtl::kernels
