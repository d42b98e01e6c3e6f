#include "transfer/domain_discriminator.hpp"

#include <cmath>

#include "rtl/core/random.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/layers/initialization.hpp"

namespace rtl::transfer::detail {
namespace {

constexpr std::int64_t embedding_width = 8, hidden_width = 64;
constexpr double dropout = 0.2, nearest = 1e-4;

layers::Parameter parameter(const char* name, Tensor tensor) {
  return {.name = name, .storage = graph::Storage(std::move(tensor))};
}

Tensor drawn(const char* name, const Shape& shape, const Device& device, std::uint64_t seed) {
  Tensor weight(shape, DType::f32, device);
  layers::initialize_weight(layers::Initialization::uniform_fan_in, seed, name, weight);
  return weight;
}

Tensor normal(const char* name, const Shape& shape, const Device& device, std::uint64_t seed) {
  RandomSequence random(seed, layers::stream_of(name));
  std::vector<float> values(static_cast<std::size_t>(shape.count()));
  for (float& value : values) value = static_cast<float>(random.normal());
  return Tensor::from(values, shape, device);
}

}  // namespace

double gradient_reversal(std::int64_t epoch, std::int64_t epochs) {
  const double s = epochs > 1 ? static_cast<double>(epoch) / static_cast<double>(epochs - 1) : 0;
  return 2 / (1 + std::exp(-10 * s)) - 1;
}

DomainDiscriminator::DomainDiscriminator(std::int64_t classes, const Device& device, std::uint64_t seed)
    : classes_(classes),
      embedding_(parameter("gate.embedding", normal("gate.embedding", {classes + 1, embedding_width}, device, seed))),
      hidden_weight_(parameter("gate.fc1.weight",
                               drawn("gate.fc1.weight", {hidden_width, classes + embedding_width}, device, seed))),
      hidden_bias_(parameter("gate.fc1.bias", Tensor::zeros({hidden_width}, DType::f32, device))),
      output_weight_(parameter("gate.fc2.weight", drawn("gate.fc2.weight", {1, hidden_width}, device, seed))),
      output_bias_(parameter("gate.fc2.bias", Tensor::zeros({1}, DType::f32, device))) {}

graph::Value DomainDiscriminator::logits(const graph::Value& logits, const graph::Value& labels,
                                         const std::string& name, const layers::ForwardContext& context) const {
  graph::Graph& graph = logits.graph();
  const graph::Value table = context.read(graph, embedding_);
  const std::int64_t rows = logits.extent(0);
  const graph::Value embedded =
      labels.defined() ? graph::matmul(labels, graph::slice(table, 0, 0, classes_))
                       : graph::broadcast(graph::slice(table, 0, classes_, classes_ + 1), {rows, embedding_width});
  const graph::Value parts[] = {logits, embedded};
  graph::Value hidden = graph::relu(graph::linear(graph::concatenate(parts, 1), context.read(graph, hidden_weight_),
                                                  context.read(graph, hidden_bias_)));
  if (context.training) {
    hidden = graph::dropout(hidden, dropout, layers::stream_of("gate dropout " + name), context.counters);
  }
  return graph::linear(hidden, context.read(graph, output_weight_), context.read(graph, output_bias_));
}

graph::Value DomainDiscriminator::gate(const graph::Value& source, const graph::Value& labels,
                                       const layers::ForwardContext& context) const {
  const std::int64_t rows = source.extent(0);
  const graph::Value given = graph::stop_gradient(source);
  const graph::Value d = graph::sigmoid(graph::reshape(logits(given, labels, "gate", context), {rows}));
  const auto number = [&](double value) { return graph::fill(d.graph(), value, d.shape(), d.dtype()); };
  const graph::Value inside = graph::minimum(graph::maximum(d, number(nearest)), number(1 - nearest));
  return graph::stop_gradient(graph::divide(inside, graph::subtract(number(1), inside)));
}

std::vector<optim::NamedStorage> DomainDiscriminator::trained() const {
  std::vector<optim::NamedStorage> all;
  for (const layers::Parameter* own : {&embedding_, &hidden_weight_, &hidden_bias_, &output_weight_, &output_bias_}) {
    all.push_back({own->name, own->storage});
  }
  return all;
}

void DomainDiscriminator::append_to(layers::ModuleState& state) {
  for (layers::Parameter* own : {&embedding_, &hidden_weight_, &hidden_bias_, &output_weight_, &output_bias_}) {
    state.parameters.push_back({own->name, own});
  }
}

}  // namespace rtl::transfer::detail
