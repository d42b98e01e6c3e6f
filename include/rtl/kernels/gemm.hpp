// General matrix multiplication: oneDNN or OpenBLAS on the host (bf16 in f32 arithmetic where the processor does not
// multiply bf16), cuBLASLt on CUDA (f32 without TF32 unless asked).
#pragma once

#include <cstdint>

#include "rtl/core/tensor.hpp"

namespace rtl::kernels {

enum class Transpose : std::uint8_t { no, yes };
enum class Epilogue : std::uint8_t { none, bias, bias_relu, relu };

/// C = epilogue(alpha * op(A) * op(B) + beta * C), row-major. op(A) is [m, k], op(B) [k, n], C [m, n]; the rows may be
/// strided, neighbours within a row may not. bias is [n] (only with a bias epilogue). All f32, or all f64; or A, B or
/// both bf16 and the other f32, C bf16 or f32, bias f32: then an f32 A or B is rounded to bf16, sums are f32, and a
/// bf16 C is rounded once, after the epilogue. With beta == 0, C is not read. 2mnk FLOP. Throws ShapeError, DTypeError,
/// DeviceError. k == 0 gives epilogue(beta * C).
void gemm(const Device& device, Transpose transpose_a, Transpose transpose_b, double alpha, ConstView a, ConstView b,
          double beta, View c, Epilogue epilogue = Epilogue::none, ConstView bias = {});

/// The same for each matrix of a batch: op(A) [B, m, k], op(B) [B, k, n], C [B, m, n]; an A or B of batch 1 serves all.
/// bias is [n] or [B, n]. The matrices of a batch may lie any distance apart. On the host each product has the bits
/// that gemm gives it alone; on CUDA, too, where the library can use the algorithm of a single product for a batch.
void gemm_batched(const Device& device, Transpose transpose_a, Transpose transpose_b, double alpha, ConstView a,
                  ConstView b, double beta, View c, Epilogue epilogue = Epilogue::none, ConstView bias = {});

/// out[j] = sum over i of x[i, j]: gradient of a broadcast bias. x [rows, columns] contiguous, out [columns].
/// f32 or f64, or x bf16 and out f32.
void column_sums(const Device& device, ConstView x, View out);

}  // namespace rtl::kernels
