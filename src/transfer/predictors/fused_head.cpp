// A linear head over the features of a residual encoder and of frozen sources.
#include "rtl/transfer/predictors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "rtl/core/random.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/row_function.hpp"
#include "rtl/kernels/gemm.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/reduce.hpp"
#include "rtl/layers/initialization.hpp"
#include "rtl/transfer/archive.hpp"
#include "transfer/features.hpp"
#include "transfer/outputs_plan.hpp"
#include "transfer/place.hpp"
#include "transfer/predictor_kinds.hpp"

namespace rtl::transfer {

namespace {

constexpr std::int64_t evaluation_batch = 256;

/// Root mean square over rows of the rows' norms.
double row_norm(const std::vector<float>& values, std::int64_t rows) {
  double squares = 0;
  for (const float value : values) squares += static_cast<double>(value) * value;
  return std::sqrt(squares / static_cast<double>(rows));
}

/// Root mean square of values [rows, columns] after taking away each column's mean, then each row's: what is left is
/// what moves a softmax from sample to sample.
double centred_deviation(const std::vector<float>& values, std::size_t rows, std::size_t columns) {
  std::vector<double> mean(columns);
  for (std::size_t i = 0; i < values.size(); ++i) mean[i % columns] += values[i] / static_cast<double>(rows);
  double squares = 0;
  for (std::size_t i = 0; i < rows; ++i) {
    double row_mean = 0;
    for (std::size_t c = 0; c < columns; ++c) row_mean += (values[i * columns + c] - mean[c]);
    row_mean /= static_cast<double>(columns);
    for (std::size_t c = 0; c < columns; ++c) {
      const double rest = values[i * columns + c] - mean[c] - row_mean;
      squares += rest * rest;
    }
  }
  return std::sqrt(squares / static_cast<double>(values.size()));
}

std::int64_t columns_of(const layers::Network* encoder, const std::vector<FrozenBlock>& blocks) {
  std::int64_t columns = encoder != nullptr ? encoder->feature_count() : 0;
  for (const FrozenBlock& block : blocks) columns += block.source.feature_count();
  return columns;
}

Tensor drawn_weight(std::int64_t outputs, std::int64_t columns, const Device& device, std::uint64_t seed) {
  Tensor weight({outputs, columns}, DType::f32, device);
  layers::initialize_weight(layers::Initialization::uniform_fan_in, seed, "head.weight", weight);
  return weight;
}

Tensor drawn_bias(std::int64_t outputs, std::int64_t columns, const Device& device, std::uint64_t seed) {
  Tensor bias({outputs}, DType::f32, device);
  layers::initialize_bias(columns, seed, "head.bias", bias);
  return bias;
}

}  // namespace

FrozenBlock FrozenBlock::fit(const FrozenSource& source, const Tensor& features, FeatureScaling scaling, double scale) {
  FrozenBlock block{source};
  if (scaling == FeatureScaling::raw) return block;
  const Device& device = features.device();
  const std::int64_t columns = features.extent(1);
  Tensor mean({columns}, DType::f64, device);
  Tensor variance({columns}, DType::f64, device);
  kernels::column_moments(device, features, mean, variance);
  const std::vector<double> means = mean.to_vector<double>(), variances = variance.to_vector<double>();
  const double target = scaling == FeatureScaling::balance ? scale / std::sqrt(static_cast<double>(columns)) : 1.0;
  std::vector<float> shift, factor;
  for (std::size_t i = 0; i < means.size(); ++i) {
    const bool constant = !(variances[i] > 1e-12 * means[i] * means[i]);
    shift.push_back(static_cast<float>(means[i]));
    factor.push_back(constant ? 0.0F : static_cast<float>(target / std::sqrt(variances[i])));
  }
  block.shift = Tensor::from(shift, {columns}, device);
  block.factor = Tensor::from(factor, {columns}, device);
  return block;
}

Tensor FrozenBlock::scaled(Tensor features) const {
  if (!shift.defined()) return features;
  const Device device = features.device();
  kernels::binary(device, kernels::BinaryOp::subtract, features, shift, features);
  kernels::binary(device, kernels::BinaryOp::multiply, features, factor, features);
  return features;
}

FrozenBlock FrozenBlock::clone() const {
  const auto copy_of = [](const Tensor& tensor) { return tensor.defined() ? tensor.clone() : Tensor(); };
  return {source, copy_of(shift), copy_of(factor)};
}

FusedHead::FusedHead(std::unique_ptr<layers::Network> encoder, data::InputNormalization normalization,
                     std::vector<FrozenBlock> blocks, Tensor weight, Tensor bias)
    : encoder_(std::move(encoder)), normalization_(std::move(normalization)), blocks_(std::move(blocks)) {
  const std::int64_t columns = columns_of(encoder_.get(), blocks_);
  if (bias.rank() != 1 || weight.shape() != Shape{bias.count(), columns}) {
    throw ShapeError(fmt::format("FusedHead: weights {} and a bias {} for {} features", weight.shape().to_string(),
                                 bias.shape().to_string(), columns));
  }
  weight_ = {.name = "head.weight", .storage = graph::Storage(std::move(weight))};
  bias_ = {.name = "head.bias", .storage = graph::Storage(std::move(bias))};
}

FusedHead::FusedHead(std::unique_ptr<layers::Network> encoder, data::InputNormalization normalization,
                     std::vector<FrozenBlock> blocks, std::int64_t outputs, const Device& device, std::uint64_t seed)
    : encoder_(std::move(encoder)), normalization_(std::move(normalization)), blocks_(std::move(blocks)) {
  const std::int64_t columns = columns_of(encoder_.get(), blocks_);
  weight_ = {.name = "head.weight", .storage = graph::Storage(drawn_weight(outputs, columns, device, seed))};
  bias_ = {.name = "head.bias", .storage = graph::Storage(drawn_bias(outputs, columns, device, seed))};
}

layers::ModuleState FusedHead::state() {
  layers::ModuleState state;
  if (encoder_) encoder_->visit_trunk("", state);
  state.parameters.push_back({"head.weight", &weight_});
  state.parameters.push_back({"head.bias", &bias_});
  return state;
}

std::vector<FrozenSource> FusedHead::sources() const {
  std::vector<FrozenSource> sources;
  for (const FrozenBlock& block : blocks_) sources.push_back(block.source);
  return sources;
}

std::optional<Shape> FusedHead::sample() const {
  if (encoder_) return encoder_->architecture().input;
  return {};
}

std::vector<graph::Value> FusedHead::encoded(const Batch& batch, const layers::ForwardContext& context) {
  std::vector<graph::Value> features;
  if (encoder_) features.push_back(encoder_->drop_features(encoder_->features(batch.inputs, context), context));
  for (const graph::Value& frozen : batch.features) {
    const bool drop = context.training && feature_dropout_ > 0;
    const std::uint64_t name = layers::stream_of("frozen features");
    features.push_back(drop ? graph::dropout(frozen, feature_dropout_, name, context.counters) : frozen);
  }
  return features;
}

graph::Value FusedHead::outputs(const Batch& batch, const layers::ForwardContext& context) {
  std::vector<graph::FusionInput> inputs;
  for (const graph::Value& features : encoded(batch, context)) inputs.push_back({.features = features});
  graph::Graph& graph = inputs.front().features.graph();
  return graph::residual_fusion(inputs, context.read(graph, weight_), context.read(graph, bias_));
}

std::vector<Tensor> FusedHead::scaled_features(const FeatureLookup& features) const {
  std::vector<Tensor> all;
  for (const FrozenBlock& block : blocks_) {
    all.push_back(block.scaled(features(block.source)->gather(nullptr, device())));
  }
  return all;
}

Tensor FusedHead::predict(const data::Dataset& samples, const FeatureLookup& features) {
  return detail::outputs_of(*this, samples, normalization_, scaled_features(features), outputs_count(), device());
}

/// h of every sample.
Tensor FusedHead::encode_all(const data::Dataset& samples) {
  const detail::PlacedDataset placed(samples, device());
  const detail::InputGather gather(*placed, normalization_, DType::f32, device());
  const Tensor order = detail::counting_rows(samples.size(), device());
  Tensor h({samples.size(), encoder_->feature_count()}, DType::f32, device());
  graph::RowFunction encoder(device(), encoder_->architecture().input, DType::f32,
                             [&](const graph::Value& x) { return encoder_->features(x, {}); });
  for (std::int64_t begin = 0; begin < samples.size(); begin += evaluation_batch) {
    const std::int64_t end = std::min(samples.size(), begin + evaluation_batch);
    encoder(gather(order.view().slice(0, begin, end)), h.view().slice(0, begin, end));
  }
  return h;
}

std::vector<BlockInfluence> FusedHead::influence(const data::Dataset& samples, const FeatureLookup& features) {
  std::vector<std::pair<std::string, Tensor>> parts;
  if (encoder_) parts.emplace_back("h", encode_all(samples));
  std::vector<Tensor> scaled = scaled_features(features);
  for (std::size_t k = 0; k < blocks_.size(); ++k) parts.emplace_back(blocks_[k].source.name(), std::move(scaled[k]));
  std::vector<BlockInfluence> found;
  std::int64_t column = 0;
  double total = 0;
  for (const auto& [name, block] : parts) {
    const std::int64_t width = block.extent(1);
    Tensor share({samples.size(), outputs_count()}, DType::f32, device());
    kernels::gemm(device(), kernels::Transpose::no, kernels::Transpose::yes, 1.0, block,
                  weight().view().slice(1, column, column + width), 0.0, share);
    column += width;
    BlockInfluence entry{name, width, row_norm(block.to_vector<float>(), samples.size()), 0, 0};
    entry.logit_deviation = centred_deviation(share.to_vector<float>(), static_cast<std::size_t>(samples.size()),
                                              static_cast<std::size_t>(outputs_count()));
    total += entry.logit_deviation * entry.logit_deviation;
    found.push_back(entry);
  }
  for (BlockInfluence& entry : found) {
    entry.share = total > 0 ? entry.logit_deviation * entry.logit_deviation / total : 0;
  }
  return found;
}

void FusedHead::write(ArchiveWriter& archive) {
  archive.tensor("head.weight", weight());
  archive.tensor("head.bias", bias());
  archive.integer("outputs", outputs_count());
  archive.integer("encoders", encoder_ ? 1 : 0);
  if (encoder_) archive.network("h", *encoder_, normalization_);
  archive.integer("sources", static_cast<std::int64_t>(blocks_.size()));
  for (std::size_t k = 0; k < blocks_.size(); ++k) {
    ArchiveWriter part = archive.part(fmt::format("block{}", k));
    part.source("source", blocks_[k].source);
    if (!blocks_[k].shift.defined()) continue;
    part.tensor("shift", blocks_[k].shift);
    part.tensor("factor", blocks_[k].factor);
  }
}

namespace predictors {
namespace {

std::unique_ptr<Predictor> read_fused_head(const ArchiveReader& archive) {
  std::unique_ptr<layers::Network> encoder;
  data::InputNormalization normalization;
  if (archive.integer("encoders") > 0) {
    encoder = archive.network("h");
    normalization = archive.normalization("h");
  }
  std::vector<FrozenBlock> blocks;
  const auto count = static_cast<std::size_t>(archive.integer("sources"));
  for (std::size_t k = 0; k < count; ++k) {
    const ArchiveReader part = archive.part(fmt::format("block{}", k));
    FrozenBlock block{part.source("source")};
    const Shape width{block.source.feature_count()};
    if (part.has_tensor("shift")) {
      block.shift = part.tensor("shift", width);
      block.factor = part.tensor("factor", width);
    }
    blocks.push_back(std::move(block));
  }
  const std::int64_t columns = columns_of(encoder.get(), blocks);
  if (columns == 0) archive.fail("its head looks at no features");
  const std::int64_t outputs = archive.integer("outputs");
  return std::make_unique<FusedHead>(std::move(encoder), std::move(normalization), std::move(blocks),
                                     archive.tensor("head.weight", {outputs, columns}),
                                     archive.tensor("head.bias", {outputs}));
}

}  // namespace

const PredictorKind& fused_head() {
  static const PredictorKind kind{"fused_head", read_fused_head};
  return kind;
}

}  // namespace predictors
}  // namespace rtl::transfer
