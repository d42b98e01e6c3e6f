// Penalties on features and maps: values against plain arithmetic, gradients against differences, and the strategies.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "rtl/core/random.hpp"
#include "rtl/graph/gradients.hpp"
#include "rtl/graph/plan.hpp"
#include "rtl/kernels/linear_algebra.hpp"
#include "rtl/transfer/objectives.hpp"
#include "transfer/feature_maps.hpp"
#include "transfer/sources.hpp"

namespace rtl::transfer {
namespace {

using graph::Value;
using testing::expect_equal;
using testing::fit_one;
using testing::plain_source;
using testing::quick;
using testing::residual_source;
using Numbers = std::vector<double>;

Numbers normal_numbers(std::uint64_t seed, std::size_t count) {
  RandomSequence random(seed, 5);
  Numbers numbers(count);
  for (double& number : numbers) number = random.normal();
  return numbers;
}

struct Slope {
  double value = 0;
  Numbers gradient;
};

/// A scalar function of a variable f64, and its gradient.
Slope slope_of(const Device& device, const Numbers& x, const Shape& shape,
               const std::function<Value(const Value&)>& f) {
  const auto graph = std::make_shared<graph::Graph>(device);
  const Value in = graph->variable("x", graph::Storage(Tensor::from(x, shape, device)));
  const Value value = f(in);
  const Value parameters[] = {in};
  const Value gradient = graph::gradients(value, parameters).front();
  graph::Execution execution(std::make_shared<const graph::Plan>(graph, std::vector<Value>{value, gradient}));
  execution.run();
  const auto numbers = [&](const Value& result) {
    Tensor copy(result.shape(), result.dtype(), device);
    copy_bytes(execution.view(result), copy);
    return copy.to_vector<double>();
  };
  return {numbers(value).front(), numbers(gradient)};
}

/// Central differences of a plain function. Their error is step^2 times third derivatives and 2^-53 / step of the
/// value.
void expect_slope(const Numbers& gradient, const Numbers& x, double tolerance,
                  const std::function<double(const Numbers&)>& f) {
  ASSERT_EQ(gradient.size(), x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    Numbers up = x, down = x;
    up[i] += 1e-5;
    down[i] -= 1e-5;
    EXPECT_NEAR(gradient[i], (f(up) - f(down)) / 2e-5, tolerance) << i;
  }
}

/// By LAPACK's singular values.
double smallest_squares(const Numbers& x, std::int64_t rows, std::int64_t columns, std::int64_t count) {
  const Device host = Device::cpu(1);
  const std::int64_t q = std::min(rows, columns);
  Tensor a = Tensor::from(x, {rows, columns}, host), u({rows, q}, DType::f64, host), vt({q, columns}, DType::f64, host);
  Tensor values({q}, DType::f64, host);
  kernels::svd(host, a, u, values, vt);
  const Numbers falling = values.to_vector<double>();
  double sum = 0;
  for (std::int64_t i = std::max<std::int64_t>(q - count, 0); i < q; ++i) {
    sum += std::pow(falling[static_cast<std::size_t>(i)], 2);
  }
  return sum;
}

TEST(SpectralShrinkage, IsTheSmallestSingularValues) {
  for (const Device& device : testing::devices()) {
    for (const auto& [rows, columns] : std::vector<std::pair<std::int64_t, std::int64_t>>{{4, 7}, {7, 4}, {5, 5}}) {
      for (const std::int64_t count : {1, 2, 4, 9}) {
        SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(columns) + ", " + std::to_string(count));
        const Numbers x = normal_numbers(7, static_cast<std::size_t>(rows * columns));
        const Slope slope = slope_of(device, x, {rows, columns},
                                     [&](const Value& f) { return objectives::spectral_shrinkage(f, count); });
        const auto plain = [&](const Numbers& at) { return smallest_squares(at, rows, columns, count); };
        EXPECT_NEAR(slope.value, plain(x), 1e-12);
        // Third derivatives of a singular value are of the order of the inverse squared gap to the next, here below
        // 100; the gaps are those of ten fixed matrices.
        expect_slope(slope.gradient, x, 1e-7, plain);
      }
    }
  }
}

TEST(SpectralShrinkage, OfAllIsTheSumOfSquares) {
  for (const Device& device : testing::devices()) {
    const Numbers x = normal_numbers(3, 6 * 4);
    const Slope slope =
        slope_of(device, x, {6, 4}, [](const Value& f) { return objectives::spectral_shrinkage(f, 4); });
    double sum = 0;
    for (const double value : x) sum += value * value;
    EXPECT_NEAR(slope.value, sum, 1e-12 * sum);
    for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(slope.gradient[i], 2 * x[i], 1e-13 * 10);
  }
}

TEST(SpectralShrinkage, SaysWhatCannotBe) {
  graph::Graph graph(Device::cpu(1));
  const Value large = graph.input("x", {1025, 1025}, DType::f32);
  EXPECT_THROW(objectives::spectral_shrinkage(large, 1), ValueError);
  EXPECT_THROW(objectives::spectral_shrinkage(graph.input("x", {4, 3}, DType::f32), 0), ValueError);
}

TEST(Bss, OfNoStrengthIsFineTuning) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
    for (const FrozenSource& source : {residual_source(device), plain_source(device)}) {
      expect_equal(fit_one("bss:spectral_strength=0", source, data, quick()),
                   fit_one("fine-tune", source, data, quick()));
    }
  }
}

