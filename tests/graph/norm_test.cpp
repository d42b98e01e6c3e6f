// Batch normalisation, by the checks of operation_case.hpp, and its running statistics.
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "graph/operation_case.hpp"
#include "rtl/graph/gradients.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/plan.hpp"
#include "support/devices.hpp"
#include "support/random.hpp"

namespace rtl::graph::test {
namespace {

/// Mean and sum of squared deviations of every channel.
struct Moments {
  Numbers mean, squares;
  Moments(const Numbers& x, std::size_t channels) : mean(channels), squares(channels) {
    const auto rows = static_cast<double>(x.size() / channels);
    for (std::size_t i = 0; i < x.size(); ++i) mean[i % channels] += x[i] / rows;
    for (std::size_t i = 0; i < x.size(); ++i) squares[i % channels] += std::pow(x[i] - mean[i % channels], 2);
  }
};

Numbers normalised(const Numbers& x, const Numbers& gamma, const Numbers& beta, const Numbers& mean,
                   const Numbers& variance, double epsilon) {
  Numbers y;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t c = i % gamma.size();
    y.push_back(gamma[c] * (x[i] - mean[c]) / std::sqrt(variance[c] + epsilon) + beta[c]);
  }
  return y;
}

Tensor vector_of(const Numbers& values, DType dtype, const Device& device) {
  const Shape shape{static_cast<std::int64_t>(values.size())};
  if (dtype == DType::f64) return Tensor::from(values, shape, device);
  return Tensor::from(std::vector<float>(values.begin(), values.end()), shape, device);
}

/// channels numbers from low upwards, none like another.
Numbers spread(std::int64_t channels, double low) {
  Numbers values;
  for (std::int64_t c = 0; c < channels; ++c) values.push_back(low + 0.25 * static_cast<double>(c));
  return values;
}

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = {{5, 3}, {33, 1}, {2, 3, 5, 4}};
  return all;
}

Value record_training(Graph& graph, std::span<const Value> in, const BatchNormOptions& options) {
  const std::int64_t channels = in[0].extent(-1);
  const auto state = [&](const std::string& name, double low) {
    return graph.variable(name, Storage(vector_of(spread(channels, low), in[1].dtype(), graph.device())));
  };
  return batch_norm_training(in[0], in[1], in[2], state("running_mean", -0.5), state("running_variance", 0.5), options);
}

Numbers training(const std::vector<Numbers>& in, double epsilon) {
  Moments moments(in[0], in[1].size());
  for (double& value : moments.squares) value /= static_cast<double>(in[0].size() / in[1].size());
  return normalised(in[0], in[1], in[2], moments.mean, moments.squares, epsilon);
}

TEST(BatchNorm, Training) {
  for (const Shape& shape : shapes()) {
    const Shape channels{shape[-1]};
    check(
        {.name = "batch_norm_training " + shape.to_string(),
         .shapes = {shape, channels, channels},
         .record = [](Graph& graph, std::span<const Value> in) { return record_training(graph, in, {.epsilon = 0.1}); },
         .reference = [](const std::vector<Numbers>& in) { return training(in, 0.1); },
         .roundoffs = 16,
         .parameters = {false, true, true}});
  }
}

/// d(sum of weights y^2)/dx, whose second derivative reads the batch's statistics themselves.
TEST(BatchNorm, TrainingDifferentiatesThreeTimes) {
  const Shape shape{5, 3};
  Numbers weights;
  for (std::size_t i = 0; i < 15; ++i) weights.push_back(static_cast<double>(i * 5 % 7) - 2.5);
  check({.name = "gradient of batch_norm_training",
         .shapes = {shape, {3}, {3}},
         .record =
             [=](Graph& graph, std::span<const Value> in) {
               const Value y = record_training(graph, in, {.epsilon = 0.1});
               const Value factors =
                   reshape(graph.constant("factors", vector_of(weights, in[0].dtype(), graph.device())), shape);
               const Value loss = sum(multiply(square(y), factors));
               return gradients(loss, in.first(1)).front();
             },
         .reference =
             [=](const std::vector<Numbers>& in) {
               const Numbers y = training(in, 0.1);
               const Moments moments(in[0], 3);
               Numbers dy(15), mean(3), product(3), dx;
               for (std::size_t i = 0; i < 15; ++i) {
                 const std::size_t c = i % 3;
                 dy[i] = 2 * weights[i] * y[i];
                 mean[c] += dy[i] / 5;
                 product[c] += dy[i] * (in[0][i] - moments.mean[c]) / 5;
               }
               for (std::size_t i = 0; i < 15; ++i) {
                 const std::size_t c = i % 3;
                 const double variance = moments.squares[c] / 5 + 0.1;
                 const double rest = dy[i] - mean[c] - (in[0][i] - moments.mean[c]) * product[c] / variance;
                 dx.push_back(in[1][c] * rest / std::sqrt(variance));
               }
               return dx;
             },
         .roundoffs = 64,
         .bf16_roundoffs = 0});
}

