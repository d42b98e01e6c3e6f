// The classes of the convolutions, by which passes recognise them.
#pragma once

#include "graph/operations/support.hpp"

namespace rtl::graph {

/// Shape of conv(x, w). Throws ShapeError.
Shape conv2d_shape(std::string_view operation, const Shape& x, const Shape& w, const kernels::Conv2dOptions& options);
/// What plans print of the options.
std::string describe(const kernels::Conv2dOptions& options);
/// ", relu" for an activation, nothing for none.
std::string describe(kernels::Activation activation);
/// Multiplications and additions that give `outputs` elements, each from the pixels that a filter of w covers.
double conv2d_flops(std::int64_t outputs, const Shape& w);
/// What a convolution of packed weights starts on CUDA: one, in f32 with its bias and a ReLU behind that, and one for
/// everything else that follows (kernels/cuda/conv.cu).
int convolution_launches(DType images, bool bias, kernels::Activation activation, bool residual);

/// Operands x, w, bias (may be absent).
class Conv2d final : public Operation {
 public:
  explicit Conv2d(const kernels::Conv2dOptions& options) : options_(options) {}
  const kernels::Conv2dOptions& options() const noexcept { return options_; }

  std::string_view name() const noexcept override { return "conv2d"; }
  std::string attributes() const override { return describe(options_); }
  std::vector<Type> infer(std::span<const Value> operands) const override;
  void run(const Call& call) const override;
  void gradient(GradientCall& call) const override;
  double flops(std::span<const Value> operands) const override;
  int launches(std::span<const Value> operands) const override {
    return 1 + convolution_launches(operands[0].dtype(), operands[2].defined(), kernels::Activation::none, false);
  }

 private:
  kernels::Conv2dOptions options_;
};

/// Operands dy, w.
class Conv2dBackwardData final : public Operation {
 public:
  Conv2dBackwardData(const Shape& x_shape, const kernels::Conv2dOptions& options)
      : x_shape_(x_shape), options_(options) {}
  const Shape& x_shape() const noexcept { return x_shape_; }
  const kernels::Conv2dOptions& options() const noexcept { return options_; }

  std::string_view name() const noexcept override { return "conv2d_backward_data"; }
  std::string attributes() const override { return describe(options_); }
  std::vector<Type> infer(std::span<const Value> operands) const override;
  void run(const Call& call) const override;
  void gradient(GradientCall& call) const override;
  double flops(std::span<const Value> operands) const override;
  int launches(std::span<const Value>) const override { return 2; }

 private:
  Shape x_shape_;
  kernels::Conv2dOptions options_;
};

/// Operands x, dy; results the gradients of the weights and, if asked for, of the bias.
class Conv2dBackwardWeights final : public Operation {
 public:
  Conv2dBackwardWeights(const Shape& w_shape, bool bias, const kernels::Conv2dOptions& options)
      : w_shape_(w_shape), bias_(bias), options_(options) {}
  const kernels::Conv2dOptions& options() const noexcept { return options_; }
  bool bias() const noexcept { return bias_; }

  std::string_view name() const noexcept override { return "conv2d_backward_weights"; }
  std::string attributes() const override { return describe(options_); }
  std::vector<Type> infer(std::span<const Value> operands) const override;
  void run(const Call& call) const override;
  void gradient(GradientCall& call) const override;
  double flops(std::span<const Value> operands) const override;
  int launches(std::span<const Value>) const override { return bias_ ? 4 : 2; }

 private:
  Shape w_shape_;
  bool bias_;
  kernels::Conv2dOptions options_;
};

}  // namespace rtl::graph
