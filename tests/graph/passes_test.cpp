// What passes make of a graph: the same results with fewer nodes.
#include "rtl/graph/passes.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>

#include "rtl/graph/gradients.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/plan.hpp"
#include "rtl/graph/row_function.hpp"
#include "support/devices.hpp"
#include "support/random_tensor.hpp"

namespace rtl::graph {
namespace {

std::vector<std::byte> bytes(ConstView view) {
  Tensor host(view.shape(), view.dtype(), Device::cpu());
  copy_bytes(view, host);
  std::vector<std::byte> result(host.bytes());
  std::memcpy(result.data(), host.view().data(), result.size());
  return result;
}

/// A residual block with a head, and everything that training reads of it.
struct Block {
  std::shared_ptr<Graph> graph;
  std::vector<Value> results;
  std::vector<Storage> statistics;

  /// The weights of a seed; `frozen` makes them constants and leaves out the gradients.
  Block(const Device& device, DType dtype, std::uint64_t seed, bool training, bool frozen)
      : graph(std::make_shared<Graph>(device)), random_(seed), dtype_(dtype), frozen_(frozen) {
    const Value x = leaf("x", {2, 6, 6, 4});
    const Value w1 = leaf("w1", {4, 4, 3, 3}), w2 = leaf("w2", {4, 4, 3, 3}), w3 = leaf("w3", {3, 4}),
                b3 = leaf("b3", {3});
    const Value b1 = leaf("b1", {4});
    const kernels::Conv2dOptions same{.stride = 1, .padding = 1};
    const Value first = relu(norm(conv2d(x, w1, b1, same), training, "a"));
    const Value second = relu(add(norm(conv2d(first, w2, {}, same), training, "b"), x));
    const Value plain = relu(conv2d(second, w1, b1, same));
    const Value logits = relu(linear(global_average_pool(plain), w3, b3));
    results = {second, logits};
    if (frozen) return;
    for (const Value& gradient : gradients(sum(square(logits)), parameters_)) results.push_back(gradient);
  }

  std::vector<std::vector<std::byte>> run() const {
    const auto plan = std::make_shared<const Plan>(graph, results);
    Execution execution(plan);
    execution.run();
    std::vector<std::vector<std::byte>> all;
    for (const Value& result : results) all.push_back(bytes(execution.view(result)));
    for (const Storage& statistic : statistics) all.push_back(bytes(statistic.tensor().view()));
    return all;
  }

 private:
  Value leaf(const std::string& name, const Shape& shape, double low = -1) {
    Tensor tensor = dtype_ == DType::f64 ? random_.f64(shape, graph->device(), low, 1)
                                         : random_.f32(shape, graph->device(), low, 1);
    if (frozen_) return graph->constant(name, std::move(tensor));
    parameters_.push_back(graph->variable(name, Storage(std::move(tensor))));
    return parameters_.back();
  }
  Value norm(const Value& x, bool training, const std::string& name) {
    const Value gamma = leaf(name + " gamma", {4}), beta = leaf(name + " beta", {4});
    const Value mean = leaf(name + " mean", {4}), variance = leaf(name + " variance", {4}, 0.5);
    if (!frozen_) {
      for (const Value& value : {mean, variance}) statistics.push_back(graph->record(value).storage);
      parameters_.resize(parameters_.size() - 2);
    }
    return training ? batch_norm_training(x, gamma, beta, mean, variance)
                    : batch_norm_evaluation(x, gamma, beta, mean, variance);
  }

