// A training step of a transformer of four layers on sequences of 64 vectors of 128, as PyTorch's
// nn.TransformerEncoderLayer(128, 4, 512, 0.0): norms behind the sums, ReLU; the mean of the positions, a linear head,
// AdamW.
#include <fmt/format.h>

#include <memory>
#include <utility>
#include <vector>

#include "jobs.hpp"
#include "random_values.hpp"
#include "rtl/graph/gradients.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/passes.hpp"
#include "rtl/graph/plan.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/layers/attention.hpp"
#include "rtl/optim/optimizer.hpp"

namespace rtl::bench {
namespace {

constexpr std::int64_t batch = 64, positions = 64, width = 128, heads = 4, hidden = 512, layer_count = 4, classes = 10;

std::unique_ptr<layers::Sequential> encoder(const Device& device) {
  const layers::Construction construction{.device = device, .seed = 1};
  const layers::TransformerBlockOptions options{.attention = {.width = width, .heads = heads},
                                                .hidden = hidden,
                                                .activation = layers::Activation::relu,
                                                .norm_first = false};
  auto all = std::make_unique<layers::Sequential>();
  for (std::int64_t i = 0; i < layer_count; ++i) {
    const std::string name = fmt::format("layers.{}", i);
    all->add(name, std::make_unique<layers::TransformerBlock>(options, construction.child(name)));
  }
  all->add(std::make_unique<layers::MeanPooling>());
  all->add("head", std::make_unique<layers::Linear>(layers::LinearOptions{.inputs = width, .outputs = classes},
                                                    construction.child("head")));
  return all;
}

/// Forward, backward and the update of one batch, as one plan.
struct Training {
  Training(const Device& device, Precision precision)
      : network(encoder(device)),
        x({batch, positions, width}, activation_dtype(precision, DType::f32), device),
        labels(random_integers(batch, classes, device, 2)) {
    const Tensor values = random_values(x.shape(), device, 1);
    kernels::cast(device, values, x);
    std::vector<optim::NamedStorage> parameters;
    for (const auto& parameter : network->state().parameters) {
      parameters.push_back({parameter.name, parameter.parameter->storage});
    }
    const optim::Adam optimizer(std::move(parameters), {.learning_rate = 1e-3, .weight_decay = 0.01},
                                {.decoupled = true});
    graph::StepState state(device);
    optimizer.write_rates(state);
    const auto graph = std::make_shared<graph::Graph>(device);
    const graph::StepState::Values step = state.values(*graph);
    const graph::Value in = graph->input("x", x.shape(), x.dtype());
    const graph::Value wanted = graph->input("labels", labels.shape(), labels.dtype());
    const graph::Value logits = network->forward(in, {.training = true, .counters = step.counters});
    const graph::Value loss = graph::cross_entropy(logits, wanted);
    optimizer.record(step, graph::gradients(loss, optimizer.parameters(*graph)));
    graph::run_passes(*graph, {loss});
    const auto plan = std::make_shared<const graph::Plan>(graph, std::vector<graph::Value>{loss});
    execution = std::make_unique<graph::Execution>(plan);
    execution->bind(in, x.view());
    execution->bind(wanted, labels.view());
  }
  std::unique_ptr<layers::Sequential> network;
  Tensor x, labels;
  std::unique_ptr<graph::Execution> execution;
};

Job train_job(const char* name, const Settings& settings, Precision precision) {
  const auto state = std::make_shared<Training>(Device::cpu(settings.threads), precision);
  const double rows = positions, attention = 4.0 * rows * rows * width;
  const double products = 2.0 * rows * width * (3 * width + width + 2 * hidden);
  return {.name = name,
          .unit = "sequences/s",
          .units = batch,
          .flop = layer_count * (3 * products + 3.5 * attention),
          .arithmetic = "products forward and twice backward; attention's twice and five times, scores made again",
          .bf16 = precision == Precision::bf16,
          .run = [state] { state->execution->run(); }};
}

}  // namespace

Job transformer_train(const Settings& settings) { return train_job("transformer_train", settings, Precision::f32); }
Job transformer_train_bf16(const Settings& settings) {
  return train_job("transformer_train_bf16", settings, Precision::bf16);
}

}  // namespace rtl::bench
