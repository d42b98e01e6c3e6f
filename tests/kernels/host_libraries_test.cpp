// The warning about OpenBLAS's choice of kernels.
#include "rtl/kernels/host_libraries.hpp"

#include <gtest/gtest.h>

#include "kernels/cpu/blas_check.hpp"

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

}  // namespace
}  // namespace rtl::kernels
