// Matrix multiplication on CUDA: the vendor's, and our own kernels for epilogues that it cannot fuse.
#include "kernels/backend/gemm.hpp"
#include "kernels/backend/pointwise.hpp"
#include "kernels/cuda/vendor/blas.hpp"

namespace rtl::kernels::cuda {

void gemm(const Device& device, Transpose transpose_a, Transpose transpose_b, double alpha, ConstView a, ConstView b,
          double beta, View c, Epilogue epilogue, ConstView bias) {
  cuda::gemm_batched(device, transpose_a, transpose_b, alpha, batch_of_one(a), batch_of_one(b), beta, batch_of_one(c),
                     epilogue, bias.given() ? bias.reshaped({1, 1, bias.count()}) : ConstView());
}

void gemm_batched(const Device& device, Transpose transpose_a, Transpose transpose_b, double alpha, ConstView a,
                  ConstView b, double beta, View c, Epilogue epilogue, ConstView bias) {
  if (vendor::gemm(device, transpose_a, transpose_b, alpha, a, b, beta, c, epilogue, bias)) return;
  if (bias.given()) cuda::binary(device, BinaryOp::add, c, bias.broadcast_to(c.shape()), c);
  if (epilogue == Epilogue::relu || epilogue == Epilogue::bias_relu) cuda::unary(device, UnaryOp::relu, c, c);
}

}  // namespace rtl::kernels::cuda