TEST(Bss, ShrinksTheSmallestValues) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = testing::make_images(1, 16, 4, 8, device);  // one batch: its values are those of all
    const FrozenSource source = residual_source(device);
    const auto smallest = [&](const std::string& strategy) {
      const Fitted fitted = fit_one(strategy, source, data, quick(20));
      auto& network = dynamic_cast<NetworkPredictor&>(fitted.predictor()).network();
      const FrozenSource after(layers::clone(network, device), source.normalization());
      const std::vector<float> features = after.features(data).to_vector<float>();
      return smallest_squares({features.begin(), features.end()}, 16, after.feature_count(), 3);
    };
    const double free = smallest("fine-tune"), drawn = smallest("bss:spectral_strength=1:spectral_count=3");
    EXPECT_LT(drawn, 0.5 * free);
  }
}

TEST(Bss, TheLossIsTheSumOfBoth) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 16, 4, 8, device);
  // Without norms and dropout the first step's features are the source's: one batch, and the loss before it.
  const FrozenSource source(testing::make("mlp", "12", {8, 8, 3}, 4, 3, device));
  const double plain = fit_one("fine-tune", source, data, quick(1)).training().losses.front();
  const double both =
      fit_one("bss:spectral_strength=0.5:spectral_count=2", source, data, quick(1)).training().losses.front();
  const std::vector<float> features = source.features(data).to_vector<float>();
  const double penalty = smallest_squares({features.begin(), features.end()}, 16, 12, 2);
  double size = 0;
  for (const float value : features) size += double{value} * double{value};
  EXPECT_GT(penalty, 0);
  // Features are f32 of a few hundred products: the values are known to that share of all features' size.
  EXPECT_NEAR(both - plain, 0.5 * penalty, 1e-6 * (1 + size));
}

TEST(MapDistance, IsTheWeightedMeanOfSquares) {
  for (const Device& device : testing::devices()) {
    const Numbers x = normal_numbers(1, 2 * 3 * 2 * 4), wanted = normal_numbers(2, x.size()), a{0.5, 2, 0, 1.5};
    for (const bool even : {false, true}) {
      const auto plain = [&](const Numbers& at) {
        double sum = 0;
        for (std::size_t i = 0; i < at.size(); ++i) {
          sum += (even ? 1 : a[i % 4]) * std::pow(at[i] - wanted[i], 2) / static_cast<double>(at.size() / 4);
        }
        return sum;
      };
      const Slope slope = slope_of(device, x, {2, 3, 2, 4}, [&](const Value& map) {
        const Value there = map.graph().constant("wanted", Tensor::from(wanted, {2, 3, 2, 4}, device));
        const Value attention = map.graph().constant("attention", Tensor::from(a, {4}, device));
        return objectives::map_distance(map, there, even ? Value() : attention);
      });
      EXPECT_NEAR(slope.value, plain(x), 1e-13 * 10);
      expect_slope(slope.gradient, x, 1e-9, plain);
    }
  }
}

