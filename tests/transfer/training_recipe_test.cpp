// The recipe of a training (clipping, label smoothing, warm-up, averages, schedule-free AdamW) against softmax
// regression that is trained in double, resumed, and as replicas.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <span>
#include <vector>

#include "rtl/transfer/metrics.hpp"
#include "rtl/transfer/training.hpp"
#include "support/devices.hpp"
#include "transfer/mixup.hpp"
#include "transfer/replica_runs.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using data::Normalization;
using testing::Folder;
using Numbers = std::vector<double>;

constexpr std::int64_t samples = 40, features = 5, classes = 3;

/// Weights [classes, features], then biases.
struct Regression {
  Numbers inputs;
  Numbers shares;  ///< of the classes in each sample
  Numbers weights;

  /// Mean cross-entropy; its gradient is put into `gradient`.
  double loss(double smoothing, Numbers& gradient) const {
    gradient.assign(weights.size(), 0);
    double total = 0;
    for (std::int64_t i = 0; i < samples; ++i) {
      Numbers logits(classes);
      double sum = 0;
      for (std::int64_t c = 0; c < classes; ++c) {
        double& z = logits[static_cast<std::size_t>(c)];
        z = weights[static_cast<std::size_t>(classes * features + c)];
        for (std::int64_t j = 0; j < features; ++j) z += weight(c, j) * input(i, j);
        sum += std::exp(z);
      }
      for (std::int64_t c = 0; c < classes; ++c) {
        const double log_p = logits[static_cast<std::size_t>(c)] - std::log(sum);
        const double own = shares[static_cast<std::size_t>(i * classes + c)];
        const double share = smoothing / classes + (1 - smoothing) * own;
        total -= share * log_p;
        const double slope = (std::exp(log_p) - share) / samples;
        for (std::int64_t j = 0; j < features; ++j) {
          gradient[static_cast<std::size_t>(c * features + j)] += slope * input(i, j);
        }
        gradient[static_cast<std::size_t>(classes * features + c)] += slope;
      }
    }
    return total / samples;
  }
  /// The samples of an epoch's order, each mixed with its partner.
  Regression mixed(const detail::Mixture& mixture, std::span<const std::int64_t> order) const {
    Regression made = *this;
    for (std::size_t k = 0; k < order.size(); ++k) {
      const double share = mixture.shares[k];
      const auto mix = [&](const Numbers& from, Numbers& to, std::int64_t width) {
        for (std::int64_t j = 0; j < width; ++j) {
          const auto own = static_cast<std::size_t>(order[k] * width + j);
          const auto other = static_cast<std::size_t>(mixture.partners[k] * width + j);
          to[k * static_cast<std::size_t>(width) + static_cast<std::size_t>(j)] =
              share * from[own] + (1 - share) * from[other];
        }
      };
      mix(inputs, made.inputs, features);
      mix(shares, made.shares, classes);
    }
    return made;
  }
  double weight(std::int64_t c, std::int64_t j) const { return weights[static_cast<std::size_t>(c * features + j)]; }
  double input(std::int64_t i, std::int64_t j) const { return inputs[static_cast<std::size_t>(i * features + j)]; }
};

/// Each epoch is one step over all samples, by SGD without momentum, or by schedule-free AdamW with its own x and z.
Numbers reference(Regression model, const TrainingOptions& options, Numbers& losses) {
  Numbers average = model.weights, x = average, z = average, v(average.size()), gradient;
  double weight_sum = 0;
  data::BatchSampler sampler(samples, options.batch_size, options.seed);
  for (std::int64_t t = 1; t <= options.epochs; ++t) {
    sampler.start_epoch(t - 1);
    const auto seen = [&] {
      return options.mixup > 0
                 ? model.mixed(detail::draw_mixture(sampler, options.mixup, options.seed), sampler.order())
                 : model;
    };
    losses.push_back(seen().loss(options.label_smoothing, gradient));
    double norm = 0;
    for (const double g : gradient) norm += g * g;
    norm = std::sqrt(norm);
    const double factor = options.clip_norm > 0 ? std::min(1.0, options.clip_norm / norm) : 1;
    const auto number = static_cast<double>(t);
    double rate = options.learning_rate;
    if (options.warmup_epochs > 0) rate *= std::min(1.0, number / options.warmup_epochs);
    const bool free = options.optimizer == OptimizerKind::schedule_free_adamw;
    if (free) rate *= std::sqrt(1 - std::pow(0.999, number));
    weight_sum += rate * rate;
    const double c = rate * rate / weight_sum, decay = std::min(options.ema, (1 + number) / (10 + number));
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      const double g = factor * gradient[i];
      double& w = model.weights[i];
      if (free) {
        v[i] = 0.999 * v[i] + 0.001 * g * g;
        z[i] -= rate * (g / (std::sqrt(v[i]) + 1e-8) + options.weight_decay * w);
        x[i] = (1 - c) * x[i] + c * z[i];
        w = 0.1 * z[i] + 0.9 * x[i];
      } else {
        w -= rate * (g + options.weight_decay * w);
      }
      average[i] = decay * average[i] + (1 - decay) * w;
    }
    if (free) average = x;
  }
  return options.ema > 0 || options.optimizer == OptimizerKind::schedule_free_adamw ? average : model.weights;
}