TEST(BatchNorm, Evaluation) {
  for (const Shape& shape : shapes()) {
    const std::int64_t channels = shape[-1];
    check({.name = "batch_norm_evaluation " + shape.to_string(),
           .shapes = {shape, {channels}, {channels}},
           .record =
               [channels](Graph& graph, std::span<const Value> in) {
                 const auto constant = [&](const std::string& name, double low) {
                   return graph.constant(name, vector_of(spread(channels, low), in[0].dtype(), graph.device()));
                 };
                 return batch_norm_evaluation(in[0], in[1], in[2], constant("mean", -0.5), constant("variance", 0.5),
                                              {.epsilon = 0.1});
               },
           .reference =
               [channels](const std::vector<Numbers>& in) {
                 return normalised(in[0], in[1], in[2], spread(channels, -0.5), spread(channels, 0.5), 0.1);
               },
           .roundoffs = 16,
           .parameters = {false, true, true}});
  }
}

/// Training passes over batches of rows [6, 3], for one or several replicas, and their running statistics.
class RunningStatistics {
 public:
  static constexpr std::int64_t channels = 3, rows = 6;

  RunningStatistics(DType dtype, const Device& device) : dtype_(dtype), device_(device) {
    const Value x = graph_->input("x", {rows, channels}, dtype);
    const Value gamma = graph_->constant("gamma", vector_of({1, 2, 3}, dtype, device));
    mean_ = graph_->variable("running_mean", Storage(vector_of({0, 0, 0}, dtype, device)));
    variance_ = graph_->variable("running_variance", Storage(vector_of({1, 1, 1}, dtype, device)));
    leaves_ = {x, mean_, variance_};
    y_ = batch_norm_training(x, gamma, gamma, mean_, variance_, {.momentum = 0.25});
  }

  /// Means and variances, a replica after the other, after one run for each batch.
  Numbers after(const std::vector<Numbers>& batches, const Numbers& means, const Numbers& variances) {
    const auto replicas = static_cast<std::int64_t>(means.size()) / channels;
    const auto replicated = replicas > 1 ? leaves_ : std::vector<Value>();
    Execution execution(std::make_shared<const Plan>(
        graph_, std::vector<Value>{y_},
        PlanOptions{.share_memory = true, .replicas = replicas, .replicated = replicated}));
    Tensor mean = vector_of(means, dtype_, device_), variance = vector_of(variances, dtype_, device_);
    const Shape vectors = replicas > 1 ? Shape{replicas, channels} : Shape{channels};
    execution.bind(mean_, mean.view().reshaped(vectors));
    execution.bind(variance_, variance.view().reshaped(vectors));
    for (const Numbers& batch : batches) {
      const Tensor x = vector_of(batch, dtype_, device_);
      const Shape shape = replicas > 1 ? Shape{replicas, rows, channels} : Shape{rows, channels};
      execution.bind(leaves_[0], x.view().reshaped(shape));
      execution.run();
    }
    Numbers result = values_of(mean);
    const Numbers spread = values_of(variance);
    result.insert(result.end(), spread.begin(), spread.end());
    return result;
  }

 private:
  Numbers values_of(const Tensor& tensor) const {
    if (dtype_ == DType::f64) return tensor.to_vector<double>();
    const std::vector<float> values = tensor.to_vector<float>();
    return {values.begin(), values.end()};
  }

  DType dtype_;
  Device device_;
  std::shared_ptr<Graph> graph_ = std::make_shared<Graph>(device_);
  Value mean_, variance_, y_;
  std::vector<Value> leaves_;
};

Numbers drawn(RandomSequence& random, std::size_t count, double low, double high, DType dtype) {
  Numbers values(count);
  for (double& value : values) {
    value = low + (high - low) * random.uniform();
    if (dtype == DType::f32) value = static_cast<float>(value);
  }
  return values;
}

