// TransferAdvisor where the target cannot tell: rounding errors and one or two rows are no evidence.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "rtl/core/random.hpp"
#include "rtl/transfer/advisor.hpp"
#include "support/devices.hpp"
#include "support/random_tensor.hpp"

namespace {

using rtl::Device;
using rtl::Tensor;
using rtl::solvers::L2SPSource;
using rtl::transfer::AdvisorReport;
using rtl::transfer::CentreKind;
using rtl::transfer::Decision;
using rtl::transfer::TransferAdvisor;

constexpr double infinity = std::numeric_limits<double>::infinity();

/// A source whose output depends on its first feature alone; the target's own rows are given.
struct Case {
  Tensor source_x, source_y, x, y;
  std::unique_ptr<L2SPSource> source;

  Case(const Device& device, std::int64_t features, const std::vector<double>& target_x,
       const std::vector<double>& target_y, bool intercept = true) {
    rtl::test::RandomTensors random(rtl::test::fresh_seed());
    const std::int64_t n = 50;
    std::vector<double> inputs = random.values(n * features), outputs(static_cast<std::size_t>(n));
    const std::vector<double> noise = random.values(n);
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 1; j < features; ++j) inputs[static_cast<std::size_t>(i * features + j)] = 0;
      const auto row = static_cast<std::size_t>(i);
      outputs[row] = 2 * inputs[static_cast<std::size_t>(i * features)] + 0.1 * noise[row];
    }
    const auto rows = static_cast<std::int64_t>(target_y.size());
    source_x = Tensor::from(inputs, {n, features}, device);
    source_y = Tensor::from(outputs, {n}, device);
    x = Tensor::from(target_x, {rows, features}, device);
    y = Tensor::from(target_y, {rows}, device);
    source = std::make_unique<L2SPSource>(device, source_x, source_y,
                                          rtl::solvers::L2SPSourceOptions{.intercept = intercept});
  }
};

/// Every candidate predicts the rows alike, so none is better than another and only the favour remains.
void expect_no_evidence(const AdvisorReport& report) {
  EXPECT_EQ(report.sources[0].decision, Decision::unclear);
  EXPECT_EQ(report.sources[0].z, 0);
  EXPECT_EQ(report.sources[0].alignment_standard_error, infinity);
  const double scratch = report.candidates[0].leave_one_out;
  for (const auto& candidate : report.candidates) {
    EXPECT_NEAR(candidate.leave_one_out, scratch, 1e-10 * scratch) << to_string(candidate.kind);
    if (candidate.kind == CentreKind::scaled) {
      EXPECT_EQ(candidate.scales[0], 0);
    }
  }
  EXPECT_NEAR(report.trust, 0.5 * std::erfc(-0.5 / std::sqrt(2.0)), 1e-12);
}

TEST(TransferAdvisor, AConstantTargetFeatureIsNoEvidence) {
  for (const Device& device : rtl::test::devices()) {
    rtl::test::RandomTensors random(rtl::test::fresh_seed());
    for (const double constant : {0.7, -123.4, 1e9 / 3}) {
      SCOPED_TRACE(device.name() + " at " + std::to_string(constant));
      const std::vector<double> targets = random.values(13), other = random.values(13);
      const Case alone(device, 1, std::vector<double>(13, constant), targets);
      expect_no_evidence(TransferAdvisor(device, *alone.source, alone.x, alone.y).report());
      std::vector<double> rows;
      for (const double value : other) rows.insert(rows.end(), {constant, value});
      const Case beside(device, 2, rows, targets);
      expect_no_evidence(TransferAdvisor(device, *beside.source, beside.x, beside.y).report());
    }
  }
}

TEST(TransferAdvisor, EqualTargetRowsAreNoEvidence) {
  for (const Device& device : rtl::test::devices()) {
    rtl::test::RandomTensors random(rtl::test::fresh_seed());
    const std::vector<double> row = random.values(4), targets = random.values(11);
    std::vector<double> rows;
    for (int i = 0; i < 11; ++i) rows.insert(rows.end(), row.begin(), row.end());
    const Case equal(device, 4, rows, targets);
    expect_no_evidence(TransferAdvisor(device, *equal.source, equal.x, equal.y).report());
  }
}

