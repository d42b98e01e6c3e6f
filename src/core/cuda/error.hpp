// Turns failed CUDA runtime calls into CudaError.
#pragma once

#include <cuda_runtime.h>

namespace rtl::detail {

/// Throws CudaError with the call's text, the runtime's name and description of the error, and a remedy where one is
/// known. Clears the runtime's remembered error.
[[noreturn]] void throw_cuda_error(cudaError_t error, const char* call, const char* file, int line);

}  // namespace rtl::detail

#define RTL_CUDA_CHECK(call)                                                  \
  do {                                                                        \
    const cudaError_t rtl_status = (call);                                    \
    if (rtl_status != cudaSuccess) {                                          \
      ::rtl::detail::throw_cuda_error(rtl_status, #call, __FILE__, __LINE__); \
    }                                                                         \
  } while (false)
