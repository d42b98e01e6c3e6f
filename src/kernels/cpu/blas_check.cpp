// Asks OpenBLAS which kernels it runs, and oneDNN for its version.
#include "kernels/cpu/blas_check.hpp"

#include <cblas.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <oneapi/dnnl/dnnl.hpp>

#include "rtl/kernels/host_libraries.hpp"

namespace rtl::kernels {
namespace cpu {

std::string blas_core_warning(std::string_view core, bool has_avx2, bool has_avx512) {
  // Kernels without AVX2: what OpenBLAS falls back to on a processor that it does not know.
  constexpr std::array<std::string_view, 10> old_cores = {"Prescott", "Core2",   "Penryn",    "Dunnington",  "Nehalem",
                                                          "Atom",     "Opteron", "Barcelona", "Sandybridge", "generic"};
  if (!has_avx2 || std::find(old_cores.begin(), old_cores.end(), core) == old_cores.end()) return {};
  return fmt::format(
      "OpenBLAS runs its \"{}\" kernels, though this processor has {}: it is several times slower than it could be. "
      "Set "
      "OPENBLAS_CORETYPE={} in the environment before the program starts.",
      core, has_avx512 ? "AVX-512" : "AVX2", has_avx512 ? "SkylakeX" : "Haswell");
}

}  // namespace cpu

std::string host_blas_core() { return openblas_get_corename(); }

std::string host_blas_configuration() { return openblas_get_config(); }

std::string host_blas_warning() {
  return cpu::blas_core_warning(host_blas_core(), __builtin_cpu_supports("avx2") != 0,
                                __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512dq") != 0);
}

std::string host_dnnl_version() {
  const dnnl::version_t* version = dnnl::version();
  return fmt::format("{}.{}.{}", version->major, version->minor, version->patch);
}

}  // namespace rtl::kernels
