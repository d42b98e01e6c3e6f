// Which numerical libraries the host backend runs on, for reports (`rtl info`, benchmarks) and their warnings.
//
// The host backend shares its work by OpenMP. libgomp's threads wait actively at the end of each parallel region, which
// on a machine that does other work takes the processor from those that are not yet done: a program that links rtl then
// runs several times slower than with one thread. Set OMP_WAIT_POLICY=passive in the environment before the program
// starts (libgomp reads it when it is loaded; setting it in main is too late, executing the program again is not), or
// use Device::cpu(1). The program `rtl` does the former by itself.
//
// OpenBLAS needs up to two buffers of 128 MiB of address space for each thread. Where the address space is limited
// (RLIMIT_AS) and it gets none, it waits for ever, already when it is loaded: allow 208 MiB and 266 MiB a thread at
// least. Afterwards the functions of rtl throw OutOfMemory before the limit is reached; only threads of the caller's
// own that call them side by side need 128 MiB more each.
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
