// A linear head over the features of a residual encoder and of frozen sources.
#include "rtl/transfer/predictors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
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
#include "transfer/column_moments.hpp"
#include "transfer/evaluation.hpp"
#include "transfer/features.hpp"
#include "transfer/influence.hpp"
#include "transfer/outputs_plan.hpp"
#include "transfer/place.hpp"
#include "transfer/predictor_kinds.hpp"

namespace rtl::transfer {

namespace {

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

FrozenBlock scaled_block(const FrozenSource& source, const detail::ColumnMoments& moments, const Device& device,
                         FeatureScaling scaling, double scale, double clip) {
  const auto columns = static_cast<std::int64_t>(moments.means.size());
  const double target = scaling == FeatureScaling::balance ? scale / std::sqrt(static_cast<double>(columns)) : 1.0;
  std::vector<float> shift, factor;
  for (std::size_t i = 0; i < moments.means.size(); ++i) {
    const double mean = moments.means[i], variance = moments.variances[i];
    const bool constant = !(variance > 1e-12 * mean * mean);
    shift.push_back(static_cast<float>(mean));
    factor.push_back(constant ? 0.0F : static_cast<float>(target / std::sqrt(variance)));
  }
  FrozenBlock block{source};
  block.shift = Tensor::from(shift, {columns}, device);
  block.factor = Tensor::from(factor, {columns}, device);
  block.bound = clip * target;
  return block;
}

}  // namespace

FrozenBlock FrozenBlock::fit(const FrozenSource& source, const Tensor& features, FeatureScaling scaling, double scale,
                             double clip) {
  if (scaling == FeatureScaling::raw) return {source};
  return scaled_block(source, detail::column_moments(features), features.device(), scaling, scale, clip);
}

FrozenBlock FrozenBlock::fit(const FrozenSource& source, const FeatureTable& features,
                             const std::vector<std::int64_t>* rows, const Device& device, FeatureScaling scaling,
                             double scale, double clip) {
  if (scaling == FeatureScaling::raw) return {source};
  return scaled_block(source, detail::column_moments(features, rows, device), device, scaling, scale, clip);
}

FrozenBlock FrozenBlock::fit_centred(const FrozenSource& source, const Tensor& features) {
  const auto [means, variances] = detail::column_moments(features);
  const double variance =
      std::accumulate(variances.begin(), variances.end(), 0.0) / static_cast<double>(variances.size());
  const auto factor = static_cast<float>(variance > 0 ? 1 / std::sqrt(variance) : 0);
  FrozenBlock block{source};
  const Shape shape{features.extent(1)};
  block.shift = Tensor::from(std::vector<float>(means.begin(), means.end()), shape, features.device());
  block.factor = Tensor::from(std::vector<float>(means.size(), factor), shape, features.device());
  return block;
}

Tensor FrozenBlock::scaled(Tensor features) const {
  if (!shift.defined()) return features;
  const Device device = features.device();
  kernels::binary(device, kernels::BinaryOp::subtract, features, shift, features);
  kernels::binary(device, kernels::BinaryOp::multiply, features, factor, features);
  if (std::isfinite(bound)) {
    const auto limit = static_cast<float>(bound);
    const Tensor high = Tensor::from(std::vector{limit}, {1}, device),
                 low = Tensor::from(std::vector{-limit}, {1}, device);
    kernels::binary(device, kernels::BinaryOp::minimum, features, high, features);
    kernels::binary(device, kernels::BinaryOp::maximum, features, low, features);
  }
  return features;
}

kernels::StoredFeatures FrozenBlock::stored(ConstView table, const Tensor& transform, ConstView places) const {
  return {table, places, transform.defined() ? ConstView(transform) : ConstView(), static_cast<float>(bound)};
}

FrozenBlock FrozenBlock::clone() const {
  const auto copy_of = [](const Tensor& tensor) { return tensor.defined() ? tensor.clone() : Tensor(); };
  return {source, copy_of(shift), copy_of(factor), bound};
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

std::vector<graph::FusionInput> FusedHead::parts(const Batch& batch, const layers::ForwardContext& context) {
  std::vector<graph::FusionInput> parts;
  if (encoder_) parts.push_back({encoder_->drop_features(encoder_->features(batch.inputs, context), context)});
  const bool drop = context.training && feature_dropout_ > 0, absent = context.training && block_dropout_ > 0;
  graph::Value keep;
  if (absent) {
    graph::Graph& graph = batch.features.front().graph();
    const graph::Value ones = graph::fill(graph, 1, {batch.features.front().shape()[0]}, DType::f32);
    keep = graph::dropout(ones, block_dropout_, layers::stream_of("frozen blocks"), context.counters);
  }
  for (const graph::Value& frozen : batch.features) {
    const std::uint64_t name = layers::stream_of("frozen features");
    graph::FusionInput& part = parts.emplace_back(
        graph::FusionInput{drop ? graph::dropout(frozen, feature_dropout_, name, context.counters) : frozen});
    if (!absent) continue;
    part.mask = keep;
    part.scale = 1 - block_dropout_;  // what dropout multiplies what it keeps by
  }
  return parts;
}

graph::Value FusedHead::outputs(const Batch& batch, const layers::ForwardContext& context) {
  const std::vector<graph::FusionInput> inputs = parts(batch, context);
  graph::Graph& graph = inputs.front().features.graph();
  return graph::residual_fusion(inputs, context.read(graph, weight_), context.read(graph, bias_));
}

std::string FusedHead::description() const {
  if (feature_dropout_ == 0 && block_dropout_ == 0) return {};
  return fmt::format("dropout of frozen features {}, of blocks {}", feature_dropout_, block_dropout_);
}

std::vector<Tensor> FusedHead::scaled_features(const FeatureLookup& features) const {
  std::vector<Tensor> all;
  for (const FrozenBlock& block : blocks_) {
    all.push_back(block.scaled(features(block.source)->gather(nullptr, device())));
  }
  return all;
}

Tensor FusedHead::predict(const data::Dataset& samples, const FeatureLookup& features) {
  std::vector<std::shared_ptr<const FeatureTable>> tables;
  std::vector<Tensor> transforms;
  std::vector<kernels::StoredFeatures> stored;
  for (const FrozenBlock& block : blocks_) {
    tables.push_back(features(block.source));
    transforms.push_back(tables.back()->transform(block.shift, block.factor, device()));
    stored.push_back(block.stored(tables.back()->view_on(device()), transforms.back()));
  }
  return detail::outputs_of(*this, samples, normalization_, stored, outputs_count(), device());
}

/// h of every sample.
Tensor FusedHead::encode_all(const data::Dataset& samples) {
  const DType dtype = samples.has_tokens() ? DType::i32 : DType::f32;
  graph::RowFunction encoder(device(), samples.sample_shape(), dtype,
                             [&](const graph::Value& x) { return encoder_->features(x, {}); });
  return detail::evaluate({.samples = samples, .normalization = normalization_, .device = device()},
                          encoder_->feature_count(),
                          [&](ConstView inputs, View out, std::int64_t) { encoder(inputs, out); });
}

std::vector<Tensor> FusedHead::head_inputs(const data::Dataset& samples, std::vector<Tensor> scaled) {
  if (encoder_) scaled.insert(scaled.begin(), encode_all(samples));
  return scaled;
}

std::vector<Tensor> FusedHead::shares(const std::vector<Tensor>& head_inputs) const {
  std::vector<Tensor> shares;
  std::int64_t column = 0;
  for (const Tensor& block : head_inputs) {
    const bool with_bias = column == 0;
    Tensor product({block.extent(0), outputs_count()}, DType::f32, device());
    if (with_bias) kernels::unary(device(), kernels::UnaryOp::copy, bias(), product);
    const ConstView own = weight().view().slice(1, column, column + block.extent(1));
    kernels::gemm(device(), kernels::Transpose::no, kernels::Transpose::yes, 1.0, block, own, with_bias ? 1.0 : 0.0,
                  product);
    column += block.extent(1);
    shares.push_back(std::move(product));
  }
  return shares;
}

std::vector<BlockInfluence> FusedHead::influence(const Task& task, const data::Dataset& samples,
                                                 const FeatureLookup& features) {
  detail::InfluenceSum sum(task.regression);
  if (encoder_) sum.add_block("h");
  for (const FrozenBlock& block : blocks_) sum.add_block(block.source.name());
  const std::vector<Tensor> seen = head_inputs(samples, scaled_features(features)), parts = shares(seen);
  for (std::size_t k = 0; k < seen.size(); ++k) sum.add(k, seen[k], parts[k], 1, 1);
  return sum.result();
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
    if (std::isfinite(blocks_[k].bound)) part.number("bound", blocks_[k].bound);
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
      if (part.has("bound")) block.bound = part.number("bound");
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
