#include "studies/refine/deep_head.hpp"

#include <fmt/format.h>

#include "rtl/graph/operations.hpp"
#include "rtl/layers/sequential.hpp"
#include "transfer/outputs_plan.hpp"

namespace rtl::studies::refine {
namespace {

std::string before_name(std::size_t i) { return fmt::format("before{}", i + 1); }
std::string after_name(std::size_t i) { return fmt::format("after{}", i + 1); }
constexpr const char* entrance = "entrance";

}  // namespace

DeepHead::DeepHead(std::unique_ptr<layers::Network> encoder, std::int64_t frozen, const HeadLayers& head,
                   std::int64_t classes, const Device& device, std::uint64_t seed)
    : encoder_(std::move(encoder)), head_(head) {
  const layers::Construction construction{.device = device, .seed = seed};
  std::int64_t width = encoder_ ? encoder_->feature_count() : 0;
  for (std::size_t i = 0; i < head_.before.size(); ++i) {
    before_.push_back(std::make_unique<layers::Linear>(
        layers::LinearOptions{.inputs = width, .outputs = head_.before[i]}, construction.child(before_name(i))));
    width = head_.before[i];
  }
  const std::int64_t columns = width + frozen, outputs = head_.after.empty() ? classes : head_.after.front();
  Tensor weight({outputs, columns}, DType::f32, device), bias({outputs}, DType::f32, device);
  layers::initialize_weight(layers::Initialization::uniform_fan_in, seed, "head.weight", weight);
  layers::initialize_bias(columns, seed, "head.bias", bias);
  weight_ = {.name = "head.weight", .storage = graph::Storage(std::move(weight))};
  bias_ = {.name = "head.bias", .storage = graph::Storage(std::move(bias))};
  for (std::size_t i = 0; i < head_.after.size(); ++i) {
    const std::int64_t next = i + 1 < head_.after.size() ? head_.after[i + 1] : classes;
    after_.push_back(std::make_unique<layers::Linear>(layers::LinearOptions{.inputs = head_.after[i], .outputs = next},
                                                      construction.child(after_name(i))));
  }
}

graph::Value DeepHead::hidden(const graph::Value& sums, const std::string& layer,
                              const layers::ForwardContext& context) const {
  return layers::Dropout(head_.dropout, layer).forward(graph::relu(sums), context);
}

graph::Value DeepHead::outputs(const transfer::Batch& batch, const layers::ForwardContext& context) {
  std::vector<graph::FusionInput> blocks;
  if (encoder_) {
    graph::Value x = encoder_->drop_features(encoder_->features(batch.inputs, context), context);
    for (std::size_t i = 0; i < before_.size(); ++i) {
      x = hidden(before_[i]->forward(x, context), before_name(i), context);
    }
    blocks.push_back({x});
  }
  for (const graph::Value& frozen : batch.features) blocks.push_back({frozen});
  graph::Graph& graph = blocks.front().features.graph();
  graph::Value y = graph::residual_fusion(blocks, context.read(graph, weight_), context.read(graph, bias_));
  for (std::size_t i = 0; i < after_.size(); ++i) {
    y = after_[i]->forward(hidden(y, i == 0 ? entrance : after_name(i - 1), context), context);
  }
  return y;
}

layers::ModuleState DeepHead::state() {
  layers::ModuleState state;
  if (encoder_) encoder_->visit_trunk("", state);
  for (std::size_t i = 0; i < before_.size(); ++i) before_[i]->visit(before_name(i) + ".", state);
  state.parameters.push_back({"head.weight", &weight_});
  state.parameters.push_back({"head.bias", &bias_});
  for (std::size_t i = 0; i < after_.size(); ++i) after_[i]->visit(after_name(i) + ".", state);
  return state;
}

std::string DeepHead::description() const {
  return fmt::format("hidden layers {} and {}, dropout {}", head_.before.size(), head_.after.size(), head_.dropout);
}

double score_deep_head(const HeadLayers& head, bool with_encoder, const Tensor& train_features,
                       const Tensor& test_features, const Target& target) {
  const Device device = *target.strategy.device;
  const std::uint64_t seed = target.training.seed;
  std::unique_ptr<layers::Network> encoder;
  if (with_encoder) {
    const std::string& model = target.strategy.model;
    const std::size_t colon = model.find(':');
    encoder = layers::make_network({.name = model.substr(0, colon),
                                    .variant = colon == std::string::npos ? "" : model.substr(colon + 1),
                                    .input = target.train.sample_shape(),
                                    .classes = target.train.classes},
                                   device, seed);
  }
  const bool frozen = train_features.defined();
  DeepHead model(std::move(encoder), frozen ? train_features.extent(1) : 0, head, target.train.classes, device, seed);
  transfer::TrainingData data;
  data.dataset = &target.train;
  data.normalization = data::Normalization::half;
  std::vector<kernels::StoredFeatures> test;
  if (frozen) {
    data.features.emplace_back(train_features);
    test.emplace_back(test_features);
  }
  try {
    transfer::train(model, data, target.training);
  } catch (const transfer::TrainingDiverged&) {
    return 1.0 / static_cast<double>(target.test.classes);
  }
  return transfer::score(
             transfer::detail::outputs_of(model, target.test, data.normalization, test, target.train.classes, device),
             target.test)
      .accuracy;
}

}  // namespace rtl::studies::refine
