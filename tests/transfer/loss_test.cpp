// The losses that a training can minimise, against a linear model trained in double, and in every strategy.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "rtl/transfer/compare.hpp"
#include "rtl/transfer/metrics.hpp"
#include "rtl/transfer/strategies.hpp"
#include "support/devices.hpp"
#include "transfer/learning.hpp"
#include "transfer/replica_runs.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using data::Normalization;
using Numbers = std::vector<double>;

constexpr std::int64_t samples = 40, features = 5, outputs = 3;

/// What an output and what it should be cost, and the derivative with respect to the output.
using Element = std::function<std::pair<double, double>(double output, double wanted)>;

Element bce() {
  return [](double z, double y) {
    return std::pair(std::max(z, 0.0) + std::log1p(std::exp(-std::fabs(z))) - z * y, 1 / (1 + std::exp(-z)) - y);
  };
}

Element huber(double delta) {
  return [delta](double output, double wanted) {
    const double r = output - wanted, size = std::fabs(r);
    if (size <= delta) return std::pair(r * r / 2, r);
    return std::pair(delta * (size - delta / 2), std::copysign(delta, r));
  };
}

Element squared() {
  return [](double output, double wanted) {
    return std::pair((output - wanted) * (output - wanted), 2 * (output - wanted));
  };
}

/// A linear model of all samples at once, by gradient descent.
struct Linear {
  Numbers inputs, wanted;  ///< [samples, features], [samples, outputs]
  Numbers sample_weights;  ///< of mean 1
  Numbers weights;         ///< [outputs, features], then biases

  double step(const Element& element, double rate) {
    Numbers gradient(weights.size());
    double loss = 0;
    for (std::int64_t i = 0; i < samples; ++i) {
      for (std::int64_t c = 0; c < outputs; ++c) {
        double z = at(weights, outputs * features + c);
        for (std::int64_t j = 0; j < features; ++j) z += at(weights, c * features + j) * at(inputs, i * features + j);
        const auto [value, slope] = element(z, at(wanted, i * outputs + c));
        const double share = at(sample_weights, i) / (samples * outputs);
        loss += share * value;
        for (std::int64_t j = 0; j < features; ++j) {
          gradient[static_cast<std::size_t>(c * features + j)] += share * slope * at(inputs, i * features + j);
        }
        gradient[static_cast<std::size_t>(outputs * features + c)] += share * slope;
      }
    }
    for (std::size_t k = 0; k < weights.size(); ++k) weights[k] -= rate * gradient[k];
    return loss;
  }
  static double at(const Numbers& values, std::int64_t i) { return values[static_cast<std::size_t>(i)]; }
};

data::Dataset make_data(bool real, bool weighted, const Device& device) {
  data::Dataset data = testing::make_vectors(2, samples, features, outputs, 1.0, device);
  if (real) {
    RandomSequence random(4);
    std::vector<float> targets;
    for (std::int64_t i = 0; i < samples * outputs; ++i) targets.push_back(static_cast<float>(random.normal()));
    targets[3] = 30;
    data.targets = Tensor::from(targets, {samples, outputs}, device);
    data.labels = Tensor();
    data.classes = 0;
  }
  if (weighted) {
    std::vector<float> weights;
    for (std::int64_t i = 0; i < samples; ++i) weights.push_back(0.5F + static_cast<float>(i % 3));
    data.weights = Tensor::from(weights, {samples}, device);
  }
  return data;
}

TrainingOptions with_loss(LossKind kind, std::int64_t epochs = 8, std::uint64_t seed = 7) {
  TrainingOptions options = testing::quick(epochs, seed);
  options.loss.kind = kind;
  return options;
}

void expect_trained(const data::Dataset& data, TrainingOptions options, const Element& element) {
  const Device device = data.inputs.device();
  const auto numbers = [](const auto& values) { return Numbers(values.begin(), values.end()); };
  options.batch_size = samples;
  options.momentum = 0;
  options.learning_rate = 0.5;
  const auto network = testing::make("mlp", "none", {features}, outputs, 1, device);
  Linear model{numbers(data.inputs.to_vector<float>()), Numbers(samples * outputs), Numbers(samples, 1),
               numbers(testing::values_of(network->state()))};
  if (data.is_regression()) {
    model.wanted = numbers(standardized_targets(Task::of(data), data));
  } else {
    std::size_t row = 0;
    for (double& share : model.wanted) share = options.label_smoothing / outputs;
    for (const std::int32_t label : data.labels.to_vector<std::int32_t>()) {
      model.wanted[outputs * row++ + static_cast<std::size_t>(label)] += 1 - options.label_smoothing;
    }
  }
  if (data.weights.defined()) model.sample_weights = numbers(data.mean_one_weights());
  const TrainingRecord record = train(*network, data, Normalization::none, options);
  for (const double loss : record.losses) ASSERT_NEAR(loss, model.step(element, options.learning_rate), 2e-5);
  const Numbers found = numbers(testing::values_of(network->state()));
  for (std::size_t k = 0; k < found.size(); ++k) ASSERT_NEAR(found[k], model.weights[k], 2e-5) << k;
}

