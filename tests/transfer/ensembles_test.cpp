// Strategies on several networks, by their definitions: means of outputs, of weights, of probabilities.
#include <gtest/gtest.h>

#include <algorithm>

#include <cmath>

#include "rtl/transfer/strategies.hpp"
#include "transfer/running_statistics.hpp"
#include "transfer/setting.hpp"

namespace rtl::transfer {
namespace {

using testing::quick;
using Names = std::vector<std::string>;

constexpr std::int64_t classes = 3;

std::vector<float> numbers(const Tensor& tensor) { return tensor.to_vector<float>(); }

/// Two sources of the target's task.
struct Setting : testing::GaussianSetting {
  explicit Setting(const Device& device)
      : GaussianSetting(device), first(trained("12", 4, device)), second(trained("7", 5, device)) {}
  std::vector<float> outputs(const std::string& name, const std::vector<FrozenSource>& sources,
                             const TrainingOptions& training) const {
    return numbers(fit(name, sources, training).outputs(test));
  }
  FrozenSource first, second;
};

FusedHead& head_of(const Fitted& fitted) { return dynamic_cast<FusedHead&>(fitted.predictor()); }

void expect_near(const std::vector<float>& a, const std::vector<double>& b, double bound) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], bound) << i;
}

std::vector<double> mean_of(const std::vector<float>& a, const std::vector<float>& b) {
  std::vector<double> mean;
  for (std::size_t i = 0; i < a.size(); ++i) mean.push_back((static_cast<double>(a[i]) + b[i]) / 2);
  return mean;
}

std::vector<double> softmax(const std::vector<float>& z) {
  std::vector<double> p;
  for (std::size_t begin = 0; begin < z.size(); begin += classes) {
    double sum = 0;
    for (std::size_t c = 0; c < classes; ++c) sum += std::exp(static_cast<double>(z[begin + c]));
    for (std::size_t c = 0; c < classes; ++c) p.push_back(std::exp(static_cast<double>(z[begin + c])) / sum);
  }
  return p;
}

TEST(LogitEnsemble, IsTheMeanOfItsMembers) {
  for (const Device& device : testing::devices()) {
    const Setting s(device);
    const std::pair<const char*, const char*> kinds[] = {{"probes", "probe"}, {"copies", "fine-tune"}};
    for (const auto& [members, alone] : kinds) {
      SCOPED_TRACE(members);
      const std::vector<float> a = s.outputs(alone, {s.first}, quick()), b = s.outputs(alone, {s.second}, quick());
      const std::string name = std::string("logit-ensemble:member_kind=") + members;
      expect_near(s.outputs(name, {s.first, s.second}, quick()), mean_of(a, b), 1e-5);
      const std::vector<float> mixed = s.outputs(name + ":probabilities", {s.first, s.second}, quick());
      const std::vector<double> p = softmax(a), q = softmax(b);
      for (std::size_t i = 0; i < mixed.size(); ++i) EXPECT_NEAR(std::exp(mixed[i]), (p[i] + q[i]) / 2, 1e-5);
      const Fitted one = s.fit(name, {s.first}, quick());
      expect_near(numbers(one.outputs(s.test)), {a.begin(), a.end()}, 1e-5);
    }
  }
}

TEST(LogitEnsemble, OwnIsTheMeanOfScratchAndTheSourcesAsTheyAre) {
  for (const Device& device : testing::devices()) {
    const Setting s(device);
    const std::vector<float> scratch = s.outputs("scratch", {}, quick());
    const std::vector<float> a = numbers(s.first.logits(s.test)), b = numbers(s.second.logits(s.test));
    const Fitted fitted = s.fit("logit-ensemble:own", {s.first, s.second}, quick());
    std::vector<double> mean, mixture;
    for (std::size_t i = 0; i < a.size(); ++i) mean.push_back((double{scratch[i]} + a[i] + b[i]) / 3);
    expect_near(numbers(fitted.outputs(s.test)), mean, 1e-5);
    EXPECT_EQ(fitted.trainable_parameters(), s.fit("scratch", {}, quick()).trainable_parameters());

    const std::vector<double> p = softmax(scratch), q = softmax(a), r = softmax(b);
    for (std::size_t i = 0; i < p.size(); ++i) mixture.push_back(std::log((p[i] + q[i] + r[i]) / 3));
    expect_near(s.outputs("logit-ensemble:own:probabilities", {s.first, s.second}, quick()), mixture, 1e-4);

    const testing::Folder folder;
    fitted.save(folder / "fitted.safetensors");
    EXPECT_TRUE(testing::same_bytes(numbers(Fitted::load(folder / "fitted.safetensors", device).outputs(s.test)),
                                    numbers(fitted.outputs(s.test))));
  }
}

