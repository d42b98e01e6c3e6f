// Convolutions of packed weights (rtl/kernels/packed_conv.hpp); made by passes, so without gradient rules.
#pragma once

#include "graph/operations/convolution.hpp"

namespace rtl::graph {

/// What packing and unpacking share: a result of each operand, in one launch for 64.
class TurnWeights : public Operation {
 public:
  explicit TurnWeights(std::size_t weights) : weights_(weights) {}
  std::string attributes() const override { return fmt::format("{} weights", weights_); }
  std::optional<std::size_t> only_operand(std::size_t result) const override { return result; }
  /// Each weight is turned as it is, with the axis of replicas or without it.
  bool runs_replicas(std::span<const Value>, const std::vector<bool>&) const override { return true; }
  int launches(std::span<const Value>) const override { return static_cast<int>((weights_ + at_once - 1) / at_once); }

 protected:
  static constexpr std::size_t at_once = 64;
  std::size_t weights() const noexcept { return weights_; }

 private:
  std::size_t weights_;
};

/// Operands: weights; results: packed, in the dtype of the images.
class PackWeights final : public TurnWeights {
 public:
  PackWeights(std::size_t weights, DType dtype) : TurnWeights(weights), dtype_(dtype) {}
  std::string_view name() const noexcept override { return "pack_weights"; }
  std::vector<Type> infer(std::span<const Value> operands) const override;
  void run(const Call& call) const override;

 private:
  DType dtype_;
};

/// Operands: packed; results: gradients of weights.
class UnpackWeights final : public TurnWeights {
 public:
  using TurnWeights::TurnWeights;
  std::string_view name() const noexcept override { return "unpack_weights"; }
  std::vector<Type> infer(std::span<const Value> operands) const override;
  void run(const Call& call) const override;
};

/// activation(conv(x, w) [+ bias]). Operands x, packed w, bias (may be absent).
class PackedConvolution final : public Operation {
 public:
  PackedConvolution(const kernels::Conv2dOptions& options, kernels::Activation activation)
      : options_(options), activation_(activation) {}
  std::string_view name() const noexcept override { return "packed_conv2d"; }
  std::string attributes() const override { return describe(options_) + describe(activation_); }
  std::vector<Type> infer(std::span<const Value> operands) const override;
  void run(const Call& call) const override;
  double flops(std::span<const Value> operands) const override;
  int launches(std::span<const Value> operands) const override {
    return convolution_launches(operands[0].dtype(), operands[2].defined(), activation_, false);
  }

 private:
  kernels::Conv2dOptions options_;
  kernels::Activation activation_;
};

/// dx [+ a gradient that x has from elsewhere]. Operands dy, packed w, that gradient (may be absent).
class PackedConv2dBackwardData final : public Operation {
 public:
  PackedConv2dBackwardData(const Shape& x_shape, const kernels::Conv2dOptions& options)
      : x_shape_(x_shape), options_(options) {}
  std::string_view name() const noexcept override { return "packed_conv2d_backward_data"; }
  std::string attributes() const override { return describe(options_); }
  std::vector<Type> infer(std::span<const Value> operands) const override;
  void run(const Call& call) const override;
  bool may_overwrite(std::size_t, std::size_t operand) const override { return operand == 2; }
  double flops(std::span<const Value> operands) const override;

 private:
  Shape x_shape_;
  kernels::Conv2dOptions options_;
};

/// Operands x, dy; results the packed gradient of the weights [out, in, height, width] and, if asked for, the bias's.
class PackedConv2dBackwardWeights final : public Operation {
 public:
  PackedConv2dBackwardWeights(const Shape& w_shape, bool bias, const kernels::Conv2dOptions& options)
      : w_shape_(w_shape), bias_(bias), options_(options) {}
  std::string_view name() const noexcept override { return "packed_conv2d_backward_weights"; }
  std::string attributes() const override { return describe(options_); }
  std::vector<Type> infer(std::span<const Value> operands) const override;
  void run(const Call& call) const override;
  double flops(std::span<const Value> operands) const override;
  int launches(std::span<const Value>) const override { return bias_ ? 3 : 1; }

 private:
  Shape w_shape_;
  bool bias_;
  kernels::Conv2dOptions options_;
};

}  // namespace rtl::graph