TrainingOptions plain() {
  TrainingOptions options = testing::quick(12);
  options.batch_size = samples;
  options.momentum = 0;
  options.learning_rate = 0.5;
  return options;
}

using Change = std::function<void(TrainingOptions&)>;

const Change changes[] = {[](TrainingOptions&) {},
                          [](TrainingOptions& options) { options.clip_norm = 0.05; },
                          [](TrainingOptions& options) { options.label_smoothing = 0.3; },
                          [](TrainingOptions& options) { options.warmup_epochs = 4.5; },
                          [](TrainingOptions& options) { options.ema = 0.6; },
                          [](TrainingOptions& options) { options.mixup = 0.4; },
                          [](TrainingOptions& options) {
                            options.optimizer = OptimizerKind::schedule_free_adamw;
                            options.learning_rate = 0.05;
                            options.weight_decay = 0.1;
                            options.warmup_epochs = 3;
                          },
                          [](TrainingOptions& options) {
                            options.clip_norm = 0.1;
                            options.mixup = 2;
                            options.label_smoothing = 0.1;
                            options.warmup_epochs = 2;
                            options.ema = 0.9;
                            options.weight_decay = 0.01;
                          }};

TEST(TrainingRecipe, IsThatOfSoftmaxRegressionInDouble) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = testing::make_vectors(2, samples, features, classes, 1.0, device);
    std::vector<Numbers> seen;
    for (std::size_t i = 0; i < std::size(changes); ++i) {
      SCOPED_TRACE(device.name() + ", change " + std::to_string(i));
      const auto network = testing::make("mlp", "none", {features}, classes, 1, device);
      const auto numbers = [](const auto& values) { return Numbers(values.begin(), values.end()); };
      Regression model{numbers(data.inputs.to_vector<float>()), Numbers(samples * classes),
                       numbers(testing::values_of(network->state()))};
      std::size_t row = 0;
      for (const std::int32_t label : data.labels.to_vector<std::int32_t>()) {
        model.shares[classes * row++ + static_cast<std::size_t>(label)] = 1;
      }
      TrainingOptions options = plain();
      changes[i](options);
      const TrainingRecord record = train(*network, data, Normalization::none, options);
      Numbers losses;
      const Numbers wanted = reference(model, options, losses);
      const Numbers found = numbers(testing::values_of(network->state()));
      ASSERT_EQ(found.size(), wanted.size());
      for (std::size_t k = 0; k < found.size(); ++k) ASSERT_NEAR(found[k], wanted[k], 2e-5) << k;
      for (std::size_t k = 0; k < losses.size(); ++k) ASSERT_NEAR(record.losses[k], losses[k], 2e-5) << k;
      for (const Numbers& other : seen) {
        double difference = 0;
        for (std::size_t k = 0; k < found.size(); ++k) difference += std::fabs(found[k] - other[k]);
        EXPECT_GT(difference, 1e-3);
      }
      seen.push_back(found);
    }
  }
}

TEST(TrainingRecipe, MixupDrawsSharesFromBeta) {
  for (const double alpha : {0.01, 0.2, 1.0, 5.0}) {
    SCOPED_TRACE(alpha);
    data::BatchSampler sampler(4099, 2, 3);
    const detail::Mixture first = detail::draw_mixture(sampler, alpha, 3);
    EXPECT_EQ(first.partners, detail::draw_mixture(sampler, alpha, 3).partners);
    EXPECT_EQ(first.shares, detail::draw_mixture(sampler, alpha, 3).shares);
    EXPECT_NE(first.shares, detail::draw_mixture(sampler, alpha, 4).shares);
    double sum = 0, squares = 0;
    for (std::int64_t i = 0; i < sampler.batches(); ++i) {
      const auto batch = sampler.batch(i);
      const auto at = static_cast<std::size_t>(2 * i);
      EXPECT_EQ(first.partners[at], batch[batch.size() - 1]);
      if (batch.size() == 2) {
        EXPECT_EQ(first.partners[at + 1], batch[0]);
        EXPECT_EQ(first.shares[at + 1], first.shares[at]);
      }
      const double share = first.shares[at];
      ASSERT_TRUE(share >= 0 && share <= 1) << share;
      sum += share;
      squares += share * share;
    }
    const auto count = static_cast<double>(sampler.batches());
    const double mean = sum / count, variance = squares / count - mean * mean;
    // Five deviations of a mean of 2050 draws; a variance of numbers in [0, 1] has a deviation of at most 1/4 of one.
    EXPECT_NEAR(mean, 0.5, 5 * std::sqrt(0.25 / (2 * alpha + 1) / count));
    EXPECT_NEAR(variance, 0.25 / (2 * alpha + 1), 5 * 0.25 / std::sqrt(count));
    sampler.start_epoch(1);
    EXPECT_NE(first.shares, detail::draw_mixture(sampler, alpha, 3).shares);
  }
}

