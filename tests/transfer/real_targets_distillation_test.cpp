// Distillation of real targets: squared errors to the teachers' predictions, in the units that the student learns.
#include <gtest/gtest.h>

#include <cmath>

#include "rtl/transfer/compare.hpp"
#include "rtl/transfer/strategies.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using testing::quick;

constexpr std::size_t rows = 60;

/// y = scale (x_0 - x_1) + shift, and a second target -y.
data::Dataset line(std::uint64_t seed, double scale, double shift, const Device& device) {
  data::Dataset data = testing::make_vectors(seed, rows, 5, 2, 0, device);
  const std::vector<float> x = data.inputs.to_vector<float>();
  std::vector<float> y;
  for (std::size_t i = 0; i < x.size(); i += 5) {
    y.push_back(static_cast<float>(scale * (x[i] - x[i + 1]) + shift));
    y.push_back(-y.back());
  }
  data.labels = Tensor();
  data.classes = 0;
  data.targets = Tensor::from(y, {static_cast<std::int64_t>(rows), 2}, device);
  return data;
}

/// A network that was trained on data of other units, with its task.
FrozenSource teacher(std::uint64_t seed, const Device& device) {
  const data::Dataset data = line(seed, 3, 50, device);
  auto network = testing::make("mlp", "12", {5}, 2, seed, device);
  TrainingOptions training = quick(60);
  training.learning_rate = 0.05;
  train(*network, data, data::Normalization::none, training);
  return FrozenSource(std::move(network), {}, "teacher", Precision::f32, {}, Task::of(data));
}

struct Setting {
  explicit Setting(const Device& device)
      : train(line(1, 2, 40, device)), first(teacher(4, device)), second(teacher(5, device)) {
    options.model = "mlp:8";
  }
  Fitted fit(const std::string& name, const std::vector<FrozenSource>& sources, const TrainingOptions& training) const {
    return transfer::fit(name, sources, train, training, options);
  }
  /// What a source predicts, in the units that the target's networks learn.
  std::vector<double> taught(const FrozenSource& source) const {
    const Task task = Task::of(train);
    const std::vector<float> z = source.logits(train).to_vector<float>();
    std::vector<double> all;
    for (std::size_t i = 0; i < z.size(); ++i) {
      const double value = source.task()->mean[i % 2] + source.task()->deviation[i % 2] * z[i];
      all.push_back((value - task.mean[i % 2]) / task.deviation[i % 2]);
    }
    return all;
  }
  data::Dataset train;
  FrozenSource first, second;
  StrategyOptions options;
};

TrainingOptions one_step() {
  TrainingOptions training = quick(1);
  training.batch_size = rows;
  training.learning_rate = 1e-9;
  return training;
}

/// Mean of (1 - w) (s - y)^2 + w (s - t)^2.
double loss_of(const Setting& setting, const Fitted& student, const std::vector<double>& taught, double weight) {
  const Task task = Task::of(setting.train);
  const std::vector<float> y = standardized_targets(task, setting.train);
  const std::vector<float> outputs = student.outputs(setting.train).to_vector<float>();
  double loss = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double s = (outputs[i] - task.mean[i % 2]) / task.deviation[i % 2];
    loss += ((1 - weight) * (s - y[i]) * (s - y[i]) + weight * (s - taught[i]) * (s - taught[i])) /
            static_cast<double>(y.size());
  }
  return loss;
}

std::vector<double> mean_of(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> mean;
  for (std::size_t i = 0; i < a.size(); ++i) mean.push_back((a[i] + b[i]) / 2);
  return mean;
}

TEST(RealTargetsDistillation, FirstLossIsTheFormula) {
  for (const Device& device : testing::devices()) {
    SCOPED_TRACE(device.name());
    const Setting s(device);
    const Fitted one = s.fit("distill:teacher_weight=0.3", {s.first}, one_step());
    EXPECT_NEAR(one.training().losses.front(), loss_of(s, one, s.taught(s.first), 0.3), 1e-5);
    const Fitted hot = s.fit("distill:teacher_weight=0.3:temperature=7", {s.first}, one_step());
    EXPECT_EQ(hot.training().losses, one.training().losses) << "a temperature is of classes alone";
    const Fitted both = s.fit("ensemble-distill:teacher_weight=0.3", {s.first, s.second}, one_step());
    EXPECT_NEAR(both.training().losses.front(), loss_of(s, both, mean_of(s.taught(s.first), s.taught(s.second)), 0.3),
                1e-5);
  }
}

