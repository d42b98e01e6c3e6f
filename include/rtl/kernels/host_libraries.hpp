// Which numerical libraries the host backend runs on, for reports (`rtl info`, benchmarks) and their warnings.
#pragma once

#include <string>

namespace rtl::kernels {

/// The processor that OpenBLAS chose its kernels for, such as "SkylakeX", "Zen" or "Prescott".
std::string host_blas_core();

/// What OpenBLAS says about itself: version, interface, threading.
std::string host_blas_configuration();

/// Empty if all is well. OpenBLAS before 0.3.22 does not know recent processors and silently runs its SSE3 kernels
/// ("Prescott"), about five times slower, on machines with AVX2; then this text says so and how to mend it (the
/// environment variable OPENBLAS_CORETYPE, read when the library is loaded). Results are right all the same.
std::string host_blas_warning();

/// "2.6.3".
std::string host_dnnl_version();

}  // namespace rtl::kernels