TEST(LogitEnsemble, OwnNeedsTheTargetsClasses) {
  const Device device = Device::cpu(1);
  const Setting s(device);
  const FrozenSource other(testing::make("mlp", "7", {5}, classes + 1, 1, device));
  EXPECT_THROW(s.fit("logit-ensemble:own", {s.first, other}, quick()), ValueError);
}

TEST(LogitEnsemble, CopiesNeedNetworks) {
  for (const char* name : {"logit-ensemble:copies", "cat-two-stage"}) {
    const Device device = Device::cpu(1);
    const Setting s(device);
    const FrozenSource bare = FrozenSource::of_features("bare", 4, [&](const data::Dataset& data) {
      return Tensor::zeros({data.size(), 4}, DType::f32, device);
    });
    EXPECT_THROW(s.fit(name, {s.first, bare}, quick(1)), ValueError) << name;
    EXPECT_THROW(s.fit(name, {}, quick(1)), ValueError) << name;
  }
}

/// Members that are alike in width start at one head, whatever their place.
TEST(LogitEnsemble, PermutedSourcesPermuteTheBlocks) {
  const Device device = Device::cpu(1);
  const Setting s(device);
  for (const char* name : {"logit-ensemble", "concatenate:joint_start=mean"}) {
    SCOPED_TRACE(name);
    TrainingOptions training = quick(2);
    const Fitted ab = s.fit(name, {s.first, s.second}, training), ba = s.fit(name, {s.second, s.first}, training);
    const std::vector<float> x = numbers(head_of(ab).weight()), y = numbers(head_of(ba).weight());
    for (std::size_t c = 0; c < classes; ++c) {
      for (std::size_t j = 0; j < 19; ++j) {
        // The joint training adds up the two blocks in another order.
        EXPECT_NEAR(x[c * 19 + j], y[c * 19 + (j < 12 ? j + 7 : j - 12)], 1e-5);
      }
    }
    const std::vector<float> there = numbers(ba.outputs(s.test));
    expect_near(numbers(ab.outputs(s.test)), {there.begin(), there.end()}, 1e-4);
  }
}

TEST(Concatenate, IsAProbeOnAllFeatures) {
  for (const Device& device : testing::devices()) {
    const Setting s(device);
    const std::vector<float> one = s.outputs("concatenate", {s.first}, quick());
    EXPECT_TRUE(testing::same_bytes(one, s.outputs("probe", {s.first}, quick()))) << "one source: the probe";
    const Fitted both = s.fit("concatenate", {s.first, s.second}, quick(20));
    EXPECT_EQ(both.trainable_parameters(), classes * (12 + 7) + classes);
    EXPECT_GT(evaluate(both, s.test).accuracy, 0.8);
    // The start of the joint head: the mean of the probes' logits. The last stage has no steps where a rate is tiny.
    const std::vector<float> a = s.outputs("probe", {s.first}, quick(0)), b = s.outputs("probe", {s.second}, quick(0));
    expect_near(s.outputs("concatenate:joint_start=mean", {s.first, s.second}, quick(0)), mean_of(a, b), 1e-5);
  }
}

