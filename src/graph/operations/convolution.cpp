// Convolutions of images and their gradients, which are convolutions again.
#include "graph/operations/convolution.hpp"

#include <array>
#include <string>

namespace rtl::graph {
namespace {

void check_gradient_shape(std::string_view operation, const Shape& dy, const Shape& wanted) {
  check_shape(dy == wanted, operation, "dy is {}, the convolution gives {}", dy.to_string(), wanted.to_string());
}

}  // namespace

Shape conv2d_shape(std::string_view operation, const Shape& x, const Shape& w, const kernels::Conv2dOptions& options) {
  if (options.groups < 1)
    throw ValueError(fmt::format("{}: {} groups; one at least is needed", operation, options.groups));
  check_shape(
      x.rank() == 4 && w.rank() == 4 && w.count() > 0 && x[3] == w[1] * options.groups && w[0] % options.groups == 0,
      operation, "images are {}, weights {}; [N, H, W, in] and [out, in / {}, height, width] are needed", x.to_string(),
      w.to_string(), options.groups);
  return {x[0], kernels::conv2d_extent(x[1], w[2], options), kernels::conv2d_extent(x[2], w[3], options), w[0]};
}

std::string describe(const kernels::Conv2dOptions& options) {
  std::string text =
      fmt::format("stride {}, padding {}", options.stride, options.same ? "same" : std::to_string(options.padding));
  if (options.dilation != 1) text += fmt::format(", dilation {}", options.dilation);
  if (options.groups != 1) text += fmt::format(", groups {}", options.groups);
  return text;
}

std::string describe(kernels::Activation activation) {
  switch (activation) {
    case kernels::Activation::none:
      break;
    case kernels::Activation::relu:
      return ", relu";
    case kernels::Activation::relu6:
      return ", relu6";
  }
  return {};
}

double conv2d_flops(std::int64_t outputs, const Shape& w) {
  return 2.0 * static_cast<double>(outputs) * static_cast<double>(w[1] * w[2] * w[3]);
}

int convolution_launches(DType images, bool bias, kernels::Activation activation, bool residual) {
  if (residual) return 2;
  const bool takes_bias = bias && images == DType::f32;
  if (activation == kernels::Activation::none) return takes_bias || !bias ? 1 : 2;
  return takes_bias && activation == kernels::Activation::relu ? 1 : 2;
}

std::vector<Type> Conv2d::infer(std::span<const Value> operands) const {
  check_layer(name(), operands, 1);
  const Shape& w = operands[1].shape();
  const Shape y = conv2d_shape(name(), operands[0].shape(), w, options_);
  check_shape(!operands[2].defined() || operands[2].shape() == Shape{w[0]}, name(), "the bias is {} for {} outputs",
              operands[2].defined() ? operands[2].shape().to_string() : "", w[0]);
  return {{y, operands[0].dtype()}};
}

void Conv2d::run(const Call& call) const {
  kernels::conv2d_forward(call.device(), call.in(0), call.in(1), call.in(2), options_, call.out(0));
}

void Conv2d::gradient(GradientCall& call) const {
  const Value &x = call.operand(0), &w = call.operand(1), &dy = call.gradient();
  if (call.needs(0)) call.give(0, conv2d_backward_data(dy, w, x.shape(), options_));
  if (call.needs(1)) {
    const auto [weight, bias] = conv2d_backward_weights(x, dy, w.shape(), call.needs(2), options_);
    call.give(1, weight);
    call.give(2, bias);
  } else if (call.needs(2)) {
    call.give(2, sum(dy, {.axes = {0, 1, 2}, .wide = true}));
  }
}

double Conv2d::flops(std::span<const Value> operands) const {
  const Shape& w = operands[1].shape();
  return conv2d_flops(conv2d_shape(name(), operands[0].shape(), w, options_).count(), w);
}

std::vector<Type> Conv2dBackwardData::infer(std::span<const Value> operands) const {
  check_layer(name(), operands, 1);
  check_gradient_shape(name(), operands[0].shape(), conv2d_shape(name(), x_shape_, operands[1].shape(), options_));
  return {{x_shape_, operands[0].dtype()}};
}

void Conv2dBackwardData::run(const Call& call) const {
  kernels::conv2d_backward_data(call.device(), call.in(0), call.in(1), options_, call.out(0));
}

/// Linear in dy and in w: <u, dx> = <conv(u, w), dy>.
void Conv2dBackwardData::gradient(GradientCall& call) const {
  const Value &dy = call.operand(0), &w = call.operand(1), &u = call.gradient();
  if (call.needs(0)) call.give(0, conv2d(u, w, {}, options_));
  if (call.needs(1)) call.give(1, conv2d_backward_weights(u, dy, w.shape(), false, options_).weight);
}

double Conv2dBackwardData::flops(std::span<const Value> operands) const {
  return conv2d_flops(operands[0].shape().count(), operands[1].shape());
}

std::vector<Type> Conv2dBackwardWeights::infer(std::span<const Value> operands) const {
  check_activations(name(), operands);
  check_gradient_shape(name(), operands[1].shape(), conv2d_shape(name(), operands[0].shape(), w_shape_, options_));
  const DType dtype = parameter_dtype(operands[0].dtype());
  std::vector<Type> types{{w_shape_, dtype}};
  if (bias_) types.push_back({{w_shape_[0]}, dtype});
  return types;
}

void Conv2dBackwardWeights::run(const Call& call) const {
  kernels::conv2d_backward_weights(call.device(), call.in(0), call.in(1), options_, call.out(0),
                                   bias_ ? call.out(1) : View());
}

/// Linear in x and in dy: <u, dw> + <v, dbias> = <conv(x, u) + v, dy>.
void Conv2dBackwardWeights::gradient(GradientCall& call) const {
  const Value &x = call.operand(0), &dy = call.operand(1), &u = call.gradient(0);
  const Value v = bias_ ? call.gradient(1) : Value();
  if (!u.defined()) return call.give(1, broadcast(cast(v, dy.dtype()), dy.shape()));
  if (call.needs(0)) call.give(0, conv2d_backward_data(dy, u, x.shape(), options_));
  if (call.needs(1)) call.give(1, conv2d(x, u, v, options_));
}

double Conv2dBackwardWeights::flops(std::span<const Value> operands) const {
  const std::int64_t outputs = operands[1].shape().count();
  return conv2d_flops(outputs, w_shape_) + (bias_ ? static_cast<double>(outputs) : 0.0);
}

Value conv2d(const Value& x, const Value& w, const Value& bias, const kernels::Conv2dOptions& options) {
  return record<Conv2d>({x, w, bias}, options);
}

Value conv2d_backward_data(const Value& dy, const Value& w, const Shape& x_shape,
                           const kernels::Conv2dOptions& options) {
  return record<Conv2dBackwardData>({dy, w}, x_shape, options);
}

Conv2dWeightGradients conv2d_backward_weights(const Value& x, const Value& dy, const Shape& w_shape, bool bias,
                                              const kernels::Conv2dOptions& options) {
  const std::array operands = {x, dy};
  const std::vector<Value> results =
      x.graph().add(std::make_shared<const Conv2dBackwardWeights>(w_shape, bias, options), operands);
  return {results[0], bias ? results[1] : Value()};
}

}  // namespace rtl::graph
