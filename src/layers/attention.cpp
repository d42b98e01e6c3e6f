#include "rtl/layers/attention.hpp"

#include <fmt/format.h>

#include <cmath>

#include "rtl/graph/operations.hpp"

namespace rtl::layers {
namespace {

std::int64_t key_heads_of(const AttentionLayerOptions& options) {
  return options.key_heads == 0 ? options.heads : options.key_heads;
}

void check_options(const AttentionLayerOptions& options, const std::string& prefix) {
  const std::int64_t heads = options.heads, groups = key_heads_of(options);
  if (options.width < 1 || heads < 1 || groups < 1 || options.width % heads != 0 || heads % groups != 0) {
    throw ValueError(
        fmt::format("MultiHeadAttention {}: width {}, {} heads, {} of keys; the width must be a multiple "
                    "of the heads, and these of the key heads",
                    prefix, options.width, heads, groups));
  }
  const AttentionNames& names = options.names;
  if ((names.weights.size() != 1 && names.weights.size() != 3) ||
      (!names.biases.empty() && names.biases.size() != names.weights.size())) {
    throw ValueError(fmt::format("MultiHeadAttention {}: {} weights and {} biases; one or three, and as many or none",
                                 prefix, names.weights.size(), names.biases.size()));
  }
}

/// Several tensors one below the other.
Value stacked(const Value& x, const ForwardContext& context, const std::vector<Parameter>& tensors) {
  if (tensors.empty()) return {};
  std::vector<Value> parts;
  for (const Parameter& tensor : tensors) parts.push_back(context.read(x, tensor));
  return parts.size() == 1 ? parts.front() : graph::concatenate(parts, 0);
}

}  // namespace

MultiHeadAttention::MultiHeadAttention(const AttentionLayerOptions& options, const Construction& construction)
    : options_(options), stream_(stream_of(construction.prefix + "weights")) {
  check_options(options, construction.prefix);
  head_size_ = options.width / options.heads;
  scale_ = 1 / std::sqrt(static_cast<double>(head_size_));
  const std::int64_t queries = options.width, keys = key_heads_of(options) * head_size_;
  const bool fused = options.names.weights.size() == 1;
  for (std::size_t i = 0; i < options.names.weights.size(); ++i) {
    const std::int64_t rows = fused ? queries + 2 * keys : i == 0 ? queries : keys;
    const std::string& name = options.names.weights[i];
    Tensor weight({rows, options.width}, construction.dtype, construction.device);
    initialize_weight(options.initialization, construction.seed, construction.take_name(name), weight);
    weights_.push_back(construction.parameter(name, std::move(weight)));
    if (options.names.biases.empty()) continue;
    const std::string& bias_name = options.names.biases[i];
    Tensor bias({rows}, construction.dtype, construction.device);
    initialize_bias(options.width, construction.seed, construction.take_name(bias_name), bias);
    biases_.push_back(construction.parameter(bias_name, std::move(bias)));
  }
  output_ = std::make_unique<Linear>(LinearOptions{.inputs = options.width,
                                                   .outputs = options.width,
                                                   .bias = options.output_bias,
                                                   .initialization = options.initialization},
                                     construction.child(options.names.output));
}

/// All heads of queries, keys and values: [N, T, heads + 2 key_heads, head_size].
Value MultiHeadAttention::projected(const Value& x, const ForwardContext& context) const {
  const std::int64_t sequences = x.extent(0), positions = x.extent(1), width = x.extent(2);
  const Value rows = graph::reshape(x, {sequences * positions, width});
  const Value heads = graph::linear(rows, stacked(x, context, weights_), stacked(x, context, biases_));
  return graph::reshape(heads, {sequences, positions, options_.heads + 2 * key_heads_of(options_), head_size_});
}

/// Queries and keys turned by their positions.
Value MultiHeadAttention::rotated(const Value& heads) const {
  if (!options_.rotary) return heads;
  const std::int64_t positions = heads.extent(1), half = head_size_ / 2;
  if (head_size_ % 2 != 0) {
    throw ValueError(fmt::format("MultiHeadAttention: rotary positions of heads of {} elements", head_size_));
  }
  std::vector<double> cosines, sines;
  for (std::int64_t i = 0; i < positions * half; ++i) {
    const double exponent = -2.0 * static_cast<double>(i % half) / static_cast<double>(head_size_);
    const double angle = static_cast<double>(i / half) * std::pow(options_.rotary->theta, exponent);
    cosines.push_back(std::cos(angle));
    sines.push_back(std::sin(angle));
  }
  const DType dtype = parameter_dtype(heads.dtype());
  const auto table = [&](const char* name, const std::vector<double>& values) {
    const Device& device = heads.graph().device();
    const Shape shape{positions, half};
    if (dtype == DType::f64) return heads.graph().constant(name, Tensor::from(values, shape, device));
    const std::vector<float> narrow(values.begin(), values.end());
    return heads.graph().constant(name, Tensor::from(narrow, shape, device));
  };
  return graph::rotate_positions(heads, table("cosines", cosines), table("sines", sines), options_.rotary->pairs,
                                 options_.heads + key_heads_of(options_));
}

Value MultiHeadAttention::forward(const Value& x, const ForwardContext& context) {
  if (x.rank() != 3 || x.extent(2) != options_.width) {
    throw ShapeError(fmt::format("MultiHeadAttention: x is {}; sequences [N, T, {}] are needed", x.shape().to_string(),
                                 options_.width));
  }
  const kernels::AttentionOptions options{
      .scale = scale_, .causal = options_.causal, .dropout = context.training ? options_.dropout : 0, .name = stream_};
  const Value heads = rotated(projected(x, context));
  const Value lengths = options_.sees_padding ? Value() : context.lengths;
  const Value mixed = graph::packed_attention(heads, options_.heads, lengths, context.counters, options);
  return output_->forward(graph::reshape(mixed, x.shape()), context);
}

void MultiHeadAttention::visit(const std::string& prefix, ModuleState& state) {
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    state.parameters.push_back({prefix + options_.names.weights[i], &weights_[i]});
    if (!biases_.empty()) state.parameters.push_back({prefix + options_.names.biases[i], &biases_[i]});
  }
  output_->visit(prefix + options_.names.output + ".", state);
}

}  // namespace rtl::layers
