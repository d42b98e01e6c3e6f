#include "rtl/layers/embedding.hpp"

#include <fmt/format.h>

#include <array>

#include "rtl/graph/operations.hpp"
#include "rtl/kernels/conv.hpp"
#include "rtl/kernels/dropout.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::layers {
namespace {

void check_sequences(const char* layer, const Value& x) {
  if (x.rank() == 3) return;
  throw ShapeError(fmt::format("{}: x is {}; sequences [N, T, width] are needed", layer, x.shape().to_string()));
}

}  // namespace

Parameter normal_parameter(std::string_view name, const Shape& shape, double deviation,
                           const Construction& construction) {
  Tensor tensor(shape, construction.dtype, construction.device);
  kernels::normal(construction.device, 0, deviation, construction.seed, stream_of(construction.take_name(name)),
                  tensor);
  return construction.parameter(name, std::move(tensor));
}

Embedding::Embedding(const EmbeddingOptions& options, const Construction& construction) : options_(options) {
  if (options.vocabulary < 1 || options.width < 1) {
    throw ValueError(fmt::format("Embedding {}: a vocabulary of {} and vectors of {}; both must be positive",
                                 construction.prefix, options.vocabulary, options.width));
  }
  weight_ = normal_parameter("weight", {options.vocabulary, options.width}, options.deviation, construction);
}

Value Embedding::forward(const Value& ids, const ForwardContext& context) {
  const DType dtype = activation_dtype(context.activations, weight_.value().dtype());
  const Value vectors = graph::embedding(context.read(ids, weight_), ids, dtype);
  return options_.factor == 1 ? vectors : graph::scale(vectors, options_.factor);
}

void Embedding::visit(const std::string& prefix, ModuleState& state) {
  state.parameters.push_back({prefix + "weight", &weight_});
}

LearnedPositions::LearnedPositions(std::string name, const Shape& shape, double deviation,
                                   const Construction& construction)
    : name_(std::move(name)), vectors_(normal_parameter(name_, shape, deviation, construction)) {}

Value LearnedPositions::forward(const Value& x, const ForwardContext& context) {
  check_sequences("LearnedPositions", x);
  const Value all = context.read(x, vectors_);
  const std::int64_t there = all.extent(-2), positions = x.extent(1), width = all.extent(-1);
  if (positions > there || width != x.extent(2)) {
    throw ShapeError(fmt::format("{}: sequences {} for vectors {}; shorten the sequences to {} positions",
                                 vectors_.name, x.shape().to_string(), all.shape().to_string(), there));
  }
  const Value used = graph::slice(graph::reshape(all, {there, width}), 0, 0, positions);
  return graph::add(x, graph::cast(used, x.dtype()));
}

void LearnedPositions::visit(const std::string& prefix, ModuleState& state) {
  state.parameters.push_back({prefix + name_, &vectors_});
}

ClassToken::ClassToken(std::string name, std::int64_t width, double deviation, const Construction& construction)
    : name_(std::move(name)), vector_(normal_parameter(name_, {1, 1, width}, deviation, construction)) {}

Value ClassToken::forward(const Value& x, const ForwardContext& context) {
  check_sequences("ClassToken", x);
  const Value vector = graph::cast(context.read(x, vector_), x.dtype());
  const std::array parts{graph::broadcast(vector, {x.extent(0), 1, x.extent(2)}), x};
  return graph::concatenate(parts, 1);
}

void ClassToken::visit(const std::string& prefix, ModuleState& state) {
  state.parameters.push_back({prefix + name_, &vector_});
}

PatchEmbedding::PatchEmbedding(std::int64_t channels, std::int64_t width, std::int64_t patch,
                               const Construction& construction)
    : patch_(patch) {
  if (channels < 1 || width < 1 || patch < 1) {
    throw ValueError(fmt::format("PatchEmbedding {}: {} channels, patches of {}, vectors of {}; all must be positive",
                                 construction.prefix, channels, patch, width));
  }
  Tensor weight({width, channels, patch, patch}, construction.dtype, construction.device);
  initialize_weight(Initialization::uniform_fan_in, construction.seed, construction.take_name("weight"), weight);
  weight_ = construction.parameter("weight", std::move(weight));
  Tensor bias({width}, construction.dtype, construction.device);
  initialize_bias(channels * patch * patch, construction.seed, construction.take_name("bias"), bias);
  bias_ = construction.parameter("bias", std::move(bias));
}

Value PatchEmbedding::forward(const Value& x, const ForwardContext& context) {
  const kernels::Conv2dOptions geometry{.stride = static_cast<int>(patch_), .padding = 0};
  const Value y = graph::conv2d(x, context.read(x, weight_), context.read(x, bias_), geometry);
  return graph::reshape(y, {y.extent(0), y.extent(1) * y.extent(2), y.extent(3)});
}

void PatchEmbedding::visit(const std::string& prefix, ModuleState& state) {
  state.parameters.push_back({prefix + "weight", &weight_});
  state.parameters.push_back({prefix + "bias", &bias_});
}

Value MeanPooling::forward(const Value& x, const ForwardContext& context) {
  return graph::sequence_mean(x, context.lengths);
}

Value FirstPosition::forward(const Value& x, const ForwardContext&) {
  check_sequences("FirstPosition", x);
  return graph::reshape(graph::slice(x, 1, 0, 1), {x.extent(0), x.extent(2)});
}

Value activate(Activation activation, const Value& x) {
  switch (activation) {
    case Activation::relu:
      return graph::relu(x);
    case Activation::gelu:
      return graph::gelu(x);
    case Activation::gelu_tanh:
      return graph::gelu_tanh(x);
    case Activation::silu:
      return graph::silu(x);
    case Activation::tanh:
      return graph::tanh(x);
  }
  return x;
}

}  // namespace rtl::layers
