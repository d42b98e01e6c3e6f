// An operation and a module of one's own: softplus, log(1 + exp(x)), in a network that learns which pairs of numbers
// have equal signs. Recording, gradients, plans and optimizers take both as they take the library's.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <rtl/rtl.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace graph = rtl::graph;
using graph::Value;

/// y = log(1 + exp(x)), f32 or f64, on the host.
class Softplus final : public graph::Operation {
 public:
  std::string_view name() const noexcept override { return "softplus"; }

  std::vector<graph::Type> infer(std::span<const Value> operands) const override {
    const graph::Type& x = operands[0].type();
    if (x.dtype != rtl::DType::f32 && x.dtype != rtl::DType::f64) {
      throw rtl::DTypeError("softplus: x is " + x.to_string() + "; f32 or f64 is needed");
    }
    if (operands[0].graph().device().is_cuda()) {
      throw rtl::DeviceError("softplus: it has no CUDA kernel; record it in a graph of the host");
    }
    return {x};
  }

  void run(const graph::Call& call) const override {
    call.in(0).dtype() == rtl::DType::f64 ? compute<double>(call.in(0), call.out(0))
                                          : compute<float>(call.in(0), call.out(0));
  }

  /// Written with operations, so that it can be differentiated again.
  void gradient(graph::GradientCall& call) const override {
    call.give(0, graph::multiply(call.gradient(), graph::sigmoid(call.operand(0))));
  }

  /// Element i of y needs element i of x only: y may lie where x does, and replicas are no more than further elements.
  bool may_overwrite(std::size_t, std::size_t) const override { return true; }
  bool runs_replicas(std::span<const Value>, const std::vector<bool>&) const override { return true; }

 private:
  template <typename T>
  static void compute(rtl::ConstView x, rtl::View y) {
    const T* from = x.data_as<T>();
    T* to = y.data_as<T>();
    for (std::int64_t i = 0; i < x.count(); ++i)
      to[i] = std::max(from[i], T(0)) + std::log1p(std::exp(-std::abs(from[i])));
  }
};

Value softplus(const Value& x) {
  static const auto operation = std::make_shared<const Softplus>();
  return x.graph().add_one(operation, {x});
}

/// softplus(weight * x), a weight for each feature.
class SoftplusLayer final : public rtl::layers::Module {
 public:
  SoftplusLayer(std::int64_t features, const rtl::layers::Construction& construction)
      : weight_(construction.parameter(
            "weight", rtl::Tensor::from(std::vector<float>(static_cast<std::size_t>(features), 1.0F), {features},
                                        construction.device))) {}

  Value forward(const Value& x, const rtl::layers::ForwardContext& context) override {
    return softplus(graph::multiply(x, context.read(x, weight_)));
  }
  void visit(const std::string& prefix, rtl::layers::ModuleState& state) override {
    state.parameters.push_back({prefix + "weight", &weight_});
  }

 private:
  rtl::layers::Parameter weight_;
};

/// Pairs of numbers, and whether their signs are equal.
std::pair<rtl::Tensor, rtl::Tensor> make_samples(std::int64_t count, const rtl::Device& device) {
  rtl::RandomSequence random(1);
  std::vector<float> pairs;
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < count; ++i) {
    const double a = 2 * random.uniform() - 1, b = 2 * random.uniform() - 1;
    pairs.insert(pairs.end(), {static_cast<float>(a), static_cast<float>(b)});
    labels.push_back(a * b > 0 ? 1 : 0);
  }
  return {rtl::Tensor::from(pairs, {count, 2}, device), rtl::Tensor::from(labels, {count}, device)};
}

std::vector<float> train(const rtl::Device& device, std::int64_t steps) {
  const rtl::layers::Construction construction{.device = device, .seed = 1};
  rtl::layers::Sequential network;
  const auto linear = [&](const char* name, std::int64_t inputs, std::int64_t outputs) {
    const rtl::layers::LinearOptions options{.inputs = inputs, .outputs = outputs};
    network.add(name, std::make_unique<rtl::layers::Linear>(options, construction.child(name)));
  };
  linear("fc1", 2, 16);
  network.add("softplus", std::make_unique<SoftplusLayer>(16, construction.child("softplus")));
  linear("fc2", 16, 2);
  std::vector<rtl::optim::NamedStorage> parameters;
  for (const auto& parameter : network.state().parameters) {
    parameters.push_back({parameter.name, parameter.parameter->storage});
  }
  const rtl::optim::Adam optimizer(std::move(parameters), {.learning_rate = 0.05});

  // One step: forward, backward and update are recorded once and become one plan.
  auto [pairs, labels] = make_samples(256, device);
  const graph::Storage losses(rtl::Tensor::zeros({steps}, rtl::DType::f32, device));
  graph::StepState state(device);
  optimizer.write_rates(state);
  const auto record = std::make_shared<graph::Graph>(device);
  const graph::StepState::Values step = state.values(*record);
  const Value logits =
      network.forward(record->constant("pairs", std::move(pairs)), {.training = true, .counters = step.counters});
  const Value loss = graph::cross_entropy(logits, record->constant("labels", std::move(labels)));
  optimizer.record(step, graph::gradients(loss, optimizer.parameters(*record)));
  graph::advance(step.counters, record->variable("losses", losses), loss, 256);
  graph::run_passes(*record, {});
  const auto plan = std::make_shared<const graph::Plan>(record, std::vector<Value>());
  std::printf("%s", plan->to_string().c_str());

  graph::Execution execution(plan);
  for (std::int64_t i = 0; i < steps; ++i) execution.run();
  return losses.tensor().to_vector<float>();
}

}  // namespace

int main() {
  const rtl::Device device = rtl::Device::cpu();
  const std::vector<double> points{-30, -2, -0.5, 0, 0.5, 2, 30};
  const graph::GradientCheck check =
      graph::second_gradient_check([](graph::Graph&, std::span<const Value> in) { return softplus(in[0]); },
                                   {graph::Storage(rtl::Tensor::from(points, {7}, device))});
  std::printf("largest error of the second derivative: %.1e\n", check.largest_error);
  const std::vector<float> losses = train(device, 200);
  std::printf("loss: %.3f -> %.3f\n", losses.front(), losses.back());
  return check.largest_error < 1e-6 && losses.back() < 0.3 * losses.front() ? 0 : 1;
}
