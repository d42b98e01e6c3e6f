#include "layers/plan_case.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <vector>

#include "rtl/graph/gradients.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/passes.hpp"
#include "rtl/graph/plan.hpp"
#include "rtl/graph/step_state.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/optim/optimizer.hpp"
#include "support/devices.hpp"
#include "support/random_tensor.hpp"
#include "support/recorded.hpp"

namespace rtl::layers {
namespace {

constexpr std::size_t replicas = 3;
using Bytes = std::vector<std::byte>;

enum class Kind : std::uint8_t { evaluation, sgd, adam };

std::unique_ptr<optim::Optimizer> optimizer_for(Kind kind, Module& module, std::size_t replica) {
  std::vector<optim::NamedStorage> parameters;
  for (const NamedParameter& parameter : module.state().parameters) {
    if (parameter.parameter->trainable) parameters.push_back({parameter.name, parameter.parameter->storage});
  }
  // A rate of its own for each replica.
  const optim::Rates rates{
      .learning_rate = 0.01 * static_cast<double>(1 + replica), .weight_decay = 0.01, .l2sp_strength = 0.1};
  std::unique_ptr<optim::Optimizer> optimizer;
  if (kind == Kind::sgd) {
    optimizer = std::make_unique<optim::Sgd>(parameters, rates, kernels::SgdRule{.momentum = 0.9, .nesterov = true});
  } else {
    optimizer = std::make_unique<optim::Adam>(parameters, rates, kernels::AdamRule{.decoupled = true});
  }
  optimizer->start_from_here();
  return optimizer;
}

/// One replica's module, samples and optimizer, and what is recorded of them.
struct Recorded {
  std::unique_ptr<Module> module;
  std::unique_ptr<optim::Optimizer> optimizer;
  Tensor x, labels;
  std::shared_ptr<graph::Graph> graph;
  std::vector<Value> inputs, variables;
  std::vector<Value> results;  ///< logits; while training also the loss and the gradients
};

/// Biases, scales and running statistics that are not those of a new module.
void shake(Module& module, const Device& device, test::RandomTensors& random) {
  const ModuleState state = module.state();
  for (const NamedParameter& parameter : state.parameters) {
    const Shape& shape = parameter.value().shape();
    if (shape.rank() == 1) copy_bytes(random.f32(shape, device, 0.5, 1.5), parameter.value());
  }
  for (const NamedBuffer& buffer : state.buffers) {
    copy_bytes(random.f32(buffer.value().shape(), device, 0.2, 1.2), buffer.value());
  }
}

/// Cross-entropy of the output, whatever its shape, [N, rest] being taken for logits.
Value loss_of(const Value& output, const Value& labels) {
  const std::int64_t samples = output.extent(0);
  const Value logits = graph::reshape(output, {samples, output.shape().count() / samples});
  return graph::cross_entropy(graph::cast(logits, DType::f32), labels);
}

struct Mode {
  Kind kind;
  DType dtype;  ///< of the activations; parameters are f32
};

/// Activations, or ids of sequences of several lengths.
Tensor inputs_of(const PlanCase& one, const Mode& mode, test::RandomTensors& random, const Device& device) {
  if (one.vocabulary == 0) {
    Tensor x(one.input, mode.dtype, device);
    const Tensor drawn = random.f32(one.input, device);
    kernels::cast(device, drawn, x);
    return x;
  }
  std::vector<std::int32_t> ids = random.i32(one.input.count(), one.vocabulary, device).to_vector<std::int32_t>();
  const std::int64_t most = std::max<std::int64_t>(1, one.input[1] - 1);
  const std::vector<std::int32_t> cut = random.i32(one.input[0], most, device).to_vector<std::int32_t>();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto length = static_cast<std::size_t>(one.input[1]), n = i / length;
    if (i % length >= length - static_cast<std::size_t>(cut[n])) ids[i] = -1;
  }
  return Tensor::from(ids, one.input, device);
}

Recorded record(const PlanCase& one, const Mode& mode, std::size_t replica, const Device& device, std::uint64_t seed,
                bool passes) {
  Recorded r;
  // The frozen trunk is shared by all replicas.
  const std::uint64_t weights = one.name == "frozen trunk" ? 11 : 11 + replica;
  test::RandomTensors same(seed), random(seed + 1 + replica);
  r.module = one.make({.device = device, .seed = weights});
  shake(*r.module, device, one.name == "frozen trunk" ? same : random);
  r.x = inputs_of(one, mode, random, device);
  r.labels = random.i32(one.input[0], 3, device);
  r.graph = std::make_shared<graph::Graph>(device);
  r.inputs = {r.graph->input("x", one.input, r.x.dtype()), r.graph->input("labels", r.labels.shape(), DType::i32)};
  graph::StepState state(device);
  state.set_counters(100 + replica, 4, 0, 0);
  const graph::StepState::Values step = state.values(*r.graph);
  const bool training = mode.kind != Kind::evaluation;
  const Precision precision = mode.dtype == DType::bf16 ? Precision::bf16 : Precision::f32;
  const Value output =
      r.module->forward(r.inputs[0], {.training = training, .counters = step.counters, .activations = precision});
  r.results = {output};
  if (training) {
    r.optimizer = optimizer_for(mode.kind, *r.module, replica);
    r.optimizer->write_rates(state);
    const Value loss = loss_of(output, r.inputs[1]);
    const std::vector<Value> gradients = graph::gradients(loss, r.optimizer->parameters(*r.graph));
    r.optimizer->record(step, gradients);
    r.results.push_back(loss);
    r.results.insert(r.results.end(), gradients.begin(), gradients.end());
  }
  if (passes) graph::run_passes(*r.graph, r.results);
  for (std::size_t i = 0; i < r.graph->values().size(); ++i) {
    if (r.graph->values()[i].origin != graph::Origin::variable) continue;
    r.variables.push_back(r.graph->value(static_cast<std::int32_t>(i)));
  }
  return r;
}

Bytes bytes_of(ConstView view) {
  Tensor host(view.shape(), view.dtype(), view.device().host());
  copy_bytes(view, host);
  Bytes all(host.bytes());
  if (!all.empty()) std::memcpy(all.data(), host.view().data(), all.size());
  return all;
}

/// The parts one after the other, with a leading axis if there are several.
Tensor stack(const std::vector<ConstView>& parts, const Device& device) {
  const Shape& shape = parts.front().shape();
  const auto count = static_cast<std::int64_t>(parts.size());
  std::vector<std::int64_t> extents(shape.extents().begin(), shape.extents().end());
  if (count > 1) extents.insert(extents.begin(), count);
  Tensor all(Shape(extents), parts.front().dtype(), device);
  for (std::int64_t i = 0; i < count; ++i) {
    copy_bytes(parts[static_cast<std::size_t>(i)].reshaped({1, shape.count()}),
               all.view().reshaped({count, shape.count()}).slice(0, i, i + 1));
  }
  return all;
}

/// Two runs of the first one's record, on the samples and from the state of each of `parts`; results of the second, and
/// the variables behind it.
std::vector<Bytes> run(std::span<const Recorded> parts, graph::PlanOptions options) {
  const Recorded& first = parts.front();
  options.replicas = static_cast<std::int64_t>(parts.size());
  std::vector<Value> leaves = first.inputs;
  leaves.insert(leaves.end(), first.variables.begin(), first.variables.end());
  options.replicated = leaves;
  std::vector<Tensor> memory;
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    std::vector<ConstView> views;
    for (const Recorded& part : parts) {
      if (i < 2) {
        views.emplace_back(i == 0 ? part.x : part.labels);
      } else {
        views.emplace_back(part.graph->record(part.variables[i - 2]).storage.tensor());
      }
    }
    memory.push_back(stack(views, first.x.device()));
  }
  graph::Execution execution(std::make_shared<const graph::Plan>(first.graph, first.results, options));
  for (std::size_t i = 0; i < leaves.size(); ++i) execution.bind(leaves[i], memory[i].view());
  for (const Value& result : first.results) {
    kernels::fill(execution.device(), std::nan(""), execution.view(result));
  }
  execution.run();
  execution.run();
  std::vector<Bytes> all;
  for (const Value& result : first.results) all.push_back(bytes_of(execution.view(result)));
  for (std::size_t i = 2; i < memory.size(); ++i) all.push_back(bytes_of(memory[i]));
  return all;
}

