// The matrix products that the vendor library makes: cuBLASLt (cublas.cpp); in an EMULATED build a stand-in on the host
// (tests/emulation/blas.cpp).
#pragma once

#include "rtl/kernels/gemm.hpp"

namespace rtl::kernels::cuda::vendor {

/// What a call has done of a product.
enum class Done : std::uint8_t { nothing, product, all };

/// C = alpha * op(A) * op(B) + beta * C for each of a batch, parameters as in rtl::kernels::gemm_batched, but bias
/// [1 or B, 1, n]. All f32, all f64, or A and B bf16 with C and bias f32 or, without an epilogue, C bf16. f32 in full
/// precision unless TF32 is allowed. Does the epilogue too where the library can. `nothing` only for bf16.
Done gemm(const Device& device, Transpose transpose_a, Transpose transpose_b, double alpha, const ConstView& a,
          const ConstView& b, double beta, const View& c, Epilogue epilogue, const ConstView& bias);

}  // namespace rtl::kernels::cuda::vendor
