// The strategy of the advisor: what the advisor itself gives on the same features, and what becomes of good and useless
// sources.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "rtl/transfer/advisor.hpp"
#include "rtl/transfer/strategies.hpp"
#include "transfer/setting.hpp"

namespace rtl::transfer {
namespace {

using testing::quick;

constexpr std::int64_t columns = 12;

/// y = 100 + 40 (x w + shift (x v)) + noise, x standard normal but for column 1, of which 50 x + 7 is given; `shift` is
/// what tells the target's w from the source's.
data::Dataset linear(std::uint64_t seed, std::int64_t rows, double shift, double sign, const Device& device) {
  RandomSequence random(seed, 6);
  std::vector<float> x, y;
  for (std::int64_t i = 0; i < rows; ++i) {
    double sum = 0;
    for (std::int64_t c = 0; c < columns; ++c) {
      const double value = random.normal();
      sum += value * (sign * std::cos(static_cast<double>(c)) + shift * std::sin(3.0 * static_cast<double>(c)));
      x.push_back(static_cast<float>(c == 1 ? 50 * value + 7 : value));
    }
    y.push_back(static_cast<float>(100 + 40 * (sum + 0.5 * random.normal())));
  }
  data::Dataset dataset;
  dataset.inputs = Tensor::from(x, {rows, columns}, device);
  dataset.targets = Tensor::from(y, {rows, 1}, device);
  dataset.name = "linear";
  return dataset;
}

data::Dataset as_classes(data::Dataset dataset) {
  std::vector<std::int32_t> labels;
  for (const float y : dataset.targets.to_vector<float>()) labels.push_back(y > 100 ? 1 : 0);
  dataset.labels = Tensor::from(labels, {dataset.size()}, dataset.inputs.device());
  dataset.targets = {};
  dataset.classes = 2;
  return dataset;
}

struct Setting : testing::Setting {
  using testing::Setting::Setting;
  Fitted fit(const std::string& name) const {
    const auto source = FrozenSource::of_matrices(
        "columns", {{&train, train.inputs}, {&source_data, source_data.inputs}, {&test, test.inputs}});
    return testing::Setting::fit(name, {source}, quick(1));
  }
  double r2(const std::string& name) const { return evaluate(fit(name), test).r2; }
};

/// Mean and deviation of the target's columns standardise both.
std::vector<double> standardized_by(const data::Dataset& by, const data::Dataset& dataset) {
  const std::vector<float> x = by.inputs.to_vector<float>(), z = dataset.inputs.to_vector<float>();
  const auto rows = static_cast<double>(by.size());
  std::vector<double> result(z.begin(), z.end());
  for (std::size_t c = 0; c < columns; ++c) {
    double mean = 0, square = 0;
    for (std::size_t i = c; i < x.size(); i += columns) mean += static_cast<double>(x[i]) / rows;
    for (std::size_t i = c; i < x.size(); i += columns) {
      square += (static_cast<double>(x[i]) - mean) * (static_cast<double>(x[i]) - mean) / rows;
    }
    for (std::size_t i = c; i < result.size(); i += columns) result[i] = (result[i] - mean) / std::sqrt(square);
  }
  return result;
}

TEST(L2spRidge, IsWhatTheAdvisorGives) {
  for (const Device& device : testing::devices()) {
    for (const bool weighted : {false, true}) {
      SCOPED_TRACE(device.name());
      Setting setting(linear(1, 40, 0.2, 1, device), linear(2, 30, 0.2, 1, device), linear(3, 300, 0, 1, device));
      const auto tensor = [&](const std::vector<double>& values, std::int64_t width) {
        return Tensor::from(values, {static_cast<std::int64_t>(values.size()) / width, width}, device);
      };
      const Task task = Task::of(setting.train);
      const auto targets = [&](const data::Dataset& dataset) {
        const std::vector<float> y = standardized_targets(task, dataset);
        return tensor({y.begin(), y.end()}, 1);
      };
      const Tensor x0 = tensor(standardized_by(setting.train, setting.source_data), columns);
      const Tensor y0 = targets(setting.source_data);
      std::vector<float> weights;
      for (std::int64_t i = 0; i < 300; ++i) weights.push_back(static_cast<float>(i % 3));  // of mean 1
      const Tensor w0 = Tensor::from(weights, {300}, device);
      if (weighted) setting.source_data.weights = w0.clone();
      const solvers::L2SPSource source(device, x0, y0, {.sample_weights = weighted ? w0.view() : ConstView()});
      const TransferAdvisor advisor(device, source, tensor(standardized_by(setting.train, setting.train), columns),
                                    targets(setting.train));
      const std::vector<double> wanted =
          advisor.predict(tensor(standardized_by(setting.train, setting.test), columns)).to_vector<double>();
      const Fitted fitted = setting.fit("l2sp-ridge");
      const std::vector<float> found =
          fitted.predictor()
              .predict(setting.test,
                       [&](const FrozenSource&) {
                         return std::make_shared<const FeatureTable>(setting.test.inputs.to(Device::cpu(1)));
                       })
              .to_vector<float>();
      ASSERT_EQ(found.size(), wanted.size());
      for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(static_cast<double>(found[i]), wanted[i], 2e-3);

      const std::vector<ReadOut>& parts = fitted.training().read_outs;
      ASSERT_EQ(parts.size(), advisor.report().candidates.size());
      EXPECT_EQ(parts.front().name, "scratch");
      double sum = 0;
      for (std::size_t i = 0; i < parts.size(); ++i) {
        EXPECT_NEAR(parts[i].weight, advisor.report().weights[i], 1e-4);
        EXPECT_NEAR(parts[i].loss, advisor.report().candidates[i].leave_one_out, 1e-3);
        sum += parts[i].weight;
      }
      EXPECT_NEAR(sum, 1, 1e-6);
    }
  }
}

TEST(L2spRidge, FollowsAGoodSourceAndLeavesABadOne) {
  const Device device = Device::cpu(1);
  const auto made = [&](std::int64_t rows, double sign) {
    return Setting(linear(1, rows, 0.1, 1, device), linear(2, 2000, 0.1, 1, device), linear(3, 600, 0, sign, device));
  };
  const Setting good = made(16, 1), bad = made(60, 0);
  const double alone = good.r2("ridge-probe");
  EXPECT_GT(good.r2("l2sp-ridge"), alone + 0.02);
  EXPECT_GT(good.r2("l2sp-ridge:rule=choose"), alone + 0.02);
  EXPECT_GT(bad.r2("l2sp-ridge"), bad.r2("ridge-probe") - 0.02);
  const auto scratch_weight = [](const Setting& setting) {
    return setting.fit("l2sp-ridge").training().read_outs.front().weight;
  };
  EXPECT_LT(scratch_weight(good), 0.1);
  EXPECT_GT(scratch_weight(bad), 0.3);
}

TEST(L2spRidge, RefusesWeightsOfTheTargetsSamples) {
  const Device device = Device::cpu(1);
  Setting setting(linear(1, 40, 0.2, 1, device), linear(2, 30, 0.2, 1, device), linear(3, 300, 0, 1, device));
  setting.train.weights = Tensor::from(std::vector<float>(40, 2.0F), {40}, device);
  EXPECT_THROW(setting.fit("l2sp-ridge"), ValueError);
  const auto source = FrozenSource::of_matrices("columns", {{&setting.train, setting.train.inputs}});
  const std::vector<std::string> fitting = strategies_for({source}, setting.train, setting.options);
  EXPECT_EQ(std::count(fitting.begin(), fitting.end(), "l2sp-ridge"), 0);
  EXPECT_EQ(std::count(fitting.begin(), fitting.end(), "ridge-probe"), 1);
  for (const char* name : {"coral-gate", "dann-gate", "l2sp-ridge"}) {
    EXPECT_FALSE(find_strategy(name).info().sample_weights) << name;
  }
}

TEST(L2spRidge, TakesClassesAndRefusesOthers) {
  const Device device = Device::cpu(1);
  Setting setting(as_classes(linear(1, 20, 0.1, 1, device)), as_classes(linear(2, 1000, 0.1, 1, device)),
                  as_classes(linear(3, 500, 0, 1, device)));
  const double with_source = evaluate(setting.fit("l2sp-ridge"), setting.test).accuracy;
  EXPECT_GT(with_source, evaluate(setting.fit("ridge-probe"), setting.test).accuracy);
  EXPECT_GT(with_source, 0.85);
  setting.source_data = linear(3, 500, 0, 1, device);
  EXPECT_THROW(setting.fit("l2sp-ridge"), ValueError);
  setting.options.source_data = nullptr;
  EXPECT_THROW(setting.fit("l2sp-ridge"), ValueError);
}

}  // namespace
}  // namespace rtl::transfer
