#include "graph/operations/packed_convolution.hpp"

#include <algorithm>
#include <array>

#include "rtl/kernels/packed_conv.hpp"

namespace rtl::graph {
namespace {

using kernels::PackedConv2d;

/// Of packed weights in the order [out, in, height, width].
Shape plain_shape(const Shape& packed) { return {packed[0], packed[3], packed[1], packed[2]}; }

/// Weights of replicas as so many more outputs.
template <typename V>
V joined(const V& w) {
  return w.rank() == 4 ? w : w.reshaped({w.extent(0) * w.extent(1), w.extent(2), w.extent(3), w.extent(4)});
}

/// Each weight from the operand to the result of its number, `at_once` of them in a call of `convert`.
template <std::size_t at_once, typename Convert>
void convert_weights(const Call& call, std::size_t weights, Convert convert) {
  std::array<ConstView, at_once> from;
  std::array<View, at_once> to;
  for (std::size_t first = 0; first < weights; first += at_once) {
    const std::size_t count = std::min(at_once, weights - first);
    for (std::size_t i = 0; i < count; ++i) {
      from[i] = joined(call.in(first + i));
      to[i] = joined(call.out(first + i));
    }
    convert(call.device(), {from.data(), count}, {to.data(), count});
  }
}

}  // namespace

std::vector<Type> PackWeights::infer(std::span<const Value> operands) const {
  std::vector<Type> types;
  for (const Value& w : operands) {
    const Shape& shape = w.shape();
    types.push_back({{shape[0], shape[2], shape[3], shape[1]}, dtype_});
  }
  return types;
}

void PackWeights::run(const Call& call) const { convert_weights<at_once>(call, weights(), PackedConv2d::pack); }

std::vector<Type> UnpackWeights::infer(std::span<const Value> operands) const {
  std::vector<Type> types;
  for (const Value& packed : operands) {
    types.push_back({plain_shape(packed.shape()), parameter_dtype(packed.dtype())});
  }
  return types;
}

void UnpackWeights::run(const Call& call) const { convert_weights<at_once>(call, weights(), PackedConv2d::unpack); }

std::vector<Type> PackedConvolution::infer(std::span<const Value> operands) const {
  const Shape w = plain_shape(operands[1].shape());
  return {{conv2d_shape(name(), operands[0].shape(), w, options_), operands[0].dtype()}};
}

void PackedConvolution::run(const Call& call) const {
  PackedConv2d::forward(call.device(), call.in(0), call.in(1), call.in(2), options_, call.out(0), activation_);
}

double PackedConvolution::flops(std::span<const Value> operands) const {
  const Shape w = plain_shape(operands[1].shape());
  return conv2d_flops(conv2d_shape(name(), operands[0].shape(), w, options_).count(), w);
}

std::vector<Type> PackedConv2dBackwardData::infer(std::span<const Value> operands) const {
  const Type dx{x_shape_, operands[0].dtype()};
  check_shape(operands.size() < 3 || operands[2].type() == dx, name(), "the gradient to add is not {}", dx.to_string());
  return {dx};
}

void PackedConv2dBackwardData::run(const Call& call) const {
  PackedConv2d::backward_data(call.device(), call.in(0), call.in(1), options_, call.out(0),
                              call.operands().size() > 2 ? call.in(2) : ConstView());
}

double PackedConv2dBackwardData::flops(std::span<const Value> operands) const {
  return conv2d_flops(operands[0].shape().count(), plain_shape(operands[1].shape()));
}

std::vector<Type> PackedConv2dBackwardWeights::infer(std::span<const Value> operands) const {
  const DType dtype = operands[0].dtype();
  std::vector<Type> types{{{w_shape_[0], w_shape_[2], w_shape_[3], w_shape_[1]}, dtype}};
  if (bias_) types.push_back({{w_shape_[0]}, parameter_dtype(dtype)});
  return types;
}

void PackedConv2dBackwardWeights::run(const Call& call) const {
  PackedConv2d::backward_weights(call.device(), call.in(0), call.in(1), options_, call.out(0),
                                 bias_ ? call.out(1) : View());
}

double PackedConv2dBackwardWeights::flops(std::span<const Value> operands) const {
  const std::int64_t outputs = operands[1].shape().count();
  return conv2d_flops(outputs, w_shape_) + (bias_ ? static_cast<double>(outputs) : 0.0);
}

}  // namespace rtl::graph