TEST(Losses, AreThoseOfALinearModelInDouble) {
  for (const Device& device : testing::devices()) {
    for (const bool weighted : {false, true}) {
      SCOPED_TRACE(device.name() + (weighted ? ", weighted" : ""));
      const data::Dataset classes = make_data(false, weighted, device), real = make_data(true, weighted, device);
      TrainingOptions options = with_loss(LossKind::bce);
      expect_trained(classes, options, bce());
      options.label_smoothing = 0.2;
      expect_trained(classes, options, bce());
      for (const double delta : {0.3, 1.0}) {
        options = with_loss(LossKind::huber);
        options.loss.huber_delta = delta;
        expect_trained(real, options, huber(delta));
      }
      expect_trained(real, with_loss(LossKind::squared), squared());
      expect_trained(real, with_loss(LossKind::automatic), squared());
    }
  }
}

TEST(Losses, TheDefaultIsCrossEntropyOfClasses) {
  const Device device = Device::cpu(1);
  const data::Dataset data = make_data(false, false, device);
  const auto trained = [&](LossKind kind) {
    const auto network = testing::make("mlp", "6", {features}, outputs, 1, device);
    train(*network, data, Normalization::none, with_loss(kind));
    return testing::values_of(network->state());
  };
  EXPECT_TRUE(testing::same_bytes(trained(LossKind::automatic), trained(LossKind::cross_entropy)));
  EXPECT_FALSE(testing::same_bytes(trained(LossKind::automatic), trained(LossKind::bce)));
}

TEST(Losses, OfReplicasAndMixupAreThoseOfSeparateTrainings) {
  for (const Device& device : test::devices_and_threads()) {
    for (const LossKind kind : {LossKind::bce, LossKind::huber}) {
      SCOPED_TRACE(test::name_of(device) + " " + to_string(kind));
      const data::Dataset data = make_data(kind == LossKind::huber, true, device);
      testing::expect_replicas_as_separate([&](std::uint64_t r) -> testing::NetworkTraining {
        TrainingOptions options = with_loss(kind, 3, 5 + r);
        options.mixup = 0.4;
        return {
            testing::make("mlp", "6", {features}, outputs, 30 + r, device), {&data, Normalization::none, {}}, options};
      });
    }
  }
}

TEST(Losses, ThatDoNotSuitTheTargetsAreRefused) {
  const Device device = Device::cpu(1);
  const auto message = [&](bool real, LossKind kind) -> std::string {
    const auto network = testing::make("mlp", "6", {features}, outputs, 1, device);
    try {
      train(*network, make_data(real, false, device), Normalization::none, with_loss(kind, 1));
    } catch (const ValueError& error) {
      return error.what();
    }
    return "";
  };
  for (const LossKind kind : {LossKind::squared, LossKind::huber}) {
    EXPECT_EQ(message(true, kind), "");
    EXPECT_EQ(message(false, kind),
              "train: loss is " + to_string(kind) + ", but gaussians has classes, which take cross-entropy or bce");
  }
  for (const LossKind kind : {LossKind::cross_entropy, LossKind::bce}) {
    EXPECT_EQ(message(false, kind), "");
    EXPECT_EQ(message(true, kind),
              "train: loss is " + to_string(kind) + ", but gaussians has real targets, which take squared or huber");
  }
  TrainingOptions options;
  const std::uint64_t plain = options.hash();
  options.loss.huber_delta = 0;
  EXPECT_THROW(options.validate(), ValueError);
  options.loss = {LossKind::huber, 2};
  options.validate();
  EXPECT_NE(options.hash(), plain);
  EXPECT_EQ(parse_loss("bce"), LossKind::bce);
  EXPECT_THROW(parse_loss("hinge"), ValueError);

  const data::Dataset data = make_data(false, false, device);
  const auto network = testing::make("mlp", "6", {features}, outputs, 1, device);
  WholeNetwork model(*network);
  const TrainingData given{&data, Normalization::none, {}};
  const Replica replicas[] = {{&model, given, with_loss(LossKind::bce)},
                              {&model, given, with_loss(LossKind::automatic)}};
  EXPECT_THROW(train_replicas(replicas), ValueError);
}