void check(const PlanCase& one, const Mode& mode, const Device& device, std::uint64_t seed) {
  std::vector<std::vector<Bytes>> alone;
  std::vector<Recorded> parts;
  for (std::size_t r = 0; r < replicas; ++r) {
    const Recorded plain = record(one, mode, r, device, seed, mode.dtype == DType::bf16);
    const std::vector<Bytes> reference = run({&plain, 1}, {.share_memory = false});
    parts.push_back(record(one, mode, r, device, seed, true));
    alone.push_back(run({&parts.back(), 1}, {}));
    ASSERT_EQ(alone.back().size(), reference.size());
    for (std::size_t i = 0; i < reference.size(); ++i) {
      EXPECT_TRUE(alone.back()[i] == reference[i]) << "result " << i << ", planned";
    }
  }
  EXPECT_FALSE(alone[0][0] == alone[1][0]) << "the replicas differ";
  const std::vector<Bytes> together = run(parts, {});
  ASSERT_EQ(together.size(), alone[0].size());
  for (std::size_t i = 0; i < together.size(); ++i) {
    Bytes separate;
    for (std::size_t r = 0; r < replicas; ++r) {
      separate.insert(separate.end(), alone[r][i].begin(), alone[r][i].end());
    }
    EXPECT_TRUE(together[i] == separate) << "result " << i << ", " << replicas << " replicas";
  }
}

Mode mode_of(PlanMode mode) {
  switch (mode) {
    case PlanMode::evaluation:
      return {Kind::evaluation, DType::f32};
    case PlanMode::sgd:
      return {Kind::sgd, DType::f32};
    case PlanMode::adam:
      return {Kind::adam, DType::f32};
    case PlanMode::evaluation_bf16:
      return {Kind::evaluation, DType::bf16};
    case PlanMode::sgd_bf16:
      return {Kind::sgd, DType::bf16};
  }
  return {};
}

}  // namespace

void check_plans(const PlanCase& one, PlanMode mode) {
  const std::uint64_t seed = test::fresh_seed();
  for (const Device& device : test::devices()) {
    if (one.on_host_only && device.kind() != DeviceKind::cpu) continue;
    SCOPED_TRACE(one.name + " on " + device.name() + ", seed " + std::to_string(seed));
    check(one, mode_of(mode), device, seed);
  }
}

void check_plans(const PlanCase& one) {
  for (const PlanMode mode :
       {PlanMode::evaluation, PlanMode::sgd, PlanMode::adam, PlanMode::evaluation_bf16, PlanMode::sgd_bf16}) {
    check_plans(one, mode);
  }
}

}  // namespace rtl::layers
