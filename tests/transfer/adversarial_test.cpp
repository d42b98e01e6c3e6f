// Distillation and strategies on two domains, by their definitions (Hinton, Vinyals and Dean 2015; Xu, Nakada, Zhang
// and Li 2025).
#include <gtest/gtest.h>

#include <cmath>

#include "rtl/graph/gradients.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/plan.hpp"
#include "rtl/transfer/objectives.hpp"
#include "rtl/transfer/strategies.hpp"
#include "transfer/domain_discriminator.hpp"
#include "transfer/setting.hpp"

namespace rtl::transfer {
namespace {

using testing::quick;

constexpr std::int64_t classes = 3;

struct Setting : testing::GaussianSetting {
  explicit Setting(const Device& device) : GaussianSetting(device), source(trained("12", 4, device)) {}
  Fitted fit(const std::string& name, const TrainingOptions& training) const {
    return GaussianSetting::fit(name, {source}, training);
  }
  FrozenSource source;
};

TEST(Distillation, WithoutTeacherIsScratch) {
  for (const Device& device : testing::devices()) {
    const Setting setting(device);
    const Fitted student = setting.fit("distill:teacher_weight=0", quick(3));
    const Fitted alone = scratch(setting.train, quick(3), setting.options);
    const std::vector<float> a = testing::values_of(student.state()), b = testing::values_of(alone.state());
    ASSERT_EQ(a.size(), b.size());
    // The gradient of the teacher's part is multiplied by zero, and added.
    for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-6);
  }
}

TEST(Distillation, LearnsTheTeacherWithoutItsLabels) {
  const Device device = Device::cpu(1);
  const Setting setting(device);
  TrainingOptions training = quick(60);
  training.learning_rate = 0.05;
  training.label_flips = 0.9;  // labels say nothing
  const Fitted student = setting.fit("distill:teacher_weight=1", training);
  const Fitted misled = scratch(setting.train, training, setting.options);
  const double teacher = score(setting.source.logits(setting.test), setting.test).accuracy;
  EXPECT_GT(teacher, 0.75);
  EXPECT_GT(evaluate(student, setting.test).accuracy, teacher - 0.1);
  EXPECT_LT(evaluate(misled, setting.test).accuracy, teacher - 0.2);
  EXPECT_TRUE(student.sources().empty()) << "the student needs no teacher any more";
  EXPECT_EQ(student.trainable_parameters(), 5 * 8 + 8 + 8 * classes + classes);
}

TEST(Distillation, ATeacherOfOtherClassesIsRefused) {
  const Device device = Device::cpu(1);
  Setting setting(device);
  setting.train.class_names = {"ash", "elm", "fir"};
  const auto fault_with = [&](const std::vector<std::string>& names) -> std::string {
    const FrozenSource teacher(testing::make("mlp", "12", {5}, classes, 4, device), {}, "teacher", Precision::f32, "",
                               Task{.outputs = classes, .names = names});
    try {
      check_fits(find_strategy("distill"), {teacher}, setting.train, setting.options);
    } catch (const ValueError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(fault_with({"ash", "elm", "fir"}), "");
  EXPECT_EQ(fault_with({}), "") << "classes without names are taken as they are";
  EXPECT_NE(fault_with({"elm", "ash", "fir"}).find("3 classes (elm, ash, fir)"), std::string::npos);
  EXPECT_NE(fault_with({"ash", "elm", "oak"}).find("3 classes (ash, elm, oak)"), std::string::npos);
}

TEST(Distillation, FirstLossIsTheFormula) {
  const Device device = Device::cpu(1);
  const Setting setting(device);
  TrainingOptions training = quick(1);
  training.batch_size = 60;
  training.learning_rate = 1e-9;
  const double temperature = 3, weight = 0.3;
  const Fitted student = setting.fit("distill:temperature=3:teacher_weight=0.3", training);
  const std::vector<float> s = student.outputs(setting.train).to_vector<float>();
  const std::vector<float> t = setting.source.logits(setting.train).to_vector<float>();
  const std::vector<std::int32_t> labels = setting.train.labels.to_vector<std::int32_t>();
  const auto log_softmax = [](const float* z, double scale) {
    std::vector<double> y;
    double sum = 0;
    for (std::int64_t c = 0; c < classes; ++c) sum += std::exp(static_cast<double>(z[c]) / scale);
    for (std::int64_t c = 0; c < classes; ++c) y.push_back(static_cast<double>(z[c]) / scale - std::log(sum));
    return y;
  };
  double loss = 0;
  for (std::size_t i = 0; i < 60; ++i) {
    const float *own = s.data() + 3 * i, *teacher = t.data() + 3 * i;
    const auto plain = log_softmax(own, 1), soft = log_softmax(own, temperature),
               goal = log_softmax(teacher, temperature);
    double divergence = 0;
    for (std::size_t c = 0; c < 3; ++c) divergence += std::exp(goal[c]) * (goal[c] - soft[c]);
    loss +=
        (-(1 - weight) * plain[static_cast<std::size_t>(labels[i])] + weight * temperature * temperature * divergence) /
        60;
  }
  EXPECT_NEAR(student.training().losses.front(), loss, 1e-5);
}

TEST(DannGate, ReversesMoreInEveryEpoch) {
  for (const std::int64_t epochs : {2, 5, 30}) {
    EXPECT_EQ(detail::gradient_reversal(0, epochs), 0);
    EXPECT_NEAR(detail::gradient_reversal(epochs - 1, epochs), 0.9999092042625951, 1e-15);  // 2 / (1 + e^-10) - 1
    for (std::int64_t epoch = 0; epoch < epochs; ++epoch) {
      // 2 / (1 + e^-10s) - 1 is tanh(5 s).
      const double s = static_cast<double>(epoch) / static_cast<double>(epochs - 1);
      EXPECT_NEAR(detail::gradient_reversal(epoch, epochs), std::tanh(5 * s), 1e-15);
    }
  }
  EXPECT_EQ(detail::gradient_reversal(0, 1), 0);
}

TEST(DannGate, NothingTrainedIsTheSource) {
  for (const Device& device : testing::devices()) {
    const Setting setting(device);
    const Fitted untouched = setting.fit("dann-gate", quick(0));  // B = 0
    const std::vector<float> own = setting.source.logits(setting.test).to_vector<float>();
    const std::vector<float> here = untouched.outputs(setting.test).to_vector<float>();
    for (std::size_t i = 0; i < own.size(); ++i) EXPECT_NEAR(here[i], own[i], 1e-5);
  }
}

TEST(DannGate, TrainsAnUpdateOfItsRankAndKeepsTheSource) {
  for (const Device& device : testing::devices()) {
    const Setting setting(device);
    const std::uint64_t before = setting.source.fingerprint();
    for (const char* name :
         {"dann-gate", "dann-gate:source_half=target", "dann-gate:published", "dann-gate:head_start=fresh:rank=1"}) {
      SCOPED_TRACE(name);
      TrainingOptions training = quick(20);
      const Fitted fitted = setting.fit(name, training);
      EXPECT_EQ(setting.source.current_hash(), before);
      const std::int64_t rank = std::string(name).ends_with("rank=1") ? 1 : 8;
      // A and B of the update; embedding and two layers of the discriminator.
      EXPECT_EQ(fitted.trainable_parameters(),
                rank * (12 + classes) + (classes + 1) * 8 + (classes + 8) * 64 + 64 + 64 + 1);
      EXPECT_TRUE(testing::same_bytes(testing::values_of(setting.fit(name, training).state()),
                                      testing::values_of(fitted.state())));
      const Fitted start = setting.fit(name, quick(0));
      EXPECT_FALSE(testing::same_bytes(testing::values_of(start.state()), testing::values_of(fitted.state())));
    }
    EXPECT_GT(evaluate(setting.fit("dann-gate", quick(20)), setting.test).accuracy, 0.8);
  }
}

TEST(DannGate, RefusesWhatItCannotUse) {
  const Device device = Device::cpu(1);
  Setting setting(device);
  setting.options.source_data = nullptr;
  EXPECT_THROW(setting.fit("dann-gate", quick(1)), ValueError);
  EXPECT_NO_THROW(setting.fit("dann-gate:source_half=target", quick(1)));
  const data::Dataset other = testing::make_vectors(3, 50, 5, classes + 1, 2.5, device);
  setting.options.source_data = &other;
  EXPECT_THROW(setting.fit("dann-gate", quick(1)), ValueError);
}

TEST(CoralGate, TrainsTheHeadOfDannGateAndKeepsTheSource) {
  for (const Device& device : testing::devices()) {
    const Setting setting(device);
    const std::vector<float> own = setting.source.logits(setting.test).to_vector<float>();
    const std::vector<float> here = setting.fit("coral-gate", quick(0)).outputs(setting.test).to_vector<float>();
    for (std::size_t i = 0; i < own.size(); ++i) EXPECT_NEAR(here[i], own[i], 1e-5);
    for (const char* name : {"coral-gate", "coral-gate:source_half=target"}) {
      const Fitted fitted = setting.fit(name, quick(20));
      EXPECT_EQ(setting.source.current_hash(), setting.source.fingerprint());
      EXPECT_EQ(fitted.trainable_parameters(), setting.fit("dann-gate", quick(0)).trainable_parameters());
      EXPECT_GT(evaluate(fitted, setting.test).accuracy, 0.8);
    }
  }
}

/// The distance of covariances is all that a large weight minimises.
TEST(CoralGate, DrawsTheCovariancesTogether) {
  const Device device = Device::cpu(1);
  Setting setting(device);
  const auto apart = [&](const Fitted& fitted) {
    const auto graph = std::make_shared<graph::Graph>(device);
    const graph::Value loss = objectives::coral(graph->constant("s", fitted.outputs(setting.source_data)),
                                                graph->constant("t", fitted.outputs(setting.train)));
    graph::Execution execution(std::make_shared<const graph::Plan>(graph, std::vector<graph::Value>{loss}));
    execution.run();
    Tensor copy(loss.shape(), DType::f32, device);
    copy_bytes(execution.view(loss), copy);
    return copy.to_vector<float>().front();
  };
  const double without = apart(setting.fit("coral-gate:coral_weight=0", quick(60)));
  EXPECT_LT(apart(setting.fit("coral-gate:coral_weight=30", quick(60))), 0.5 * without);
}

TEST(Mmd, WithoutWeightAndSourceLabelsIsFineTuning) {
  for (const Device& device : testing::devices()) {
    const Setting setting(device);
    const Fitted fitted = setting.fit("mmd:mmd_weight=0:unused:head_start=fresh", quick(3));
    const std::vector<float> a = testing::values_of(fitted.state()),
                             b = testing::values_of(setting.fit("fine-tune", quick(3)).state());
    ASSERT_EQ(a.size(), b.size());
    // A gradient times zero is added, and batches are twice as large: products add up in another order.
    for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-5);
  }
}

TEST(Mmd, DrawsTheFeaturesTogether) {
  const Device device = Device::cpu(1);
  Setting setting(device);
  // Source samples lie elsewhere.
  std::vector<float> moved = setting.source_data.inputs.to_vector<float>();
  for (std::size_t i = 4; i < moved.size(); i += 5) moved[i] += 4;
  setting.source_data.inputs = Tensor::from(moved, setting.source_data.inputs.shape(), device);
  const auto apart = [&](const char* name) {
    const Fitted fitted = setting.fit(name, quick(40));
    auto& network = dynamic_cast<NetworkPredictor&>(fitted.predictor());
    const FrozenSource tuned(layers::clone(network.network(), device), network.normalization());
    const auto graph = std::make_shared<graph::Graph>(device);
    const graph::Value loss = objectives::mmd(graph->constant("s", tuned.features(setting.source_data)),
                                              graph->constant("t", tuned.features(setting.train)));
    graph::Execution execution(std::make_shared<const graph::Plan>(graph, std::vector<graph::Value>{loss}));
    execution.run();
    Tensor copy(loss.shape(), DType::f32, device);
    copy_bytes(execution.view(loss), copy);
    EXPECT_GT(evaluate(fitted, setting.test).accuracy, 0.7) << name;
    return copy.to_vector<float>().front();
  };
  EXPECT_LT(apart("mmd:mmd_weight=3"), 0.5 * apart("mmd:mmd_weight=0"));
}

TEST(TwoDomains, RefuseWhatTheyCannotUse) {
  const Device device = Device::cpu(1);
  Setting setting(device);
  const data::Dataset other = testing::make_vectors(3, 50, 5, classes + 1, 2.5, device);
  setting.options.source_data = &other;
  EXPECT_THROW(setting.fit("coral-gate", quick(1)), ValueError);
  EXPECT_THROW(setting.fit("mmd:used", quick(1)), ValueError);
  EXPECT_NO_THROW(setting.fit("mmd", quick(1))) << "their labels are left unused";
  const data::Dataset wide = testing::make_vectors(3, 50, 6, classes, 2.5, device);
  setting.options.source_data = &wide;
  EXPECT_THROW(setting.fit("mmd", quick(1)), ValueError) << "six columns, not the target's";
  setting.options.source_data = nullptr;
  EXPECT_THROW(setting.fit("mmd", quick(1)), ValueError);
  EXPECT_THROW(setting.fit("coral-gate", quick(1)), ValueError);
}

/// d / (1 - d) of the probability that the discriminator's logit says, and no gradient to anything.
TEST(DannGate, GatesAreOddsWithinBounds) {
  for (const Device& device : testing::devices()) {
    detail::DomainDiscriminator discriminator(classes, device, 3);
    const auto graph = std::make_shared<graph::Graph>(device);
    const std::vector<float> z{0.5F, -1, 2, 1e5F, 0, 0, -1e5F, 3, 1, 2, 2, 2}, y{1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0};
    const graph::Value logits = graph->variable("z", graph::Storage(Tensor::from(z, {4, 3}, device)));
    const graph::Value labels = graph->constant("y", Tensor::from(y, {4, 3}, device));
    const graph::Value gate = discriminator.gate(logits, labels, {});
    const graph::Value told = discriminator.logits(logits, labels, "any", {});
    const graph::Value nil = discriminator.logits(logits, {}, "any", {});
    EXPECT_EQ(gate.shape(), (Shape{4}));
    const graph::Value parameters[] = {logits};
    EXPECT_FALSE(graph::gradients(graph::sum(gate), parameters).front().defined());
    graph::Execution execution(std::make_shared<const graph::Plan>(graph, std::vector<graph::Value>{gate, told, nil}));
    execution.run();
    const auto values = [&](const graph::Value& value) {
      Tensor copy(value.shape(), DType::f32, device);
      copy_bytes(execution.view(value), copy);
      return copy.to_vector<float>();
    };
    const std::vector<float> gates = values(gate), raw = values(told), unlabelled = values(nil);
    for (std::size_t i = 0; i < 4; ++i) {
      const double d = std::clamp(1 / (1 + std::exp(-static_cast<double>(raw[i]))), 1e-4, 1 - 1e-4);
      // 1 - d has the roundoff of 1: at d = 1 - 1e-4 that is 6e-4 of it.
      EXPECT_NEAR(gates[i] / (d / (1 - d)), 1, 1e-3);
      EXPECT_NE(raw[i], unlabelled[i]);
    }
  }
}

}  // namespace
}  // namespace rtl::transfer