TEST(TransferAdvisor, OneOrTwoRowsTakeScratch) {
  for (const Device& device : rtl::test::devices()) {
    for (const bool intercept : {true, false}) {
      SCOPED_TRACE(device.name() + (intercept ? "" : ", no intercept"));
      rtl::test::RandomTensors random(rtl::test::fresh_seed());
      const std::int64_t rows = intercept ? 2 : 1;
      const Case few(device, 3, random.values(rows * 3), random.values(rows), intercept);
      const AdvisorReport report =
          TransferAdvisor(device, *few.source, few.x, few.y, {.intercept = intercept}).report();
      EXPECT_EQ(report.sources[0].decision, Decision::unclear);
      EXPECT_EQ(report.sources[0].z, 0);
      EXPECT_EQ(report.sources[0].alignment_standard_error, infinity);
      EXPECT_FALSE(report.judged);
      EXPECT_EQ(report.trust, 0);
      EXPECT_EQ(report.weights.front(), 1);
      EXPECT_EQ(report.gain, 0);
      EXPECT_EQ(report.decision, Decision::unclear);
      const Case enough(device, 3, random.values((rows + 1) * 3), random.values(rows + 1), intercept);
      EXPECT_TRUE(std::isfinite(TransferAdvisor(device, *enough.source, enough.x, enough.y, {.intercept = intercept})
                                    .report()
                                    .sources[0]
                                    .alignment_standard_error));
    }
  }
}

TEST(TransferAdvisor, TheSourceAsItIsNeedsPredictionsThatVary) {
  rtl::test::RandomTensors random(rtl::test::fresh_seed());
  const std::vector<double> targets = random.values(13);
  const auto as_it_is = [](const AdvisorReport& report) {
    return std::count_if(report.candidates.begin(), report.candidates.end(),
                         [](const auto& candidate) { return candidate.kind == CentreKind::unchanged; });
  };
  const Case constant(Device::cpu(), 1, std::vector<double>(13, 0.7), targets);
  EXPECT_EQ(as_it_is(TransferAdvisor(Device::cpu(), *constant.source, constant.x, constant.y).report()), 0);
  const Case varied(Device::cpu(), 1, random.values(13), targets);
  EXPECT_EQ(as_it_is(TransferAdvisor(Device::cpu(), *varied.source, varied.x, varied.y).report()), 2);
}

TEST(TransferAdvisor, AConstantTargetTakesNothingOfASourceAsItIs) {
  rtl::test::RandomTensors random(rtl::test::fresh_seed());
  const Case constant(Device::cpu(), 3, random.values(36), std::vector<double>(12, 2.5));
  const AdvisorReport report = TransferAdvisor(Device::cpu(), *constant.source, constant.x, constant.y).report();
  for (std::size_t c = 0; c < report.candidates.size(); ++c) {
    if (report.candidates[c].kind == CentreKind::unchanged) {
      EXPECT_LT(report.weights[c], 1e-9);
    }
  }
}

TEST(TransferAdvisor, ASourceThatOnlyRoundingMakesVaryHasNoSay) {
  for (const Device& device : rtl::test::devices()) {
    rtl::test::RandomTensors random(rtl::test::fresh_seed());
    const Tensor x = random.f64({30, 3}, device), y = random.f64({20, 1}, device), inputs = random.f64({20, 3}, device);
    for (const double constant : {0.1, 1e9 / 3}) {
      const Tensor targets = Tensor::from(std::vector<double>(30, constant), {30, 1}, device);
      const L2SPSource source(device, x, targets);
      const AdvisorReport report = TransferAdvisor(device, source, inputs, y).report();
      EXPECT_EQ(report.sources[0].decision, Decision::unclear);
      EXPECT_EQ(report.sources[0].alignment, 0);
      // And as the target of a source that does vary: nothing is to be had from it.
      const L2SPSource other(device, inputs, y);
      const AdvisorReport constant_target = TransferAdvisor(device, other, x, targets).report();
      EXPECT_LT(std::fabs(constant_target.sources[0].alignment), 1e-6 * constant);
      EXPECT_NE(constant_target.sources[0].decision, Decision::transfer);
    }
  }
}

TEST(TransferAdvisor, ASourceOfOneRowKnowsNothing) {
  const Device device = Device::cpu();
  rtl::test::RandomTensors random(rtl::test::fresh_seed());
  const Tensor x = random.f64({1, 4}, device), y = random.f64({1, 1}, device);
  const Tensor inputs = random.f64({15, 4}, device), targets = random.f64({15, 1}, device);
  const L2SPSource source(device, x, y);
  const TransferAdvisor advisor(device, source, inputs, targets);
  EXPECT_EQ(advisor.report().sources[0].decision, Decision::unclear);
  EXPECT_THROW(source.leave_one_out_penalty(), rtl::ValueError);
  const L2SPSource known(device, inputs, targets);
  try {
    const TransferAdvisor nothing(device, known, x, y);
    ADD_FAILURE() << "a target of one row and an intercept was judged";
  } catch (const rtl::ValueError& error) {
    EXPECT_NE(std::string(error.what()).find("the target's single row"), std::string::npos) << error.what();
  }
}

}  // namespace
