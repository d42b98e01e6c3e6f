// Matrix multiplication on CUDA: the vendor's, and our own kernels for what it cannot do.
#include "kernels/backend/gemm.hpp"
#include "kernels/backend/pointwise.hpp"
#include "kernels/cuda/stream.hpp"
#include "kernels/cuda/vendor/blas.hpp"

namespace rtl::kernels::cuda {
namespace {

/// Matrices in a dtype: themselves, or a copy.
class Converted {
 public:
  Converted(const Device& device, const ConstView& matrices, DType dtype)
      : copies_(matrices.dtype() != dtype),
        memory_(device, copies_ ? matrices.count() * static_cast<std::int64_t>(size_of(dtype)) : 0),
        view_(matrices) {
    if (!copies_) return;
    const View copy(memory_.get(), dtype, matrices.shape(), device);
    cuda::cast(device, matrices, copy);
    view_ = copy;
  }
  const ConstView& view() const { return view_; }

 private:
  bool copies_;
  Scratch<std::byte> memory_;
  ConstView view_;
};

void multiply(const Device& device, Transpose transpose_a, Transpose transpose_b, double alpha, const ConstView& a,
              const ConstView& b, double beta, const View& c, Epilogue epilogue, const ConstView& bias);

/// C in f32, rounded to `c` at the end.
void multiply_and_round(const Device& device, Transpose transpose_a, Transpose transpose_b, double alpha,
                        const ConstView& a, const ConstView& b, double beta, const View& c, Epilogue epilogue,
                        const ConstView& bias) {
  const Scratch<float> memory(device, c.count());
  const View wide(memory.get(), DType::f32, c.shape(), device);
  if (beta != 0) cuda::cast(device, c, wide);
  multiply(device, transpose_a, transpose_b, alpha, a, b, beta, wide, epilogue, bias);
  cuda::cast(device, wide, c);
}

/// a and b of one dtype.
void multiply(const Device& device, Transpose transpose_a, Transpose transpose_b, double alpha, const ConstView& a,
              const ConstView& b, double beta, const View& c, Epilogue epilogue, const ConstView& bias) {
  if (c.dtype() == DType::bf16 && epilogue != Epilogue::none) {
    return multiply_and_round(device, transpose_a, transpose_b, alpha, a, b, beta, c, epilogue, bias);
  }
  switch (vendor::gemm(device, transpose_a, transpose_b, alpha, a, b, beta, c, epilogue, bias)) {
    case vendor::Done::all:
      return;
    case vendor::Done::nothing: {
      // Products of bf16 are exact in f32, and in TF32 too.
      const Converted wide_a(device, a, DType::f32), wide_b(device, b, DType::f32);
      const auto next = c.dtype() == DType::bf16 ? multiply_and_round : multiply;
      return next(device, transpose_a, transpose_b, alpha, wide_a.view(), wide_b.view(), beta, c, epilogue, bias);
    }
    case vendor::Done::product:
      break;
  }
  if (bias.given()) cuda::binary(device, BinaryOp::add, c, bias.broadcast_to(c.shape()), c);
  if (epilogue == Epilogue::relu || epilogue == Epilogue::bias_relu) cuda::unary(device, UnaryOp::relu, c, c);
}

}  // namespace

void gemm(const Device& device, Transpose transpose_a, Transpose transpose_b, double alpha, ConstView a, ConstView b,
          double beta, View c, Epilogue epilogue, ConstView bias) {
  cuda::gemm_batched(device, transpose_a, transpose_b, alpha, batch_of_one(a), batch_of_one(b), beta, batch_of_one(c),
                     epilogue, bias.given() ? bias.reshaped({1, 1, bias.count()}) : ConstView());
}

void gemm_batched(const Device& device, Transpose transpose_a, Transpose transpose_b, double alpha, ConstView a,
                  ConstView b, double beta, View c, Epilogue epilogue, ConstView bias) {
  const bool rounds = a.dtype() == DType::bf16 || b.dtype() == DType::bf16;
  const DType dtype = rounds ? DType::bf16 : a.dtype();
  const Converted first(device, a, dtype), second(device, b, dtype);
  multiply(device, transpose_a, transpose_b, alpha, first.view(), second.view(), beta, c, epilogue, bias);
}

}  // namespace rtl::kernels::cuda