TEST(NearestMean, NamesTheClassOfTheNearestMean) {
  for (const Device& device : testing::devices()) {
    Setting s(device);
    for (const int variant : {0, 1, 2, 3}) {
      SCOPED_TRACE(variant);
      const bool cosine = variant % 2 == 1;
      std::vector<float> weights(60, 1.0F);
      for (std::size_t i = 0; variant > 1 && i < 60; ++i) weights[i] = static_cast<float>(i % 4);
      s.train.weights = variant > 1 ? Tensor::from(weights, {60}, device) : Tensor();
      const Fitted fitted = s.fit(cosine ? "nearest-mean:cosine" : "nearest-mean", {s.first, s.second}, quick());
      const auto features_of = [&](const data::Dataset& samples) {
        const std::vector<float> a = numbers(s.first.features(samples)), b = numbers(s.second.features(samples));
        std::vector<std::vector<double>> x(static_cast<std::size_t>(samples.size()));
        for (std::size_t i = 0; i < x.size(); ++i) {
          for (std::size_t j = 0; j < 12; ++j) x[i].push_back(a[i * 12 + j]);
          for (std::size_t j = 0; j < 7; ++j) x[i].push_back(b[i * 7 + j]);
        }
        return x;
      };
      auto train = features_of(s.train), test = features_of(s.test);
      for (std::size_t j = 0; j < 19 && !cosine; ++j) {
        double mean = 0, variance = 0;
        for (const auto& row : train) mean += row[j] / 60;
        for (const auto& row : train) variance += (row[j] - mean) * (row[j] - mean) / 60;
        const double factor = variance > 1e-12 * mean * mean ? 1 / std::sqrt(variance) : 0;
        for (auto* rows : {&train, &test}) {
          for (auto& row : *rows) row[j] = (row[j] - mean) * factor;
        }
      }
      const std::vector<std::int32_t> labels = s.train.labels.to_vector<std::int32_t>();
      std::vector<std::vector<double>> means(classes, std::vector<double>(19));
      std::vector<double> counts(classes);
      for (std::size_t i = 0; i < 60; ++i) {
        counts[static_cast<std::size_t>(labels[i])] += weights[i];
        for (std::size_t j = 0; j < 19; ++j) means[static_cast<std::size_t>(labels[i])][j] += weights[i] * train[i][j];
      }
      const std::vector<float> logits = numbers(fitted.outputs(s.test));
      for (std::size_t i = 0; i < 200; ++i) {
        std::vector<double> nearness;
        for (std::size_t c = 0; c < classes; ++c) {
          double distance = 0, product = 0, own = 0, norm = 0;
          for (std::size_t j = 0; j < 19; ++j) {
            const double m = means[c][j] / counts[c], x = test[i][j];
            distance += (x - m) * (x - m), product += x * m, own += m * m, norm += x * x;
          }
          nearness.push_back(cosine ? product / std::sqrt(own) : (norm - distance) / 2);
        }
        for (std::size_t c = 0; c < classes; ++c) EXPECT_NEAR(logits[i * classes + c], nearness[c], 2e-4);
      }
      EXPECT_GT(evaluate(fitted, s.test).accuracy, 0.8);
      EXPECT_EQ(fitted.training().steps, 0);
    }
  }
}

TEST(NearestMean, NeverPredictsAClassWithoutSamples) {
  const Device device = Device::cpu(1);
  Setting s(device);
  s.train.classes = classes + 1;
  std::vector<float> weights;  // the samples of another class count nothing
  for (const std::int32_t label : s.train.labels.to_vector<std::int32_t>()) weights.push_back(label == 0 ? 0.0F : 1.0F);
  for (const char* label : {"nearest-mean", "nearest-mean:cosine"}) {
    const std::vector<float> logits = s.fit(label, {s.first}, quick()).outputs(s.test).to_vector<float>();
    for (std::size_t i = 0; i < logits.size(); i += classes + 1) {
      EXPECT_LT(logits[i + classes], *std::min_element(&logits[i], &logits[i] + classes));
    }
    s.train.weights = Tensor::from(weights, {60}, device);
    const std::vector<float> weighted = s.fit(label, {s.first}, quick()).outputs(s.test).to_vector<float>();
    for (std::size_t i = 0; i < weighted.size(); i += classes + 1) {
      EXPECT_LT(weighted[i], std::min(weighted[i + 1], weighted[i + 2]));
      EXPECT_TRUE(std::isfinite(weighted[i + 1]));
    }
    s.train.weights = Tensor();
  }
}

/// A control: members that are equal are one member, whose probe concatenates it with itself.
TEST(Cat, EqualMembersAreNoEnsemble) {
  const Device device = Device::cpu(1);
  const Setting s(device);
  // Three equal blocks move together: their sum follows the single head at three times the rate.
  TrainingOptions third = quick(40), whole = quick(40);
  third.learning_rate = whole.learning_rate / 3;
  const std::string rate = ":pretraining_rate=0.01";
  const Fitted same = s.fit("cat:members=3:pretraining_epochs=30:member_seeds=same" + rate, {s.first}, third);
  const Fitted one = s.fit("cat:members=1:pretraining_epochs=10" + rate, {s.first}, whole);
  EXPECT_EQ(head_of(same).blocks().size(), 3U);
  EXPECT_EQ(head_of(same).blocks()[0].source.fingerprint(), head_of(same).blocks()[2].source.fingerprint());
  EXPECT_EQ(head_of(same).blocks()[0].source.fingerprint(), head_of(one).blocks()[0].source.fingerprint());
  // They differ in where they start; what 200 samples cannot tell apart is a standard error of 0.028.
  EXPECT_NEAR(evaluate(same, s.test).accuracy, evaluate(one, s.test).accuracy, 0.028);
}