TEST(BatchNorm, RunningStatisticsMoveTowardsTheBatches) {
  constexpr std::size_t channels = RunningStatistics::channels, rows = RunningStatistics::rows;
  for (const Device& device : rtl::test::devices()) {
    for (const DType dtype : {DType::f64, DType::f32}) {
      RandomSequence random(rtl::test::seed());
      const std::vector<Numbers> batches = {drawn(random, rows * channels, -2, 3, dtype),
                                            drawn(random, rows * channels, -2, 3, dtype)};
      Numbers mean = drawn(random, channels, -1, 1, dtype), variance = drawn(random, channels, 0.5, 2, dtype);
      const Numbers here = RunningStatistics(dtype, device).after(batches, mean, variance);
      for (const Numbers& batch : batches) {
        const Moments moments(batch, channels);
        for (std::size_t c = 0; c < channels; ++c) {
          mean[c] = 0.75 * mean[c] + 0.25 * moments.mean[c];
          variance[c] = 0.75 * variance[c] + 0.25 * moments.squares[c] / (rows - 1);
        }
      }
      const double bound = dtype == DType::f64 ? 1e-13 : 1e-6;
      for (std::size_t c = 0; c < channels; ++c) {
        EXPECT_NEAR(here[c], mean[c], bound) << device.name();
        EXPECT_NEAR(here[channels + c], variance[c], 4 * bound) << device.name();
      }
    }
  }
}

TEST(BatchNorm, RunningStatisticsOfReplicasAreThoseOfSeparateRuns) {
  constexpr std::size_t channels = RunningStatistics::channels, values = RunningStatistics::rows * channels;
  for (const Device& device : rtl::test::devices()) {
    for (const DType dtype : {DType::f64, DType::f32}) {
      RandomSequence random(rtl::test::seed() + 1);
      const std::vector<Numbers> batches = {drawn(random, 3 * values, -2, 3, dtype),
                                            drawn(random, 3 * values, -2, 3, dtype)};
      const Numbers mean = drawn(random, 3 * channels, -1, 1, dtype);
      const Numbers variance = drawn(random, 3 * channels, 0.5, 2, dtype);
      RunningStatistics statistics(dtype, device);
      const Numbers together = statistics.after(batches, mean, variance);
      for (std::size_t r = 0; r < 3; ++r) {
        const auto part = [&](const Numbers& all, std::size_t size) {
          return Numbers(all.begin() + static_cast<std::ptrdiff_t>(r * size),
                         all.begin() + static_cast<std::ptrdiff_t>((r + 1) * size));
        };
        const Numbers alone = statistics.after({part(batches[0], values), part(batches[1], values)},
                                               part(mean, channels), part(variance, channels));
        for (std::size_t c = 0; c < channels; ++c) {
          EXPECT_EQ(together[r * channels + c], alone[c]) << device.name();
          EXPECT_EQ(together[(3 + r) * channels + c], alone[channels + c]) << device.name();
        }
      }
    }
  }
}

TEST(BatchNorm, FaultsNameShapesAndRemedies) {
  Graph graph(Device::cpu(1));
  const Value x = graph.input("x", {5, 3}, DType::f32), gamma = graph.input("gamma", {3}, DType::f32);
  const Value mean = graph.variable("mean", Storage(vector_of({0, 0, 0}, DType::f32, graph.device())));
  const Value variance = graph.variable("variance", Storage(vector_of({1, 1, 1}, DType::f32, graph.device())));
  const Value wide = graph.input("wide", {4}, DType::f32);
  EXPECT_THROW(batch_norm_training(x, wide, gamma, mean, variance), ShapeError);
  EXPECT_THROW(batch_norm_training(graph.input("x", {2, 5, 3}, DType::f32), gamma, gamma, mean, variance), ShapeError);
  EXPECT_THROW(batch_norm_training(graph.input("x", {1, 3}, DType::f32), gamma, gamma, mean, variance), ValueError);
  EXPECT_THROW(batch_norm_training(x, gamma, gamma, gamma, variance), ValueError) << "the mean is no variable";
  EXPECT_THROW(batch_norm_training(x, gamma, gamma, mean, variance, {.epsilon = -1}), ValueError);
  EXPECT_THROW(batch_norm_training(x, gamma, gamma, mean, variance, {.momentum = 2}), ValueError);
  EXPECT_THROW(batch_norm_training(graph.input("x", {5, 3}, DType::f64), gamma, gamma, mean, variance), DTypeError);
  EXPECT_THROW(batch_norm_evaluation(x, gamma, gamma, mean, wide), ShapeError);
  EXPECT_THROW(batch_norm_evaluation(x, gamma, gamma, mean, {}), ValueError);
}

}  // namespace
}  // namespace rtl::graph::test
