// Captured executions: what they replay, and when they record anew.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "rtl/core/random.hpp"
#include "rtl/graph/gradients.hpp"
#include "rtl/graph/operation.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/plan.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "support/devices.hpp"
#include "support/random.hpp"

namespace rtl::graph::test {
namespace {

constexpr std::int64_t rows = 9, inputs = 5, hidden = 7;

std::vector<float> drawn(std::int64_t count, RandomSequence& random) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = static_cast<float>(random.normal());
  return values;
}

/// A layer, its loss and its gradients.
struct Layer {
  std::shared_ptr<Graph> graph;
  Value x, w, bias;
  std::vector<Value> results;

  explicit Layer(const Device& device) : graph(std::make_shared<Graph>(device)) {
    x = graph->input("x", {rows, inputs}, DType::f32);
    w = graph->input("w", {hidden, inputs}, DType::f32);
    bias = graph->input("bias", {hidden}, DType::f32);
    const Value loss = mean(square(relu(linear(x, w, bias))));
    results = {loss};
    for (const Value& gradient : gradients(loss, std::vector<Value>{w, bias})) results.push_back(gradient);
  }
  Execution execution(const Tensor& of_x, const Tensor& of_w, const Tensor& of_bias) const {
    Execution made(std::make_shared<const Plan>(graph, results));
    made.bind(x, of_x.view());
    made.bind(w, of_w.view());
    made.bind(bias, of_bias.view());
    return made;
  }
};

std::vector<std::vector<float>> values(Execution& execution, const std::vector<Value>& results) {
  std::vector<std::vector<float>> all;
  for (const Value& result : results) {
    Tensor host(result.shape(), DType::f32, Device::cpu());
    copy_bytes(execution.view(result), host);
    all.push_back(host.to_vector<float>());
  }
  return all;
}

TEST(Capture, ReplaysReadTheContentsOfTheirRun) {
  for (const Device& device : rtl::test::devices()) {
    RandomSequence random(rtl::test::seed());
    const Layer layer(device);
    Tensor x({rows, inputs}, DType::f32, device);
    const Tensor w = Tensor::from(drawn(hidden * inputs, random), {hidden, inputs}, device);
    const Tensor bias = Tensor::from(drawn(hidden, random), {hidden}, device);
    Execution captured = layer.execution(x, w, bias), planned = layer.execution(x, w, bias);
    captured.capture();
    for (int run = 0; run < 4; ++run) {
      copy_bytes(Tensor::from(drawn(rows * inputs, random), x.shape(), device), x);
      captured.run();
      planned.run();
      EXPECT_EQ(values(captured, layer.results), values(planned, layer.results)) << "run " << run;
    }
  }
}

TEST(Capture, BindingOtherMemoryRecordsAnew) {
  for (const Device& device : rtl::test::devices()) {
    RandomSequence random(rtl::test::seed());
    const Layer layer(device);
    std::vector<Tensor> batches;
    for (int i = 0; i < 2; ++i) batches.push_back(Tensor::from(drawn(rows * inputs, random), {rows, inputs}, device));
    const Tensor w = Tensor::from(drawn(hidden * inputs, random), {hidden, inputs}, device);
    const Tensor bias = Tensor::from(drawn(hidden, random), {hidden}, device);
    Execution captured = layer.execution(batches[0], w, bias);
    captured.capture();
    for (const std::size_t batch : {0u, 0u, 1u, 1u, 0u}) {
      captured.bind(layer.x, batches[batch].view());
      captured.run();
      Execution planned = layer.execution(batches[batch], w, bias);
      planned.run();
      EXPECT_EQ(values(captured, layer.results), values(planned, layer.results)) << "batch " << batch;
    }
  }
}

TEST(Capture, AnArenaThatGrowsRecordsAnew) {
  for (const Device& device : rtl::test::devices()) {
    const auto arena = std::make_shared<Arena>(device);
    const auto made = [&](std::int64_t count) {
      auto graph = std::make_shared<Graph>(device);
      const Value x = graph->constant(
          "x", Tensor::from(std::vector<float>(static_cast<std::size_t>(count), 2.0F), {count}, device));
      const Value y = sum(multiply(exp(x), square(x)));
      return std::pair(std::make_unique<Execution>(std::make_shared<const Plan>(graph, std::vector<Value>{y}), arena),
                       y);
    };
    const auto small = made(33), large = made(4097);
    small.first->capture();
    const auto result = [&] {
      small.first->run();
      return values(*small.first, {small.second});
    };
    const auto first = result();
    EXPECT_EQ(result(), first);
    large.first->run();
    EXPECT_EQ(result(), first);
  }
}

/// Doubles its operand with scratch memory from the device's pool.
class ThroughScratch final : public Operation {
 public:
  std::string_view name() const noexcept override { return "through_scratch"; }
  std::vector<Type> infer(std::span<const Value> operands) const override { return {operands[0].type()}; }
  void run(const Call& call) const override {
    Tensor scratch(call.in(0).shape(), call.in(0).dtype(), call.device());
    kernels::scale_add(call.device(), 2.0, call.in(0), 0.0, scratch);
    kernels::unary(call.device(), kernels::UnaryOp::copy, scratch, call.out(0));
  }
};

TEST(Capture, ScratchMemoryOfTheGraphIsLentToNobodyElse) {
  for (const Device& shared : rtl::test::devices()) {
    const Device device = shared.separate();
    const std::size_t before = device.memory().in_use;
    {
      auto graph = std::make_shared<Graph>(device);
      const Tensor x = Tensor::from(std::vector<float>(500, 3.0F), {500}, device);
      const Value in = graph->input("x", {500}, DType::f32);
      const Value y = graph->add_one(std::make_shared<ThroughScratch>(), {in});
      Execution execution(std::make_shared<const Plan>(graph, std::vector<Value>{y}));
      execution.bind(in, x.view());
      execution.capture();
      execution.run();
      execution.run();
      std::vector<Tensor> others;  // would take the scratch memory if it were free
      for (int i = 0; i < 4; ++i) others.push_back(Tensor::from(std::vector<float>(500, 7.0F), {500}, device));
      execution.run();
      for (const Tensor& other : others) EXPECT_EQ(other.to_vector<float>(), std::vector<float>(500, 7.0F));
      EXPECT_EQ(values(execution, {y}).front(), std::vector<float>(500, 6.0F));
    }
    EXPECT_EQ(device.memory().in_use, before) << "the graph has kept its scratch memory";
  }
}

/// Waits for the device, as no operation may.
class Waits final : public Operation {
 public:
  std::string_view name() const noexcept override { return "waits"; }
  std::vector<Type> infer(std::span<const Value> operands) const override { return {operands[0].type()}; }
  void run(const Call& call) const override {
    kernels::unary(call.device(), kernels::UnaryOp::copy, call.in(0), call.out(0));
    call.device().synchronize();
  }
};

TEST(Capture, AnOperationThatWaitsIsRefusedAndTheDeviceGoesOn) {
  if (Device::cuda_count() == 0) GTEST_SKIP() << "no CUDA device";
  const Device device = Device::cuda(0);
  auto graph = std::make_shared<Graph>(device);
  const Tensor x = Tensor::from(std::vector<float>(12, 3.0F), {12}, device);
  const Value in = graph->input("x", {12}, DType::f32);
  const Value y = graph->add_one(std::make_shared<Waits>(), {in});
  Execution execution(std::make_shared<const Plan>(graph, std::vector<Value>{y}));
  execution.bind(in, x.view());
  execution.capture();
  execution.run();
  try {
    execution.run();
    FAIL() << "the wait was recorded";
  } catch (const CudaError& error) {
    EXPECT_NE(std::string(error.what()).find("cudaErrorStreamCaptureUnsupported"), std::string::npos) << error.what();
  }
  EXPECT_EQ(x.to_vector<float>(), std::vector<float>(12, 3.0F));
}

TEST(Capture, WorkOfOtherThreadsIsNotRecorded) {
  for (const Device& device : rtl::test::devices()) {
    RandomSequence random(rtl::test::seed());
    const Layer layer(device);
    const Tensor x = Tensor::from(drawn(rows * inputs, random), {rows, inputs}, device);
    const Tensor w = Tensor::from(drawn(hidden * inputs, random), {hidden, inputs}, device);
    const Tensor bias = Tensor::from(drawn(hidden, random), {hidden}, device);
    Execution planned = layer.execution(x, w, bias);
    planned.run();
    const auto wanted = values(planned, layer.results);
    std::atomic<bool> stop = false;
    std::thread other([&] {
      Tensor counter = Tensor::from(std::vector<float>(100, 0.0F), {100}, device);
      const Tensor one = Tensor::from(std::vector<float>(100, 1.0F), {100}, device);
      float count = 0;
      do {
        kernels::binary(device, kernels::BinaryOp::add, counter, one, counter.view());
        ++count;
      } while (!stop && count < 1000);
      EXPECT_EQ(counter.to_vector<float>(), std::vector<float>(100, count));
    });
    for (int repeat = 0; repeat < 5; ++repeat) {
      Execution captured = layer.execution(x, w, bias);
      captured.capture();
      for (int run = 0; run < 3; ++run) captured.run();
      EXPECT_EQ(values(captured, layer.results), wanted);
    }
    stop = true;
    other.join();
  }
}

}  // namespace
}  // namespace rtl::graph::test