TEST(Cat, SpendsOneBudgetOnNetworksLikeTheSource) {
  for (const Device& device : testing::devices()) {
    const Setting s(device);
    const Fitted fitted = s.fit("cat:members=3:pretraining_epochs=14", {s.first}, quick(5));
    const std::vector<FrozenBlock>& blocks = head_of(fitted).blocks();
    ASSERT_EQ(blocks.size(), 3U);
    // 14 / 3 = 4 epochs of ceil(150 / 16) steps each; 5 epochs of ceil(60 / 16).
    EXPECT_EQ(fitted.training().steps, 3 * 4 * 10 + 5 * 4);
    for (const FrozenBlock& block : blocks) EXPECT_EQ(block.source.architecture(), s.first.architecture());
    EXPECT_NE(blocks[0].source.fingerprint(), blocks[1].source.fingerprint());
    // The first member is what pretraining with that seed gives.
    auto alone = layers::make_network(s.first.architecture(), device, quick(5).seed);
    transfer::train(*alone, s.source_data, data::Normalization::none, quick(4));
    EXPECT_EQ(blocks[0].source.fingerprint(), weights_hash(*alone));
    EXPECT_GT(evaluate(fitted, s.test).accuracy, 0.75);
  }
}

TEST(Cat, PublishedProbeIsItsOwnTraining) {
  const Device device = Device::cpu(1);
  const Setting s(device);
  const Fitted fitted = s.fit("cat:members=2:pretraining_epochs=8:probe_recipe=published", {s.first}, quick(3));
  EXPECT_EQ(fitted.training().losses.size(), 2 * 4 + 28U);
  EXPECT_GT(evaluate(fitted, s.test).accuracy, 0.75);
}

TEST(Cat, RefusesWhatItCannotPretrain) {
  const Device device = Device::cpu(1);
  Setting s(device);
  EXPECT_THROW(s.fit("cat:members=5:pretraining_epochs=4", {s.first}, quick()), ValueError);
  const data::Dataset other = testing::make_vectors(3, 50, 4, classes, 2.5, device);
  s.options.source_data = &other;
  EXPECT_THROW(s.fit("cat", {s.first}, quick()), ShapeError);
  s.options.source_data = nullptr;
  EXPECT_THROW(s.fit("cat", {s.first}, quick()), ValueError);
  EXPECT_THROW(s.fit("cat", {}, quick()), ValueError);
}

TEST(CatTwoStage, StartsAtTheMeanOfTheLogits) {
  for (const Device& device : testing::devices()) {
    const Setting s(device);
    const std::vector<float> a = s.outputs("fine-tune", {s.first}, quick()),
                             b = s.outputs("fine-tune", {s.second}, quick());
    expect_near(s.outputs("cat-two-stage:joint_epochs=0", {s.first, s.second}, quick()), mean_of(a, b), 1e-5);
    const Fitted fitted = s.fit("cat-two-stage", {s.first, s.second}, quick(10));
    EXPECT_EQ(fitted.training().losses.size(), 2 * 10 + 2U);
    EXPECT_GT(evaluate(fitted, s.test).accuracy, 0.8);
  }
}

TEST(EnsembleDistill, OneTeacherIsDistillation) {
  for (const Device& device : testing::devices()) {
    const Setting s(device);
    const std::vector<float> distilled = s.outputs("distill", {s.first}, quick());
    for (const char* name : {"ensemble-distill", "ensemble-distill:many"}) {
      // The softmax of a logarithm of a softmax is the same up to roundoff.
      expect_near(s.outputs(name, {s.first}, quick()), {distilled.begin(), distilled.end()}, 1e-4);
    }
  }
}

