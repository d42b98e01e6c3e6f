// The matrix products that the vendor library makes: cuBLASLt (cublas.cpp); in an EMULATED build a stand-in on the host
// (tests/emulation/blas.cpp).
#pragma once

#include "rtl/kernels/gemm.hpp"

namespace rtl::kernels::cuda::vendor {

/// C = alpha * op(A) * op(B) + beta * C for each of a batch, parameters as in rtl::kernels::gemm_batched, but bias
/// [1 or B, 1, n]. Applies the epilogue too where the
/// library can, and then gives true; gives false if the epilogue is still to be done.
bool gemm(const Device& device, Transpose transpose_a, Transpose transpose_b, double alpha, const ConstView& a,
          const ConstView& b, double beta, const View& c, Epilogue epilogue, const ConstView& bias);

}  // namespace rtl::kernels::cuda::vendor