TEST(Delta, KeepsTheEndsOfStages) {
  const Device device = Device::cpu(1);
  const auto ends = [&](const std::string& name, const std::string& variant, const Shape& input) {
    return detail::stage_ends(*testing::make(name, variant, input, 4, 3, device));
  };
  EXPECT_EQ(ends("resnet_cifar", "20", {32, 32, 3}), (std::vector<std::string>{"layer1.2", "layer2.2", "layer3.2"}));
  EXPECT_EQ(ends("paper_cnn", "4-4-8-16", {8, 8, 3}), (std::vector<std::string>{"conv1", "conv2", "conv3"}));
  EXPECT_EQ(ends("mlp", "7-5", {6}), (std::vector<std::string>{"fc1", "fc2"}));
  EXPECT_TRUE(ends("mlp", "none", {6}).empty());
}

TEST(Delta, OfNoStrengthIsFineTuning) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
    for (const FrozenSource& source : {residual_source(device), plain_source(device)}) {
      expect_equal(fit_one("delta:even:map_strength=0:head_decay=0", source, data, quick()),
                   fit_one("fine-tune", source, data, quick()));
    }
  }
}

TEST(Delta, AttentionOfAnyTemperatureIsInTheEndEven) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
  const FrozenSource source = plain_source(device);
  const auto losses = [&](const std::string& options) {
    std::vector<double> all = fit_one("delta:map_strength=2" + options, source, data, quick(5)).training().losses;
    return std::vector<double>(all.end() - 5, all.end());  // without the epochs of the head alone
  };
  const std::vector<double> even = losses(":even"), hot = losses(":attention_temperature=1e9");
  const std::vector<double> sharp = losses(":attention_temperature=0.5");
  for (std::size_t epoch = 0; epoch < 5; ++epoch) EXPECT_NEAR(hot[epoch], even[epoch], 1e-5);
  EXPECT_GT(std::abs(sharp.back() - even.back()), 1e-4);
}

TEST(Delta, StaysNearTheSourcesMaps) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
    const FrozenSource source = plain_source(device);
    const auto moved = [&](const std::string& strategy) {
      const testing::Values before = testing::values_of_source(source);
      double distance = 0;
      for (const auto& [name, values] : testing::named_values(fit_one(strategy, source, data, quick(10)).state())) {
        if (name.starts_with("head.")) continue;
        for (std::size_t i = 0; i < values.size(); ++i) {
          distance += std::pow(double{values[i]} - double{before.at(name)[i]}, 2);
        }
      }
      return distance;
    };
    const double free = moved("fine-tune");
    EXPECT_LT(moved("delta:even:map_strength=10"), 0.5 * free);
    EXPECT_LT(moved("delta:map_strength=10"), 0.5 * free);
  }
}

/// logits = head(relu(W x + b)), the loss with one of its channels at zero, in plain arithmetic.
double loss_without(const testing::Values& values, const data::Dataset& data, std::int64_t off) {
  const std::vector<float>&w = values.at("fc1.weight"), &b = values.at("fc1.bias"), &v = values.at("head.weight"),
        &c = values.at("head.bias"), x = data.inputs.to_vector<float>();
  const std::vector<std::int32_t> labels = data.labels.to_vector<std::int32_t>();
  const std::size_t inputs = w.size() / b.size(), hidden = b.size(), classes = c.size();
  double total = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    Numbers logits(c.begin(), c.end());
    for (std::size_t j = 0; j < hidden; ++j) {
      if (static_cast<std::int64_t>(j) == off) continue;
      double sum = b[j];
      for (std::size_t k = 0; k < inputs; ++k) sum += double{w[j * inputs + k]} * double{x[i * inputs + k]};
      for (std::size_t o = 0; o < classes; ++o) logits[o] += double{v[o * hidden + j]} * std::max(sum, 0.0);
    }
    double sum = 0;
    for (const double logit : logits) sum += std::exp(logit);
    total += std::log(sum) - logits[static_cast<std::size_t>(labels[i])];
  }
  return total / static_cast<double>(labels.size());
}

