// OpenBLAS waits for ever where it gets no memory for its buffers.
#pragma once

namespace rtl::kernels::cpu {

/// To be called before BLAS or LAPACK. Where the address space is limited, lets OpenBLAS take the buffers of all
/// threads of this call, which it keeps, or throws OutOfMemory. Costs one atomic read afterwards, and everywhere else.
void ensure_blas_memory();

/// To be called before oneDNN makes a primitive or multiplies, for which it generates code: where it finds no memory
/// for that, it crashes. Throws OutOfMemory where a limited address space has next to nothing left.
void ensure_onednn_memory();

}  // namespace rtl::kernels::cpu
