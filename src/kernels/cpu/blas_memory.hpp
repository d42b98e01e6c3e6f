// OpenBLAS waits for ever where it gets no memory for its buffers.
#pragma once

namespace rtl::kernels::cpu {

/// To be called before BLAS or LAPACK. Where the address space is limited, lets OpenBLAS take the buffers of all
/// threads of this call, which it keeps, or throws OutOfMemory. Costs one atomic read afterwards, and everywhere else.
void ensure_blas_memory();

}  // namespace rtl::kernels::cpu
