// Matrix multiplication on CUDA: the vendor's, and our own kernels for epilogues that it cannot fuse.
#include "kernels/backend/gemm.hpp"
#include "kernels/backend/pointwise.hpp"
#include "kernels/cuda/vendor/blas.hpp"

namespace rtl::kernels::cuda {

void gemm(const Device& device, Transpose transpose_a, Transpose transpose_b, double alpha, ConstView a, ConstView b,
          double beta, View c, Epilogue epilogue, ConstView bias) {
  if (vendor::gemm(device, transpose_a, transpose_b, alpha, a, b, beta, c, epilogue, bias)) return;
  const ConstView repeated = bias.given() ? bias.broadcast_to(c.shape()) : ConstView();
  switch (epilogue) {
    case Epilogue::none:
      return;
    case Epilogue::bias:
      return cuda::binary(device, BinaryOp::add, c, repeated, c);
    case Epilogue::relu:
      return cuda::unary(device, UnaryOp::relu, c, c);
    case Epilogue::bias_relu:
      cuda::binary(device, BinaryOp::add, c, repeated, c);
      return cuda::unary(device, UnaryOp::relu, c, c);
  }
}

}  // namespace rtl::kernels::cuda