TEST(RealTargetsDistillation, OneTeacherOfAnEnsembleIsDistillation) {
  const Device device = Device::cpu(1);
  const Setting s(device);
  const std::vector<float> wanted = testing::values_of(s.fit("distill", {s.first}, quick()).state());
  for (const char* name : {"ensemble-distill", "ensemble-distill:many"}) {
    const std::vector<float> found = testing::values_of(s.fit(name, {s.first}, quick()).state());
    ASSERT_EQ(found.size(), wanted.size());
    for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], wanted[i], 1e-5) << name;
  }
}

TEST(RealTargetsDistillation, LearnsTheTeacherAlone) {
  const Device device = Device::cpu(1);
  const Setting s(device);
  TrainingOptions training = quick(200);
  training.learning_rate = 0.05;
  const std::vector<double> one = s.taught(s.first), both = mean_of(one, s.taught(s.second));
  for (const auto& [name, sources, taught] :
       {std::tuple{"distill:teacher_weight=1", std::vector{s.first}, one},
        std::tuple{"ensemble-distill:teacher_weight=1", std::vector{s.first, s.second}, both},
        std::tuple{"ensemble-distill:many:teacher_weight=1", std::vector{s.first, s.second}, both}}) {
    SCOPED_TRACE(name);
    const Fitted student = s.fit(name, sources, training);
    EXPECT_TRUE(student.sources().empty());
    EXPECT_LT(loss_of(s, student, taught, 1), 0.05) << "the teachers' own predictions vary by about 1";
  }
}

/// The sources' own heads beside a network from scratch, in the target's units.
TEST(RealTargetsEnsemble, OwnIsTheMeanOfWhatIsPredicted) {
  const Device device = Device::cpu(1);
  const Setting s(device);
  const std::vector<float> scratch = s.fit("scratch", {}, quick(5)).outputs(s.train).to_vector<float>();
  const std::vector<float> found =
      s.fit("logit-ensemble:own", {s.first, s.second}, quick(5)).outputs(s.train).to_vector<float>();
  const std::vector<double> first = s.taught(s.first), second = s.taught(s.second);
  const Task task = Task::of(s.train);
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto predicted = [&](double z) { return task.mean[i % 2] + task.deviation[i % 2] * z; };
    EXPECT_NEAR(found[i], (scratch[i] + predicted(first[i]) + predicted(second[i])) / 3, 1e-4) << i;
  }
  const FrozenSource untold(testing::make("mlp", "12", {5}, 2, 3, device));
  EXPECT_THROW(s.fit("logit-ensemble:own", {s.first, untold}, quick(1)), ValueError);
}

TEST(RealTargetsDistillation, NeedsASourceOfSuchTargets) {
  const Device device = Device::cpu(1);
  const Setting s(device);
  const FrozenSource untold(testing::make("mlp", "12", {5}, 2, 3, device));
  EXPECT_THROW(s.fit("distill", {untold}, quick(1)), ValueError) << "two classes, as far as is known";
  EXPECT_THROW(s.fit("ensemble-distill:own", {s.first, untold}, quick(1)), ValueError);
  // Probes teach: two of them are trained, then the student.
  EXPECT_EQ(s.fit("ensemble-distill", {s.first, untold}, quick(3)).training().losses.size(), 9U);
  const data::Dataset classes = testing::make_vectors(1, 40, 5, 2, 1, device);
  EXPECT_THROW(transfer::fit("distill", {s.first}, classes, quick(1), s.options), ValueError);
  EXPECT_THROW(FrozenSource(testing::make("mlp", "12", {5}, 3, 3, device), {}, "", Precision::f32, {}, s.first.task()),
               ValueError);
}

}  // namespace
}  // namespace rtl::transfer
