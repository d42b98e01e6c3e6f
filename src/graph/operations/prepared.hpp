// Convolutions and linear layers with weights that were prepared once; made by passes.
#pragma once

#include <memory>

#include "graph/operations/convolution.hpp"
#include "rtl/kernels/prepared_conv.hpp"
#include "rtl/kernels/prepared_linear.hpp"

namespace rtl::graph {

/// Operands x and, where there is one, the residual.
class PreparedConvolution final : public Operation {
 public:
  PreparedConvolution(std::shared_ptr<const kernels::PreparedConv2d> prepared, const Shape& w_shape,
                      const kernels::Conv2dOptions& options, kernels::Activation activation, bool on_host, int launches)
      : prepared_(std::move(prepared)),
        w_shape_(w_shape),
        options_(options),
        activation_(activation),
        on_host_(on_host),
        launches_(launches) {}

  std::string_view name() const noexcept override { return "prepared_conv2d"; }
  std::string attributes() const override { return describe(options_) + describe(activation_); }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    return {{conv2d_shape(name(), operands[0].shape(), w_shape_, options_), operands[0].dtype()}};
  }
  void run(const Call& call) const override {
    const ConstView residual = call.operands().size() > 1 ? call.in(1) : ConstView();
    prepared_->forward(call.device(), call.in(0), call.out(0), activation_, residual);
  }
  /// On the host, where each element of the residual is read before the sum is written.
  bool may_overwrite(std::size_t, std::size_t operand) const override { return on_host_ && operand == 1; }
  int launches(std::span<const Value>) const override { return launches_; }
  double flops(std::span<const Value> operands) const override {
    return conv2d_flops(conv2d_shape(name(), operands[0].shape(), w_shape_, options_).count(), w_shape_);
  }

 private:
  std::shared_ptr<const kernels::PreparedConv2d> prepared_;
  Shape w_shape_;
  kernels::Conv2dOptions options_;
  kernels::Activation activation_;
  bool on_host_;
  int launches_;
};

/// Operand x.
class PreparedLinear final : public Operation {
 public:
  PreparedLinear(std::shared_ptr<const kernels::PreparedLinear> prepared, std::int64_t outputs, bool bias,
                 kernels::LinearActivation activation)
      : prepared_(std::move(prepared)), outputs_(outputs), bias_(bias), activation_(activation) {}

  std::string_view name() const noexcept override { return "prepared_linear"; }
  std::string attributes() const override { return std::string(kernels::name_of(activation_)); }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    return {{{operands[0].extent(0), outputs_}, operands[0].dtype()}};
  }
  void run(const Call& call) const override { prepared_->forward(call.device(), call.in(0), call.out(0), activation_); }
  double flops(std::span<const Value> operands) const override {
    return 2.0 * static_cast<double>(operands[0].shape().count()) * static_cast<double>(outputs_);
  }
  int launches(std::span<const Value> operands) const override {
    const DType dtype = operands[0].dtype();
    return product_launches(dtype, dtype, dtype, bias_) + (activation_ == kernels::LinearActivation::none ? 0 : 1);
  }

 private:
  std::shared_ptr<const kernels::PreparedLinear> prepared_;
  std::int64_t outputs_;
  bool bias_;
  kernels::LinearActivation activation_;
};

}  // namespace rtl::graph
