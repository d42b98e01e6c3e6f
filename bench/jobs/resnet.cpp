// ResNet-20 on 32x32 pictures: features of a frozen network, and a training step.
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
#include "rtl/layers/frozen_network.hpp"
#include "rtl/layers/models.hpp"
#include "rtl/optim/optimizer.hpp"

namespace rtl::bench {
namespace {

constexpr std::int64_t batch = 128;

/// Multiplications of one picture's pass, by kind of convolution.
struct Multiplications {
  double first = 3.0 * 16 * 9 * 1024;
  double halving = 16.0 * 32 * 9 * 256 + 32.0 * 64 * 9 * 64;
  double square = 6 * 16.0 * 16 * 9 * 1024 + 5 * 32.0 * 32 * 9 * 256 + 5 * 64.0 * 64 * 9 * 64;
};
/// F(4x4, 3x3) multiplies 36 times for 16 outputs, the direct form 144 times.
constexpr double winograd = 36.0 / 144.0;

Tensor pictures(Precision precision, const Device& device) {
  const Tensor values = random_values({batch, 32, 32, 3}, device, 1);
  Tensor x(values.shape(), activation_dtype(precision, DType::f32), device);
  kernels::cast(device, values, x);
  return x;
}

struct Features {
  Features(const Device& device, Precision precision)
      : network(*models::resnet_cifar({}, device), precision),
        x(pictures(precision, device)),
        out({batch, 64}, DType::f32, device) {}
  layers::FrozenNetwork network;
  Tensor x, out;
};

/// Forward, backward and the update of one batch, as one plan.
struct Training {
  Training(const Device& device, Precision precision)
      : network(models::resnet_cifar({}, device)),
        x(pictures(precision, device)),
        labels(random_integers(batch, 10, device, 2)) {
    std::vector<optim::NamedStorage> parameters;
    for (const auto& parameter : network->state().parameters) {
      parameters.push_back({parameter.name, parameter.parameter->storage});
    }
    const optim::Sgd optimizer(std::move(parameters), {.learning_rate = 0.1, .weight_decay = 1e-4}, {.momentum = 0.9});
    graph::StepState state(device);
    optimizer.write_rates(state);
    const auto graph = std::make_shared<graph::Graph>(device);
    const graph::StepState::Values step = state.values(*graph);
    const graph::Value images = graph->input("x", x.shape(), x.dtype());
    const graph::Value classes = graph->input("labels", labels.shape(), labels.dtype());
    const graph::Value logits = network->forward(images, {.training = true, .counters = step.counters});
    const graph::Value loss = graph::cross_entropy(logits, classes);
    optimizer.record(step, graph::gradients(loss, optimizer.parameters(*graph)));
    graph::run_passes(*graph, {loss});
    execution =
        std::make_unique<graph::Execution>(std::make_shared<const graph::Plan>(graph, std::vector<graph::Value>{loss}));
    execution->bind(images, x.view());
    execution->bind(classes, labels.view());
  }
  std::unique_ptr<layers::Network> network;
  Tensor x, labels;
  std::unique_ptr<graph::Execution> execution;
};

/// In bf16 the 3x3 convolutions of stride 1 are counted direct, too: there the direct form competes.
Job features_job(const char* name, const Settings& settings, Precision precision) {
  const auto state = std::make_shared<Features>(Device::cpu(settings.threads), precision);
  const Multiplications m;
  const bool bf16 = precision == Precision::bf16;
  return {.name = name,
          .unit = "images/s",
          .units = batch,
          .flop = 2 * (m.first + m.halving + (bf16 ? 1 : winograd) * m.square),
          .arithmetic = bf16 ? "convolutions counted direct"
                             : "3x3 convolutions of stride 1 counted as F(4x4, 3x3), without its transforms",
          .bf16 = bf16,
          .run = [state] { state->network.features(state->x, state->out); }};
}

Job train_job(const char* name, const Settings& settings, Precision precision) {
  const auto state = std::make_shared<Training>(Device::cpu(settings.threads), precision);
  const Multiplications m;
  const bool bf16 = precision == Precision::bf16;
  const double square = (bf16 ? 1 : winograd) * m.square;
  const double forward = m.first + m.halving + square;
  const double data = m.halving + square;
  const double weights = m.first + m.halving + m.square;
  return {.name = name,
          .unit = "images/s",
          .units = batch,
          .flop = 2 * (forward + data + weights),
          .arithmetic = bf16 ? "convolutions counted direct"
                             : "forward and data gradients of 3x3 convolutions of stride 1 counted as F(4x4, 3x3), "
                               "without its transforms; weight gradients direct",
          .bf16 = bf16,
          .run = [state] { state->execution->run(); }};
}

}  // namespace

Job resnet20_features(const Settings& settings) { return features_job("resnet20_features", settings, Precision::f32); }
Job resnet20_features_bf16(const Settings& settings) {
  return features_job("resnet20_features_bf16", settings, Precision::bf16);
}
Job resnet20_train(const Settings& settings) { return train_job("resnet20_train", settings, Precision::f32); }
Job resnet20_train_bf16(const Settings& settings) {
  return train_job("resnet20_train_bf16", settings, Precision::bf16);
}

}  // namespace rtl::bench