TEST(EnsembleDistill, FirstLossIsTheFormula) {
  const Device device = Device::cpu(1);
  const Setting s(device);
  TrainingOptions training = quick(1);
  training.batch_size = 60;
  training.learning_rate = 1e-9;
  const std::vector<FrozenSource> sources{s.first, s.second};
  const Fitted fitted = s.fit("ensemble-distill:temperature=3:teacher_weight=0.3", sources, training);
  const auto scaled = [](std::vector<float> z) {
    for (float& value : z) value /= 3;
    return softmax(z);
  };
  const std::vector<float> own = numbers(fitted.outputs(s.train));
  const std::vector<double> hard = softmax(own), soft = scaled(own), p = scaled(numbers(s.first.logits(s.train))),
                            q = scaled(numbers(s.second.logits(s.train)));
  const std::vector<std::int32_t> labels = s.train.labels.to_vector<std::int32_t>();
  double loss = 0;
  for (std::size_t i = 0; i < 60; ++i) {
    loss -= 0.7 / 60 * std::log(hard[i * classes + static_cast<std::size_t>(labels[i])]);
    for (std::size_t c = i * classes; c < (i + 1) * classes; ++c) {
      const double teacher = (p[c] + q[c]) / 2;
      loss += 0.3 * 9 / 60 * teacher * std::log(teacher / soft[c]);
    }
  }
  EXPECT_NEAR(fitted.training().losses.front(), loss, 1e-5);
}

TEST(EnsembleDistill, ManyHeadsBecomeOne) {
  for (const Device& device : testing::devices()) {
    const Setting s(device);
    TrainingOptions training = quick(40);
    training.label_flips = 0.9;  // labels say nothing
    training.learning_rate = 0.05;
    const Fitted fitted = s.fit("ensemble-distill:many:teacher_weight=1", {s.first, s.second}, training);
    EXPECT_EQ(fitted.trainable_parameters(), 5 * 8 + 8 + 2 * (8 * classes + classes)) << "while it is trained";
    EXPECT_EQ(fitted.state().parameter_count(), 5 * 8 + 8 + 8 * classes + classes);
    EXPECT_GT(evaluate(fitted, s.test).accuracy, 0.75);
    EXPECT_TRUE(fitted.sources().empty());
  }
}

TEST(EnsembleDistill, ProbesTeachWhereClassesDiffer) {
  const Device device = Device::cpu(1);
  const Setting s(device);
  const FrozenSource other(testing::make("mlp", "9", {5}, classes + 2, 8, device));
  EXPECT_THROW(s.fit("ensemble-distill:own", {s.first, other}, quick()), ValueError);
  EXPECT_GT(evaluate(s.fit("ensemble-distill", {s.first, other}, quick(30)), s.test).accuracy, 0.7);
  // Probes are trained first: two of them, then the student.
  EXPECT_EQ(s.fit("ensemble-distill", {s.first, other}, quick(3)).training().losses.size(), 9U);
}

TEST(Snapshots, AreStatesOfOneRun) {
  for (const Device& device : testing::devices()) {
    const Setting s(device);
    const Fitted fitted = s.fit("snapshots:snapshots=3", {s.first}, quick(8));
    const auto& stack = dynamic_cast<const Stack&>(fitted.predictor());
    ASSERT_EQ(stack.members().size(), 3U);
    EXPECT_EQ(fitted.training().losses.size(), 8U);
    // The first cycle, of 3 epochs, is a fine-tuning of its own.
    TrainingOptions first = quick(3);
    first.schedule = ScheduleKind::cosine;
    EXPECT_TRUE(testing::same_bytes(testing::values_of(stack.members()[0].predictor->state()),
                                    testing::values_of(s.fit("fine-tune", {s.first}, first).state())));
    std::vector<double> mean(600);
    for (const StackMember& member : stack.members()) {
      const std::vector<double> p = softmax(numbers(member.predictor->predict(s.test, {})));
      for (std::size_t i = 0; i < p.size(); ++i) mean[i] += p[i] / 3;
    }
    const std::vector<float> outputs = numbers(fitted.outputs(s.test));
    for (std::size_t i = 0; i < mean.size(); ++i) EXPECT_NEAR(std::exp(outputs[i]), mean[i], 1e-5);
    EXPECT_EQ(dynamic_cast<const Stack&>(s.fit("snapshots", {s.first}, quick(2)).predictor()).members().size(), 2U);
  }
}