TEST(Delta, AttentionIsWhatTheLossGrowsBy) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = testing::make_vectors(1, 30, 5, 3, 2.0, device);
    NetworkPredictor model(testing::make("mlp", "6", {5}, 3, 3, device), data::Normalization::none);
    train(model.network(), data, data::Normalization::none, quick(10));
    const std::vector<Tensor> attention =
        detail::channel_attention(model, data, detail::RowTargets::of(data), {"fc1"}, 30, 0.5);
    ASSERT_EQ(attention.size(), 1U);
    const testing::Values values = testing::named_values(model.state());
    Numbers losses, wanted;
    double mean = 0, variance = 0, sum = 0;
    for (std::int64_t channel = 0; channel < 6; ++channel) losses.push_back(loss_without(values, data, channel));
    for (const double loss : losses) mean += loss / 6;
    for (const double loss : losses) variance += std::pow(loss - mean, 2) / 6;
    for (const double loss : losses) sum += wanted.emplace_back(std::exp((loss - mean) / std::sqrt(variance) / 0.5));
    const std::vector<float> here = attention[0].to_vector<float>();
    // Losses of order one in f32, over their deviation and the temperature.
    const double rounding = 6 * std::pow(2.0, -22) / std::sqrt(variance) / 0.5;
    for (std::size_t i = 0; i < 6; ++i) EXPECT_NEAR(here[i], 6 * wanted[i] / sum, rounding * 6 * wanted[i] / sum);
    // Of some samples only, evenly spaced.
    const std::vector<std::int64_t> third{0, 3, 6, 9, 12, 15, 18, 21, 24, 27};
    EXPECT_EQ(
        detail::channel_attention(model, data, detail::RowTargets::of(data), {"fc1"}, 10, 5)[0].to_vector<float>(),
        detail::channel_attention(model, data.subset(third), detail::RowTargets::of(data.subset(third)), {"fc1"}, 10,
                                  5)[0]
            .to_vector<float>());
  }
}

TEST(Penalties, SayWhatCannotBe) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
  const FrozenSource source = residual_source(device);
  const FrozenSource features = FrozenSource::of_features("pixels", 2, [](const data::Dataset& of) {
    return Tensor::zeros({of.size(), 2}, DType::f32, of.inputs.device());
  });
  for (const char* strategy : {"bss", "delta"}) {
    SCOPED_TRACE(strategy);
    EXPECT_THROW(fit_one(strategy, features, data, quick(0)), ValueError);
    EXPECT_THROW(fit(strategy, {}, data, quick(0)), ValueError);
    EXPECT_THROW(fit_one(std::string(strategy) + ":pretrained", residual_source(device, 10), data, quick(0)),
                 ValueError);
  }
  EXPECT_THROW(fit_one("bss:spectral_count=0", source, data, quick(0)), ValueError);
  EXPECT_THROW(fit_one("bss:spectral_strength=-1", source, data, quick(0)), ValueError);
  EXPECT_THROW(fit_one("delta:map_strength=-1", source, data, quick(0)), ValueError);
  EXPECT_THROW(fit_one("delta:attention_samples=0", source, data, quick(0)), ValueError);
  EXPECT_THROW(fit_one("delta:attention_temperature=0", source, data, quick(0)), ValueError);
}

}  // namespace
}  // namespace rtl::transfer
