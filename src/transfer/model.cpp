#include "transfer/model.hpp"

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
#include "transfer/logits_plan.hpp"
#include "transfer/place.hpp"

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

}  // namespace

layers::ModuleState Fitted::Model::state() {
  layers::ModuleState state;
  if (network && fused()) network->visit_trunk("", state);
  if (network && !fused()) network->visit("", state);
  if (fused()) {
    state.parameters.push_back({"head.weight", &weight});
    state.parameters.push_back({"head.bias", &bias});
  }
  return state;
}

void Fitted::Model::set_head(Tensor head_weight, Tensor head_bias) {
  weight = {.name = "head.weight", .storage = graph::Storage(std::move(head_weight))};
  bias = {.name = "head.bias", .storage = graph::Storage(std::move(head_bias))};
}

std::vector<graph::Value> Fitted::Model::encoded(const Batch& batch, const layers::ForwardContext& context) {
  std::vector<graph::Value> features;
  if (network) features.push_back(network->drop_features(network->features(batch.inputs, context), context));
  for (const graph::Value& frozen : batch.features) {
    const bool drop = context.training && feature_dropout > 0;
    const std::uint64_t name = layers::stream_of("frozen features");
    features.push_back(drop ? graph::dropout(frozen, feature_dropout, name, context.counters) : frozen);
  }
  return features;
}

graph::Value Fitted::Model::logits(const Batch& batch, const layers::ForwardContext& context) {
  if (!fused()) return network->forward(batch.inputs, context);
  std::vector<graph::FusionInput> inputs;
  for (const graph::Value& features : encoded(batch, context)) inputs.push_back({.features = features});
  graph::Graph& graph = inputs.front().features.graph();
  return graph::residual_fusion(inputs, context.read(graph, weight), context.read(graph, bias));
}

void Fitted::Model::fit_scaling(FrozenBlock& block, const Tensor& features, FeatureScaling scaling,
                                double scale) const {
  if (scaling == FeatureScaling::raw) return;
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
}

Tensor Fitted::Model::block_features(std::size_t block, const FeatureTable& table, const Rows* rows) const {
  Tensor features = table.gather(rows, device);
  const FrozenBlock& frozen = blocks[block];
  if (frozen.shift.defined()) {
    kernels::binary(device, kernels::BinaryOp::subtract, features, frozen.shift, features);
    kernels::binary(device, kernels::BinaryOp::multiply, features, frozen.factor, features);
  }
  return features;
}

Tables Fitted::Model::tables(const data::Dataset& dataset, FeatureCache* cache) const {
  std::vector<FrozenSource> sources;
  for (const FrozenBlock& block : blocks) sources.push_back(block.source);
  return detail::find_tables(sources, dataset, cache);
}

void Fitted::Model::check(const data::Dataset& dataset, const char* call) const {
  dataset.check();
  if (dataset.sample_shape() == sample) return;
  throw ShapeError(fmt::format("{}: the samples of {} are {}, the model was fitted to {}", call, dataset.name,
                               dataset.sample_shape().to_string(), sample.to_string()));
}

Tensor Fitted::Model::predict(const data::Dataset& dataset, const Tables& tables, const Rows* rows) {
  check(dataset, "Fitted::logits");
  if (!fused()) return transfer::predict(*network, dataset, normalization, evaluation_batch);
  const detail::PlacedDataset placed(dataset, device);
  const detail::InputGather gather(*placed, normalization, DType::f32, device);
  const std::int64_t samples = dataset.size();
  const Tensor order = detail::counting_rows(samples, device);
  std::vector<Tensor> features;
  for (std::size_t k = 0; k < blocks.size(); ++k) features.push_back(block_features(k, *tables.at(k), rows));
  Tensor out({samples, classes}, DType::f32, device);
  detail::LogitsPlan plan(*this, device, DType::f32);
  for (std::int64_t begin = 0; begin < samples; begin += evaluation_batch) {
    const std::int64_t end = std::min(samples, begin + evaluation_batch);
    Tensor inputs;
    if (network) inputs = gather(order.view().slice(0, begin, end));
    std::vector<ConstView> parts;
    for (const Tensor& table : features) parts.push_back(table.view().slice(0, begin, end));
    copy_bytes(plan(network ? ConstView(inputs) : ConstView(), parts), out.view().slice(0, begin, end));
  }
  return out;
}

std::vector<BlockInfluence> Fitted::Model::influence(const data::Dataset& dataset, const Tables& tables,
                                                     const Rows* rows) {
  check(dataset, "Fitted::block_influence");
  if (!fused()) return {};
  const std::int64_t samples = dataset.size();
  std::vector<std::pair<std::string, Tensor>> parts;
  if (network) {
    const detail::PlacedDataset placed(dataset, device);
    const detail::InputGather gather(*placed, normalization, DType::f32, device);
    const Tensor order = detail::counting_rows(samples, device);
    Tensor h({samples, network->feature_count()}, DType::f32, device);
    graph::RowFunction encoder(device, sample, DType::f32,
                               [&](const graph::Value& x) { return network->features(x, {}); });
    for (std::int64_t begin = 0; begin < samples; begin += evaluation_batch) {
      const std::int64_t end = std::min(samples, begin + evaluation_batch);
      encoder(gather(order.view().slice(0, begin, end)), h.view().slice(0, begin, end));
    }
    parts.emplace_back("h", std::move(h));
  }
  for (std::size_t k = 0; k < blocks.size(); ++k) {
    parts.emplace_back(blocks[k].source.name(), block_features(k, *tables.at(k), rows));
  }
  std::vector<BlockInfluence> found;
  std::int64_t column = 0;
  double total = 0;
  for (const auto& [name, features] : parts) {
    const std::int64_t width = features.extent(1);
    Tensor share({samples, classes}, DType::f32, device);
    kernels::gemm(device, kernels::Transpose::no, kernels::Transpose::yes, 1.0, features,
                  weight.value().view().slice(1, column, column + width), 0.0, share);
    column += width;
    BlockInfluence entry{name, width, row_norm(features.to_vector<float>(), samples), 0, 0};
    entry.logit_deviation = centred_deviation(share.to_vector<float>(), static_cast<std::size_t>(samples),
                                              static_cast<std::size_t>(classes));
    total += entry.logit_deviation * entry.logit_deviation;
    found.push_back(entry);
  }
  for (BlockInfluence& entry : found) {
    entry.share = total > 0 ? entry.logit_deviation * entry.logit_deviation / total : 0;
  }
  return found;
}

}  // namespace rtl::transfer