/// Several steps an epoch, batch norm and a last batch of another size.
std::vector<float> trained(const TrainingOptions& options, const Device& device, TrainingRecord* record = nullptr) {
  const data::Dataset data = testing::make_images(1, 50, 4, 8, device);
  const auto network = testing::make("resnet_cifar", "8", {8, 8, 3}, 4, 11, device);
  const TrainingRecord made = train(*network, data, Normalization::half, options);
  if (record) *record = made;
  return testing::values_of(network->state());
}

TEST(TrainingRecipe, ResumesBitForBit) {
  for (std::size_t i = 1; i < std::size(changes); ++i) {
    for (const Precision precision : {Precision::f32, Precision::bf16}) {
      SCOPED_TRACE(i);
      const Folder folder;
      const Device device = Device::cpu(1);
      TrainingOptions options = testing::quick(4);
      options.precision = precision;
      changes[i](options);
      const std::vector<float> whole = trained(options, device);
      options.checkpoint = folder / "state";
      options.checkpoint_interval = 1;
      options.resume = true;
      int epochs = 0;
      options.stop = [&epochs] { return ++epochs == 2; };
      TrainingRecord record;
      EXPECT_FALSE(testing::same_bytes(trained(options, device, &record), whole));
      EXPECT_FALSE(record.complete);
      EXPECT_TRUE(testing::same_bytes(trained(options, device, &record), whole));
      EXPECT_TRUE(record.complete);
    }
  }
}

TEST(TrainingRecipe, OfReplicasIsThatOfSeparateTrainings) {
  for (const Device& device : test::devices_and_threads()) {
    const data::Dataset data = testing::make_vectors(1, 37, features, classes, 1.0, device);
    const data::InputNormalization normalization = data::fit_normalization(data, Normalization::standardize);
    for (std::size_t i = 1; i < std::size(changes); ++i) {
      SCOPED_TRACE(test::name_of(device) + ", change " + std::to_string(i));
      testing::expect_replicas_as_separate([&](std::uint64_t r) -> testing::NetworkTraining {
        TrainingOptions options = testing::quick(3, 5 + r);
        changes[i](options);
        options.learning_rate *= static_cast<double>(1 + r);
        options.warmup_epochs = static_cast<double>(r);
        options.epochs = r == 1 ? 2 : 3;
        return {testing::make("mlp", "6", {features}, classes, 30 + r, device), {&data, normalization, {}}, options};
      });
    }
  }
}

TEST(TrainingRecipe, RefusesBadOptions) {
  const Device device = Device::cpu(1);
  data::Dataset data = testing::make_vectors(2, samples, features, classes, 1.0, device);
  const auto network = testing::make("mlp", "none", {features}, classes, 1, device);
  const auto message = [&](const Change& change) -> std::string {
    TrainingOptions options = plain();
    change(options);
    try {
      train(*network, data, Normalization::none, options);
    } catch (const ValueError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message([](auto&) {}), "");
  const std::pair<Change, const char*> faults[] = {
      {[](auto& o) { o.clip_norm = -1; }, "clip_norm must be a number of at least 0"},
      {[](auto& o) { o.label_smoothing = 1; }, "label_smoothing must be a number in [0, 1)"},
      {[](auto& o) { o.ema = 1; }, "ema must be a number in [0, 1)"},
      {[](auto& o) { o.mixup = -0.1; }, "mixup must be a number of at least 0"},
      {[](auto& o) { o.warmup_epochs = NAN; }, "warmup_epochs must be a number of at least 0"},
      {[](auto& o) {
         o.optimizer = OptimizerKind::schedule_free_adamw;
         o.schedule = ScheduleKind::cosine;
       },
       "needs constant"},
      {[](auto& o) {
         o.optimizer = OptimizerKind::schedule_free_adamw;
         o.ema = 0.5;
       },
       "an average of its own"}};
  for (const auto& [change, text] : faults) EXPECT_NE(message(change).find(text), std::string::npos) << text;
  std::vector<float> targets(samples * classes);
  for (std::size_t i = 0; i < targets.size(); ++i) targets[i] = std::sin(static_cast<float>(i));
  data.targets = Tensor::from(targets, {samples, classes}, device);
  data.labels = Tensor();
  data.classes = 0;
  const std::string refusal = message([](auto& o) { o.label_smoothing = 0.1; });
  EXPECT_NE(refusal.find("has real targets"), std::string::npos) << refusal;
  EXPECT_EQ(message([](auto& o) { o.mixup = 1; }), "");  // real targets are mixed too
}

}  // namespace
}  // namespace rtl::transfer