TEST(WeightAverage, IsTheMeanOfWeights) {
  for (const Device& device : testing::devices()) {
    const Setting s(device);
    // Two copies: the first is the fine-tuning; the mean of two lies in the middle between it and the other.
    const std::vector<float> a = testing::values_of(s.fit("fine-tune", {s.first}, quick(4)).state());
    const std::vector<float> one =
        testing::values_of(s.fit("weight-average:copies:average_copies=1", {s.first}, quick(4)).state());
    EXPECT_TRUE(testing::same_bytes(a, one));
    TrainingOptions second = quick(4, mix(quick().seed, 1));
    auto copy = s.first.copy_network(device);
    copy->reset_head(classes, quick().seed);
    transfer::train(*copy, s.train, data::Normalization::none, second);
    const std::vector<float> b = testing::values_of(copy->state());
    const std::vector<float> mean =
        testing::values_of(s.fit("weight-average:copies:average_copies=2", {s.first}, quick(4)).state());
    expect_near(mean, mean_of(a, b), 1e-6);
  }
}

TEST(WeightAverage, OfAPathFollowsItsEpochs) {
  const Device device = Device::cpu(1);
  const Setting s(device);
  const std::vector<float> whole = testing::values_of(s.fit("fine-tune", {s.first}, quick(4)).state());
  EXPECT_TRUE(testing::same_bytes(
      whole, testing::values_of(s.fit("weight-average:average_from=1", {s.first}, quick(4)).state())));
  const Fitted fitted = s.fit("weight-average:average_from=0.5:average_rate=0.02", {s.first}, quick(4));
  EXPECT_EQ(fitted.training().losses.size(), 4U);
  auto copy = s.first.copy_network(device);
  copy->reset_head(classes, quick().seed);
  transfer::train(*copy, s.train, data::Normalization::none, quick(2));
  std::vector<double> mean;
  for (const std::uint64_t epoch : {2, 3}) {
    TrainingOptions one = quick(1, mix(quick().seed, epoch));
    one.learning_rate = 0.02;
    transfer::train(*copy, s.train, data::Normalization::none, one);
    const std::vector<float> values = testing::values_of(copy->state());
    mean.resize(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) mean[i] += values[i] / 2.0;
  }
  expect_near(testing::values_of(fitted.state()), mean, 1e-6);
}

/// The first norm of a residual network, whose inputs are the convolution of the images.
TEST(RunningStatistics, AreThoseOfTheSamples) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
    NetworkPredictor one(testing::make("resnet_cifar", "8", {8, 8, 3}, 4, 3, device), data::Normalization::half);
    NetworkPredictor same(layers::clone(one.network(), device), data::Normalization::half);
    std::vector<std::vector<float>> weights;
    for (const auto& parameter : one.network().state().parameters) weights.push_back(numbers(parameter.value()));
    detail::recompute_statistics(one, data, 40);
    // One step over all samples, from statistics of zero and one: a tenth of each statistic, and what is left.
    TrainingOptions training = quick(1);
    training.batch_size = 40;
    training.learning_rate = 1e-30;
    transfer::train(same.network(), data, data::Normalization::half, training);
    const layers::ModuleState a = one.network().state(), b = same.network().state();
    for (std::size_t k = 0; k < a.buffers.size(); ++k) {
      const std::vector<float> x = numbers(a.buffers[k].value()), y = numbers(b.buffers[k].value());
      const bool variance = a.buffers[k].name.ends_with("var");
      for (std::size_t j = 0; j < x.size(); ++j) {
        const double wanted = (y[j] - (variance ? 0.9 : 0)) / 0.1;
        // Subtracting 0.9 loses up to the roundoff of 1, ten times as much after the division.
        EXPECT_NEAR(x[j], wanted, 2e-5 * (1 + std::abs(wanted))) << a.buffers[k].name;
      }
    }
    for (std::size_t k = 0; k < a.parameters.size(); ++k) {
      EXPECT_EQ(numbers(a.parameters[k].value()), weights[k]) << "weights stay";
    }
    // Batches of 25 and 15: of the first norm the means are those of all samples.
    const std::vector<float> whole = numbers(a.buffers.front().value());
    detail::recompute_statistics(one, data, 25);
    const std::vector<float> parts = numbers(one.network().state().buffers.front().value());
    for (std::size_t j = 0; j < whole.size(); ++j) EXPECT_NEAR(parts[j], whole[j], 1e-5 * (1 + std::abs(whole[j])));
  }
}

}  // namespace
}  // namespace rtl::transfer