/// What is told of a training that learns nothing is measured by the loss that it minimised.
TEST(Losses, DecideWhetherAnythingWasLearned) {
  const std::vector<std::int32_t> labels{0, 0, 0, 1};
  const Loss one_for_each{LossKind::bce}, robust{LossKind::huber, 0.5};
  const double entropy = -0.75 * std::log(0.75) - 0.25 * std::log(0.25);
  EXPECT_NEAR(detail::loss_of_shares(labels, 4, {LossKind::cross_entropy}), entropy, 1e-15);
  EXPECT_NEAR(detail::loss_of_shares(labels, 4, one_for_each), 2 * entropy / 4, 1e-15);
  EXPECT_NEAR(detail::loss_of_mean({0.5F, -2}, {LossKind::squared}), 4.25 / 2, 1e-15);
  EXPECT_NEAR(detail::loss_of_mean({0.5F, -2}, robust), (0.125 + 0.5 * 1.75) / 2, 1e-15);
  detail::LearningCheck logits(2, one_for_each), errors(2, robust);
  const std::int32_t label = 1;
  logits.add(Numbers{0.5, -700}, &label);
  EXPECT_NEAR(logits.mean_loss(), (std::log1p(std::exp(0.5)) + 700) / 2, 1e-12);
  const float targets[] = {0, 1};
  errors.add(Numbers{0.25, 3}, targets);
  EXPECT_NEAR(errors.mean_loss(), (0.03125 + 0.5 * 1.75) / 2, 1e-15);

  const Device device = Device::cpu(1);
  for (const LossKind kind : {LossKind::bce, LossKind::huber}) {
    const data::Dataset data = make_data(kind == LossKind::huber, false, device);
    const auto warnings = [&](double rate) {
      const auto network = testing::make("mlp", "6", {features}, outputs, 1, device);
      TrainingOptions options = with_loss(kind, 60);
      options.learning_rate = rate;
      return train(*network, data, Normalization::none, options).warnings;
    };
    EXPECT_EQ(warnings(0.1), std::vector<std::string>()) << to_string(kind);
    const std::vector<std::string> told = warnings(1e-9);
    const auto nothing = [](const std::string& text) { return text.find("it learned nothing") != std::string::npos; };
    EXPECT_TRUE(std::any_of(told.begin(), told.end(), nothing)) << to_string(kind);
  }
}

/// Every strategy that is trained minimises it, and classifies.
TEST(Losses, AreThoseOfEveryStrategy) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_vectors(1, 60, 6, 3, 3.0, device);
  auto network = testing::make("mlp", "8", {6}, 3, 3, device);
  train(*network, data, Normalization::none, testing::quick(10));
  const FrozenSource source(std::move(network), {}, "source");
  StrategyOptions options;
  options.model = "mlp:8";
  options.source_data = &data;
  for (const Strategy* strategy : testing::library_strategies()) {
    const StrategyInfo& info = strategy->info();
    if (!info.trains) continue;
    SCOPED_TRACE(info.name);
    const auto fitted = [&](LossKind kind) {
      TrainingOptions training = with_loss(kind, 40, 3);
      training.learning_rate = 0.05;
      return fit(info.name, testing::sources_for(info, source), data, training, options);
    };
    const Fitted one_for_each = fitted(LossKind::bce), usual = fitted(LossKind::automatic);
    EXPECT_NE(one_for_each.training().losses, usual.training().losses);
    EXPECT_GT(evaluate(one_for_each, data).accuracy, 0.7);
  }
  // The source's samples alone.
  options.values["source_share"] = "1";
  const auto losses = [&](LossKind kind) {
    return fit("importance-weighting", {source}, data, with_loss(kind, 3), options).training().losses;
  };
  EXPECT_NE(losses(LossKind::bce), losses(LossKind::automatic));
}

TEST(Losses, AucIsThatOfTheProbabilitiesThatALossLearns) {
  const Device device = Device::cpu(1);
  const data::TrainTest target{testing::make_vectors(1, 40, 5, 3, 1.0, device),
                               testing::make_vectors(2, 200, 5, 3, 1.0, device)};
  for (const LossKind kind : {LossKind::bce, LossKind::cross_entropy}) {
    CompareOptions options;
    options.strategies = {"scratch"};
    options.seeds = 1;
    options.first_seed = 7;
    options.strategy.model = "mlp:8";
    options.training = testing::quick(10);
    options.training.loss = {kind};
    const Fitted fitted = scratch(target.train, options.training, options.strategy);
    const double by_sigmoid = score(fitted.outputs(target.test), target.test, true).auc;
    const double by_softmax = score(fitted.outputs(target.test), target.test).auc;
    ASSERT_NE(by_sigmoid, by_softmax);
    const double wanted = kind == LossKind::bce ? by_sigmoid : by_softmax;
    EXPECT_EQ(evaluate(fitted, target.test).auc, wanted);
    EXPECT_EQ(compare({}, target, options).strategies.front().auc.mean, wanted);
  }
}

TEST(Losses, HuberDoesNotFollowOutliers) {
  const Device device = Device::cpu(1);
  RandomSequence random(5);
  std::vector<float> x, y, clean;
  for (int i = 0; i < 120; ++i) {
    x.push_back(static_cast<float>(random.normal()));
    clean.push_back(2 * x.back());
    y.push_back(i % 12 == 0 ? clean.back() + 40 : clean.back());
  }
  const auto made = [&](const std::vector<float>& targets) {
    data::Dataset data;
    data.inputs = Tensor::from(x, {120, 1}, device);
    data.targets = Tensor::from(targets, {120, 1}, device);
    data.name = "line";
    return data;
  };
  StrategyOptions options;
  options.model = "mlp:none";
  const auto error = [&](LossKind kind) {
    TrainingOptions training = with_loss(kind, 200);
    training.loss.huber_delta = 0.1;
    return evaluate(scratch(made(y), training, options), made(clean)).rmse;
  };
  EXPECT_LT(error(LossKind::huber), 0.3 * error(LossKind::squared));
}

}  // namespace
}  // namespace rtl::transfer
