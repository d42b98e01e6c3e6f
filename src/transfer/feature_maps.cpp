#include "transfer/feature_maps.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "rtl/core/error.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/plan.hpp"
#include "rtl/transfer/objectives.hpp"
#include "rtl/transfer/task.hpp"
#include "transfer/place.hpp"

namespace rtl::transfer::detail {
namespace {

using graph::Value;

Shape shape_of_samples(const layers::Network& network, std::int64_t count) {
  std::vector<std::int64_t> extents{count};
  for (const std::int64_t extent : network.architecture().input.extents()) extents.push_back(extent);
  return Shape{std::span<const std::int64_t>(extents)};
}

/// Some samples of a data set on a device, and the loss of outputs for them.
class Samples {
 public:
  Samples(const NetworkPredictor& model, const data::Dataset& samples, const RowTargets& targets, const Loss& loss,
          std::int64_t rows)
      : loss_(loss.of(targets.task.regression)) {
    const Device device = model.network().device();
    const std::int64_t count = std::min(rows, samples.size());
    std::vector<std::int64_t> chosen;
    for (std::int64_t i = 0; i < count; ++i) chosen.push_back(i * samples.size() / count);
    const data::Dataset part = samples.subset(chosen);
    const ResidentDataset placed(part, device);
    inputs_ = InputGather(*placed, model.normalization(), DType::f32, device)(counting_rows(count, device));
    const RowTargets own = targets.subset(chosen);
    const bool labels = loss_.kind == LossKind::cross_entropy;
    targets_ = labels ? Tensor::from(own.labels, {count}, device) : own.columns(device);
  }

  const Tensor& inputs() const { return inputs_; }
  Value loss(const Value& outputs) const {
    const Value targets = outputs.graph().constant("targets", targets_.clone());
    if (loss_.kind == LossKind::cross_entropy) return graph::cross_entropy(outputs, targets);
    return graph::reshape(graph::mean(objectives::loss_of_each(loss_, outputs, targets)), {1});
  }

 private:
  Loss loss_;
  Tensor inputs_, targets_;
};

double number_of(ConstView view) {
  Tensor copy(view.shape(), view.dtype(), view.device());
  copy_bytes(view, copy);
  return copy.to_vector<float>().front();
}

/// The loss with each channel of a layer's map at zero.
std::vector<double> losses_without(const NetworkPredictor& model, const Samples& samples, const std::string& layer,
                                   const Tensor& map) {
  const Device device = model.network().device();
  const std::int64_t channels = map.extent(-1);
  const auto graph = std::make_shared<graph::Graph>(device);
  const Value x = graph->input("inputs", samples.inputs().shape(), samples.inputs().dtype());
  const Value given = graph->input("map", map.shape(), DType::f32), mask = graph->input("mask", {channels}, DType::f32);
  layers::Hooks hooks;
  hooks.layers[layer] = [&](const Value&) { return graph::multiply(given, mask); };
  const Value loss = samples.loss(model.network().forward(x, {.hooks = &hooks}));
  graph::Execution execution(std::make_shared<const graph::Plan>(graph, std::vector<Value>{loss}));
  execution.bind(x, samples.inputs());
  execution.bind(given, map);
  std::vector<double> losses;
  for (std::int64_t channel = 0; channel < channels; ++channel) {
    std::vector<float> kept(static_cast<std::size_t>(channels), 1);
    kept[static_cast<std::size_t>(channel)] = 0;
    const Tensor present = Tensor::from(kept, {channels}, device);
    execution.bind(mask, present);
    execution.run();
    losses.push_back(number_of(execution.view(loss)));
  }
  return losses;
}

/// C softmax(z / temperature), z being the losses less their mean, over their deviation.
Tensor attention_of(const std::vector<double>& losses, double temperature, const Device& device) {
  const auto count = static_cast<double>(losses.size());
  double mean = 0, variance = 0, sum = 0;
  for (const double loss : losses) mean += loss / count;
  for (const double loss : losses) variance += (loss - mean) * (loss - mean) / count;
  const double scale = variance > 0 ? 1 / (std::sqrt(variance) * temperature) : 0;
  const double largest = *std::max_element(losses.begin(), losses.end());
  for (const double loss : losses) sum += std::exp((loss - largest) * scale);
  std::vector<float> weights;
  for (const double loss : losses) {
    weights.push_back(static_cast<float>(count * std::exp((loss - largest) * scale) / sum));
  }
  return Tensor::from(weights, {static_cast<std::int64_t>(losses.size())}, device);
}

}  // namespace

std::vector<std::string> stage_ends(layers::Network& network) {
  graph::Graph graph(network.device());
  const std::vector<std::string> names = network.layer_names();
  const DType inputs = network.architecture().takes_tokens() ? DType::i32 : network.dtype();
  Maps maps;
  features_and_maps(network, graph.input("sample", shape_of_samples(network, 1), inputs), names, {}, maps);
  const bool images = std::any_of(maps.begin(), maps.end(), [](const auto& map) { return map.second.rank() == 4; });
  std::vector<std::string> ends;
  std::vector<Shape> seen;
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    const Value& map = maps.at(*name);
    if (images && map.rank() != 4) continue;
    if (std::find(seen.begin(), seen.end(), map.shape()) != seen.end()) continue;
    seen.push_back(map.shape());
    ends.insert(ends.begin(), *name);
  }
  return ends;
}

Value features_and_maps(layers::Network& network, const Value& x, const std::vector<std::string>& layers,
                        layers::ForwardContext context, Maps& maps) {
  layers::Hooks hooks;
  for (const std::string& layer : layers) {
    hooks.layers[layer] = [&maps, layer](const Value& y) {
      maps[layer] = y;
      return y;
    };
  }
  context.hooks = &hooks;
  return network.features(x, context);
}

std::vector<Tensor> channel_attention(const NetworkPredictor& model, const data::Dataset& samples,
                                      const RowTargets& targets, const std::vector<std::string>& layers,
                                      std::int64_t rows, double temperature, const Loss& loss) {
  const Device device = model.network().device();
  const Samples chosen(model, samples, targets, loss, rows);
  const auto graph = std::make_shared<graph::Graph>(device);
  const Value x = graph->input("inputs", chosen.inputs().shape(), chosen.inputs().dtype());
  Maps maps;
  features_and_maps(model.network(), x, layers, {}, maps);
  std::vector<Value> results;
  for (const std::string& layer : layers) results.push_back(maps.at(layer));
  graph::Execution execution(std::make_shared<const graph::Plan>(graph, results));
  execution.bind(x, chosen.inputs());
  execution.run();
  std::vector<Tensor> attention;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    Tensor map(results[i].shape(), DType::f32, device);
    copy_bytes(execution.view(results[i]), map);
    attention.push_back(attention_of(losses_without(model, chosen, layers[i], map), temperature, device));
  }
  return attention;
}

}  // namespace rtl::transfer::detail
