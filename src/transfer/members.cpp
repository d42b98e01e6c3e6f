#include "transfer/members.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace rtl::transfer::detail {
namespace {

struct HeadValues {
  Tensor weight, bias;
};

/// A copy of a network's head.
HeadValues head_of(layers::Network& network) {
  layers::ModuleState head;
  network.visit_head("", head);
  HeadValues values;
  for (const auto& parameter : head.parameters) {
    (parameter.value().rank() == 2 ? values.weight : values.bias) = parameter.value().clone();
  }
  return values;
}

/// (m_s + d_s (W f + b) - m_t) / d_t, column by column, of a head that predicts (y - m_s) / d_s.
void change_units(const Task& from, const Task& to, FusedHead& head) {
  std::vector<float> weight = head.weight().to_vector<float>(), bias = head.bias().to_vector<float>();
  const std::size_t columns = weight.size() / bias.size();
  for (std::size_t c = 0; c < bias.size(); ++c) {
    const double factor = from.deviation[c] / to.deviation[c];
    for (std::size_t j = c * columns; j < (c + 1) * columns; ++j) weight[j] = static_cast<float>(factor * weight[j]);
    bias[c] = static_cast<float>(factor * bias[c] + (from.mean[c] - to.mean[c]) / to.deviation[c]);
  }
  copy_bytes(Tensor::from(weight, head.weight().shape(), head.weight().device()), head.weight());
  copy_bytes(Tensor::from(bias, head.bias().shape(), head.bias().device()), head.bias());
}

}  // namespace

std::vector<std::unique_ptr<FusedHead>> probes_of(FitContext& context, std::vector<FrozenBlock> blocks) {
  std::vector<std::unique_ptr<FusedHead>> heads;
  for (FrozenBlock& block : blocks) {
    std::vector<FrozenBlock> alone;
    alone.push_back(std::move(block));
    heads.push_back(std::make_unique<FusedHead>(nullptr, data::InputNormalization(), std::move(alone),
                                                context.task().outputs, context.device(), context.seed()));
  }
  return heads;
}

std::vector<Replica> trainings_of(FitContext& context, const std::vector<std::unique_ptr<FusedHead>>& heads,
                                  const std::vector<kernels::StoredFeatures>& features) {
  std::vector<Replica> replicas;
  for (std::size_t k = 0; k < heads.size(); ++k) {
    replicas.push_back(
        {heads[k].get(), {&context.train(), heads[k]->normalization(), {features[k]}}, context.training()});
  }
  return replicas;
}

std::vector<std::unique_ptr<NetworkPredictor>> copies_of_sources(const FitContext& context, HeadStart start) {
  std::vector<std::unique_ptr<NetworkPredictor>> copies;
  for (const FrozenSource& source : context.sources()) {
    if (!source.has_network() || !source.layer().empty()) {
      throw ValueError(fmt::format("{} cannot be fine-tuned: it is {}; use probes", source.name(),
                                   source.has_network() ? "taken at a layer" : "features alone"));
    }
    copies.push_back(context.copy_of(source, start));
  }
  return copies;
}

std::vector<Replica> trainings_of(FitContext& context, const std::vector<std::unique_ptr<NetworkPredictor>>& networks) {
  std::vector<Replica> replicas;
  for (const auto& network : networks) {
    replicas.push_back({network.get(), {&context.train(), network->normalization(), {}}, context.training()});
  }
  return replicas;
}

std::unique_ptr<FusedHead> frozen(const NetworkPredictor& network, const std::string& name, Precision precision) {
  layers::Network& own = network.network();
  HeadValues head = head_of(own);
  std::vector<FrozenBlock> blocks;
  blocks.push_back({FrozenSource(layers::clone(own, own.device()), network.normalization(), name, precision)});
  return std::make_unique<FusedHead>(nullptr, data::InputNormalization(), std::move(blocks), std::move(head.weight),
                                     std::move(head.bias));
}

std::unique_ptr<FusedHead> as_it_is(const FitContext& context, const FrozenSource& source) {
  if (!can_teach(source, context.train())) {
    throw ValueError(fmt::format("the head of {} predicts other outputs or classes than the {} {} of {}; use probes",
                                 source.name(), context.task().outputs,
                                 context.task().regression ? "real targets" : "classes", context.train().name));
  }
  std::vector<FrozenBlock> blocks;
  blocks.push_back({source});
  auto head = std::make_unique<FusedHead>(nullptr, data::InputNormalization(), std::move(blocks),
                                          context.task().outputs, context.device(), context.seed());
  copy_head(source, *head);
  if (context.task().regression) change_units(*source.task(), context.task(), *head);
  return head;
}

std::unique_ptr<FusedHead> encoder_with_head(const NetworkPredictor& network) {
  layers::Network& own = network.network();
  HeadValues head = head_of(own);
  return std::make_unique<FusedHead>(layers::clone(own, own.device()), network.normalization(),
                                     std::vector<FrozenBlock>(), std::move(head.weight), std::move(head.bias));
}

std::unique_ptr<FusedHead> mean_of(const std::vector<std::unique_ptr<FusedHead>>& heads) {
  const std::int64_t outputs = heads.front()->outputs_count();
  const auto share = 1.0F / static_cast<float>(heads.size());
  std::vector<FrozenBlock> blocks;
  std::vector<std::vector<float>> rows(static_cast<std::size_t>(outputs));
  std::vector<double> bias(static_cast<std::size_t>(outputs));
  for (const auto& head : heads) {
    for (const FrozenBlock& block : head->blocks()) blocks.push_back(block.clone());
    const std::vector<float> weight = head->weight().to_vector<float>(), own = head->bias().to_vector<float>();
    const std::size_t width = weight.size() / rows.size();
    for (std::size_t c = 0; c < rows.size(); ++c) {
      for (std::size_t j = 0; j < width; ++j) rows[c].push_back(weight[c * width + j] * share);
      bias[c] += static_cast<double>(own[c]) / static_cast<double>(heads.size());
    }
  }
  std::vector<float> weight;
  for (const auto& row : rows) weight.insert(weight.end(), row.begin(), row.end());
  const Device device = heads.front()->bias().device();
  const auto columns = static_cast<std::int64_t>(rows.front().size());
  layers::Network* const encoder = heads.front()->encoder();
  return std::make_unique<FusedHead>(encoder != nullptr ? layers::clone(*encoder, device) : nullptr,
                                     heads.front()->normalization(), std::move(blocks),
                                     Tensor::from(weight, {outputs, columns}, device),
                                     Tensor::from(std::vector<float>(bias.begin(), bias.end()), {outputs}, device));
}

std::unique_ptr<Stack> mean_of(std::vector<std::unique_ptr<Predictor>> members, const Task& task) {
  const double share = 1.0 / static_cast<double>(members.size());
  std::vector<StackMember> weighted;
  for (auto& member : members) weighted.push_back({std::move(member), share});
  return std::make_unique<Stack>(task.regression, std::move(weighted));
}

}  // namespace rtl::transfer::detail