  test::RandomTensors random_;
  DType dtype_;
  bool frozen_;
  std::vector<Value> parameters_;
};

PlanFacts facts(const Block& block) { return Plan(block.graph, block.results).facts(); }

TEST(Passes, FusionChangesNoBit) {
  const std::uint64_t seed = test::fresh_seed();
  for (const Device& device : test::devices()) {
    for (const DType dtype : {DType::f32, DType::f64}) {
      for (const bool training : {true, false}) {
        SCOPED_TRACE(device.name() + (training ? ", training" : ", evaluation") + ", seed " + std::to_string(seed));
        Block plain(device, dtype, seed, training, false), fused(device, dtype, seed, training, false);
        const PlanFacts before = facts(fused);
        run_passes(*fused.graph, fused.results);
        // Both norms with their ReLUs, one of them with its sum; a convolution, a product, and the gradients of the
        // norms. On CUDA, weights of the convolutions are packed and their gradients unpacked, and the gradient of x is
        // summed where one of its terms is made.
        EXPECT_EQ(facts(fused).nodes, before.nodes - 7 + (device.is_cuda() ? 1 : 0));
        EXPECT_EQ(fused.run(), plain.run());
      }
    }
  }
}

TEST(Passes, FoldedAndPreparedWeightsChangeRoundoffsOnly) {
  const std::uint64_t seed = test::fresh_seed();
  for (const Device& device : test::devices()) {
    SCOPED_TRACE(device.name() + ", seed " + std::to_string(seed));
    const Block plain(device, DType::f32, seed, false, true);
    Block folded(device, DType::f32, seed, false, true);
    const auto weights = std::make_shared<FrozenWeights>();
    run_passes(*folded.graph, folded.results, {.fuse = true, .frozen = weights});
    EXPECT_EQ(facts(folded).nodes, 5) << "three convolutions, a pooling and a product";
    const auto here = folded.run(), there = plain.run();
    for (std::size_t i = 0; i < here.size(); ++i) {
      std::vector<float> a(here[i].size() / sizeof(float)), b(a.size());
      std::memcpy(a.data(), here[i].data(), here[i].size());
      std::memcpy(b.data(), there[i].data(), there[i].size());
      float largest = 0;
      for (const float value : b) largest = std::max(largest, std::abs(value));
      for (std::size_t j = 0; j < a.size(); ++j) ASSERT_NEAR(a[j], b[j], 64 * 6e-8F * largest) << i << " " << j;
    }
  }
}

/// Runs the graph that `record` makes, as it is and with passes; gives both results' bytes, and the storages' behind.
template <typename Record>
void expect_same_with_passes(const Record& record) {
  std::vector<std::vector<std::byte>> found[2];
  for (const bool passes : {false, true}) {
    const auto graph = std::make_shared<Graph>(Device::cpu(1));
    std::vector<Storage> changed;
    const std::vector<Value> results = record(*graph, changed);
    if (passes) run_passes(*graph, results);
    Execution execution(std::make_shared<const Plan>(graph, results));
    execution.run();
    for (const Value& result : results) found[passes].push_back(bytes(execution.view(result)));
    for (const Storage& storage : changed) found[passes].push_back(bytes(storage.tensor().view()));
  }
  EXPECT_EQ(found[0], found[1]);
}

TEST(Passes, MoveNothingPastAChangeOfWhatItReads) {
  const std::uint64_t seed = test::fresh_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  const auto draw = [](test::RandomTensors& random, const Shape& shape, double low = -1) {
    return random.f64(shape, Device::cpu(1), low, 1);
  };
  // One norm on two batches: the running statistics take the first one first.
  expect_same_with_passes([&](Graph& graph, std::vector<Storage>& changed) {
    test::RandomTensors random(seed);
    const Value a = graph.constant("a", draw(random, {8, 3})), b = graph.constant("b", draw(random, {8, 3}, 0.5));
    const Value gamma = graph.constant("gamma", draw(random, {3})), beta = graph.constant("beta", draw(random, {3}));
    changed = {Storage(draw(random, {3})), Storage(draw(random, {3}, 0.5))};
    const Value mean = graph.variable("mean", changed[0]), variance = graph.variable("variance", changed[1]);
    const Value first = batch_norm_training(a, gamma, beta, mean, variance);
    return std::vector<Value>{relu(add(first, batch_norm_training(b, gamma, beta, mean, variance)))};
  });
  // The running mean is read between a norm and its ReLU.
  expect_same_with_passes([&](Graph& graph, std::vector<Storage>& changed) {
    test::RandomTensors random(seed);
    const Value a = graph.constant("a", draw(random, {8, 3})), gamma = graph.constant("gamma", draw(random, {3}));
    changed = {Storage(draw(random, {3})), Storage(draw(random, {3}, 0.5))};
    const Value mean = graph.variable("mean", changed[0]), variance = graph.variable("variance", changed[1]);
    const Value norm = batch_norm_training(a, gamma, gamma, mean, variance);
    const Value read = scale(reshape(mean, {1, 3}), 2);
    return std::vector<Value>{relu(norm), read};
  });
}

/// A head of one hidden layer: the hidden layer's gradient goes through its ReLU in the operation that makes it, and on
/// CUDA the loss and the last layer's gradients are one.
TEST(Passes, GradientsOfLayersTakeTheReluBeforeAndTheLossBehind) {
  const std::uint64_t seed = test::fresh_seed();
  for (const Device& device : test::devices()) {
    SCOPED_TRACE(device.name() + ", seed " + std::to_string(seed));
    std::vector<std::vector<std::byte>> found[2];
    for (const bool passes : {false, true}) {
      test::RandomTensors random(seed);
      const auto graph = std::make_shared<Graph>(device);
      const auto variable = [&](const std::string& name, const Shape& shape) {
        return graph->variable(name, Storage(random.f32(shape, device)));
      };
      const std::vector<Value> parameters{variable("w1", {33, 7}), variable("b1", {33}), variable("w2", {5, 33}),
                                          variable("b2", {5})};
      const Value x = graph->constant("x", random.f32({300, 7}, device));
      const Value hidden = relu(linear(x, parameters[0], parameters[1]));
      const Value logits = linear(hidden, parameters[2], parameters[3]);
      const Value loss = cross_entropy(logits, graph->constant("labels", random.i32(300, 5, device)));
      std::vector<Value> results = gradients(loss, parameters);
      results.push_back(loss);
      if (passes) run_passes(*graph, results);
      const auto plan = std::make_shared<const Plan>(graph, results);
      if (passes) {
        // Two products, the loss with its gradient, and the gradients of both layers.
        EXPECT_EQ(plan->facts().nodes, device.is_cuda() ? 4 : 5) << plan->to_string();
      }
      Execution execution(plan);
      execution.run();
      for (const Value& result : results) found[passes].push_back(bytes(execution.view(result)));
    }
    EXPECT_EQ(found[0], found[1]);
  }
}

/// A ReLU's gradient by another y than the layer's input is not the layer's.
TEST(Passes, GradientsOfLayersTakeNoOtherRelu) {
  const std::uint64_t seed = test::fresh_seed();
  for (const Device& device : test::devices()) {
    SCOPED_TRACE(device.name() + ", seed " + std::to_string(seed));
    std::vector<std::vector<std::byte>> found[2];
    for (const bool passes : {false, true}) {
      test::RandomTensors random(seed);
      const auto graph = std::make_shared<Graph>(device);
      const Value w = graph->variable("w", Storage(random.f32({3, 4}, device)));
      const Value x = graph->variable("x", Storage(random.f32({6, 4}, device)));
      const Value y = graph->constant("y", random.f32({6, 4}, device));
      const std::vector<Value> found_gradients = gradients(sum(square(linear(x, w, {}))), std::vector<Value>{w, x});
      const std::vector<Value> results{found_gradients[0], relu_backward(y, found_gradients[1])};
      if (passes) run_passes(*graph, results);
      Execution execution(std::make_shared<const Plan>(graph, results));
      execution.run();
      for (const Value& result : results) found[passes].push_back(bytes(execution.view(result)));
    }
    EXPECT_EQ(found[0], found[1]);
  }
}

TEST(Passes, ValuesThatTheyTookAwayAreRefused) {
  const auto graph = std::make_shared<Graph>(Device::cpu(1));
  const Value product = linear(graph->input("x", {3, 4}, DType::f32), graph->input("w", {2, 4}, DType::f32), {});
  const Value positive = relu(product);
  run_passes(*graph, {positive});
  EXPECT_NO_THROW(Plan(graph, {positive}));
  EXPECT_THROW(Plan(graph, {product}), ValueError);
  EXPECT_THROW(Plan(graph, {scale(product, 2)}), ValueError);
  EXPECT_THROW(run_passes(*graph, {Value()}), ValueError);
}

TEST(Passes, APlanOutlivesTheRewritingOfItsGraph) {
  const auto graph = std::make_shared<Graph>(Device::cpu(1));
  test::RandomTensors random(test::fresh_seed());
  const Value x = graph->constant("x", random.f32({3, 4}, Device::cpu(1)));
  const Value y = relu(linear(x, graph->constant("w", random.f32({2, 4}, Device::cpu(1))), {}));
  Execution before(std::make_shared<const Plan>(graph, std::vector<Value>{y}));
  run_passes(*graph, {y});
  Execution after(std::make_shared<const Plan>(graph, std::vector<Value>{y}));
  before.run();
  after.run();
  EXPECT_EQ(bytes(before.view(y)), bytes(after.view(y)));
}

TEST(Passes, ConstantLinearLayersArePreparedWithTheirActivation) {
  const std::uint64_t seed = test::fresh_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  const Device device = Device::cpu(1);
  std::vector<float> found[2];
  const auto weights = std::make_shared<FrozenWeights>();
  for (const bool frozen : {false, true}) {
    test::RandomTensors random(seed);
    const auto graph = std::make_shared<Graph>(device);
    const Tensor x = random.f32({5, 7}, device);
    const Value in = graph->input("x", x.shape(), DType::f32);
    const std::array parts{graph->constant("a", random.f32({3, 7}, device)),
                           graph->constant("b", random.f32({9, 7}, device))};
    const std::array biases{graph->constant("c", random.f32({3}, device)),
                            graph->constant("d", random.f32({9}, device))};
    const Value hidden = gelu(linear(in, concatenate(parts, 0), concatenate(biases, 0)));
    const Value w = graph->constant("w", random.f32({4, 12}, device));
    const Value read_twice = linear(hidden, w, {});
    const Value y = add(read_twice, relu(read_twice));
    if (frozen) run_passes(*graph, {y}, {.fuse = true, .frozen = weights});
    const auto plan = std::make_shared<const Plan>(graph, std::vector<Value>{y});
    EXPECT_EQ(plan->facts().nodes, frozen ? 4 : 7);
    Execution execution(plan);
    execution.bind(in, x.view());
    execution.run();
    Tensor result(y.shape(), DType::f32, device);
    copy_bytes(execution.view(y), result);
    found[frozen] = result.to_vector<float>();
  }
  for (std::size_t i = 0; i < found[0].size(); ++i) EXPECT_NEAR(found[0][i], found[1][i], 1e-5F) << i;
}

TEST(Passes, OneWeightInTwoGeometriesIsPreparedTwice) {
  const Device device = Device::cpu(1);
  test::RandomTensors random(test::fresh_seed());
  const Tensor x = random.f32({1, 4, 4, 2}, device), w = random.f32({2, 2, 3, 3}, device);
  std::vector<std::vector<std::byte>> found[2];
  for (const bool frozen : {false, true}) {
    const auto graph = std::make_shared<Graph>(device);
    const Value image = graph->constant("x", x.clone()), weight = graph->constant("w", w.clone());
    const std::vector<Value> results{conv2d(image, weight, {}, {.stride = 1, .padding = 0}),
                                     conv2d(image, weight, {}, {.stride = 2, .padding = 1})};
    if (frozen) run_passes(*graph, results, {.fuse = true, .frozen = std::make_shared<FrozenWeights>()});
    Execution execution(std::make_shared<const Plan>(graph, results));
    execution.run();
    for (const Value& result : results) found[frozen].push_back(bytes(execution.view(result)));
  }
  EXPECT_EQ(found[0], found[1]);
}

TEST(RowFunction, OfAReshapedRow) {
  const Device device = Device::cpu(1);
  test::RandomTensors random(test::fresh_seed());
  RowFunction function(device, {2, 3}, DType::f32, [](const Value& x) { return reshape(x, {x.extent(0), 6}); });
  const Tensor x = random.f32({5, 2, 3}, device);
  Tensor y({5, 6}, DType::f32, device);
  function(x, y);
  EXPECT_EQ(y.to_vector<float>(), x.to_vector<float>());
}

TEST(Passes, KeepWhatIsReadElsewhere) {
  const Device device = Device::cpu(1);
  const auto graph = std::make_shared<Graph>(device);
  const Value x = graph->input("x", {3, 4}, DType::f32), w = graph->input("w", {2, 4}, DType::f32);
  const Value product = linear(x, w, {}), positive = relu(product);
  run_passes(*graph, {product, positive});
  EXPECT_EQ(Plan(graph, {product, positive}).facts().nodes, 2) << "the product itself is a result";
  const auto again = std::make_shared<Graph>(device);
  const Value y = linear(again->input("x", {3, 4}, DType::f32), again->input("w", {2, 4}, DType::f32), {});
  const Value both = add(relu(y), y);
  run_passes(*again, {both});
  EXPECT_EQ(Plan(again, {both}).facts().nodes, 3) << "the product has two readers";
}

}  // namespace
}  // namespace rtl::graph
