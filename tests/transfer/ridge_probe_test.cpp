// The ridge probe: what the solver gives on the same features, for classes and real targets.
#include <gtest/gtest.h>

#include <cmath>

#include "rtl/solvers/ridge_path.hpp"
#include "rtl/transfer/strategies.hpp"
#include "transfer/ridge_head.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using testing::quick;

/// Standardised by the rows themselves, in double.
std::vector<double> standardized(const std::vector<float>& values, std::size_t rows, std::size_t columns) {
  std::vector<double> result(values.size());
  for (std::size_t c = 0; c < columns; ++c) {
    double mean = 0, square = 0;
    for (std::size_t i = 0; i < rows; ++i)
      mean += static_cast<double>(values[i * columns + c]) / static_cast<double>(rows);
    for (std::size_t i = 0; i < rows; ++i) {
      result[i * columns + c] = static_cast<double>(values[i * columns + c]) - mean;
      square += result[i * columns + c] * result[i * columns + c] / static_cast<double>(rows);
    }
    for (std::size_t i = 0; i < rows; ++i) result[i * columns + c] /= square > 1e-12 ? std::sqrt(square) : INFINITY;
  }
  return result;
}

void expect_solver(const FrozenSource& source, const data::Dataset& data, const std::vector<double>& y,
                   std::int64_t outputs, const Device& device) {
  const std::int64_t rows = data.size(), columns = source.feature_count();
  const std::vector<double> x = standardized(source.features(data).to_vector<float>(), static_cast<std::size_t>(rows),
                                             static_cast<std::size_t>(columns));
  const Tensor features = Tensor::from(x, {rows, columns}, device), targets = Tensor::from(y, {rows, outputs}, device);
  const solvers::RidgePath path(device, features, targets, solvers::logarithmic_penalties(1e-6, 1e4, 41));
  const solvers::RidgeFit best = path.fit(path.best_penalty());
  const std::vector<double> w = best.coefficients.to_vector<double>(), b = best.intercept.to_vector<double>();
  Fitted fitted = fit("ridge-probe", {source}, data, quick(1));
  EXPECT_TRUE(fitted.training().complete);
  EXPECT_EQ(fitted.trainable_parameters(), (columns + 1) * outputs);
  const std::vector<float> here =
      fitted.predictor()
          .predict(data, [&](const FrozenSource& s) { return std::make_shared<const FeatureTable>(s.features(data)); })
          .to_vector<float>();
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t k = 0; k < outputs; ++k) {
      double sum = b[static_cast<std::size_t>(k)];
      for (std::int64_t j = 0; j < columns; ++j) {
        sum += x[static_cast<std::size_t>(i * columns + j)] * w[static_cast<std::size_t>(j * outputs + k)];
      }
      // The probe's features, weights and products are f32.
      EXPECT_NEAR(here[static_cast<std::size_t>(i * outputs + k)], sum, 2e-3);
    }
  }
}

TEST(RidgeProbe, IsWhatTheSolverGives) {
  for (const Device& device : testing::devices()) {
    const FrozenSource source(testing::make("mlp", "12", {5}, 3, 4, device));
    const data::Dataset classes = testing::make_vectors(1, 90, 5, 3, 2.0, device);
    std::vector<double> one_hot(90 * 3);
    const std::vector<std::int32_t> labels = classes.labels.to_vector<std::int32_t>();
    for (std::size_t i = 0; i < 90; ++i) one_hot[3 * i + static_cast<std::size_t>(labels[i])] = 1;
    expect_solver(source, classes, one_hot, 3, device);

    data::Dataset real = testing::make_vectors(2, 80, 5, 3, 2.0, device);
    std::vector<float> y;
    const std::vector<float> x = real.inputs.to_vector<float>();
    for (std::size_t i = 0; i < 80; ++i) y.push_back(1000 + 30 * x[5 * i] - 10 * x[5 * i + 1] * x[5 * i + 1]);
    real.labels = Tensor();
    real.classes = 0;
    real.targets = Tensor::from(y, {80, 1}, device);
    const std::vector<float> standard = standardized_targets(Task::of(real), real);
    expect_solver(source, real, {standard.begin(), standard.end()}, 1, device);
    EXPECT_GT(evaluate(fit("ridge-probe", {source}, real, quick(1)), real).r2, 0.5);
  }
}

std::vector<FrozenBlock> centred_block(const Tensor& features) {
  const FrozenSource source = FrozenSource::of_features(
      "f", features.extent(1), [](const data::Dataset&) -> Tensor { throw Error("not asked for"); });
  std::vector<FrozenBlock> blocks;
  blocks.push_back(FrozenBlock::fit_centred(source, features));
  return blocks;
}

std::vector<float> outputs_of(const FusedHead& head, const Tensor& scaled) {
  std::vector<Tensor> inputs;
  inputs.push_back(scaled.clone());
  return head.shares(inputs).front().to_vector<float>();
}

/// log prior + T (score - prior) of a path's fit of these rows, in double.
std::vector<double> path_logits(const detail::RowTargets& targets, const Tensor& scaled, double alpha,
                                double temperature) {
  const std::vector<double> penalty{alpha / static_cast<double>(targets.rows())};
  const Tensor y = targets.columns(scaled.device()), weights = targets.row_weights(scaled.device());
  const solvers::RidgePath path(scaled.device(), scaled, y, penalty,
                                {.sample_weights = weights.defined() ? weights.view() : ConstView()});
  std::vector<double> logits = path.predict(scaled, penalty.front()).to_vector<double>();
  const auto classes = static_cast<std::size_t>(targets.task.outputs);
  std::vector<double> prior(classes, 0.5);
  double total = 0.5 * static_cast<double>(classes);
  for (std::size_t i = 0; i < targets.labels.size(); ++i) {
    const double weight = targets.weights.empty() ? 1.0 : static_cast<double>(targets.weights[i]);
    prior[static_cast<std::size_t>(targets.labels[i])] += weight;
    total += weight;
  }
  for (std::size_t at = 0; at < logits.size(); ++at) {
    const double share = prior[at % classes] / total;
    logits[at] = std::log(share) + temperature * (logits[at] - share);
  }
  return logits;
}

template <typename T>
void expect_near(const std::vector<float>& here, const std::vector<T>& expected) {
  ASSERT_EQ(here.size(), expected.size());
  for (std::size_t at = 0; at < here.size(); ++at) {
    // The head's features, weights and products are f32.
    EXPECT_NEAR(here[at], expected[at], 2e-5 * (1 + std::abs(expected[at])));
  }
}

void expect_refits(const data::Dataset& data, const std::vector<std::int64_t>& some) {
  const detail::RowTargets all = detail::RowTargets::of(data);
  std::vector<FrozenBlock> blocks = centred_block(data.inputs);
  const Tensor scaled = blocks.front().scaled(data.inputs.clone());
  const detail::CalibratedProbe probe = detail::calibrated_probe(std::move(blocks), scaled, all);
  const auto again = detail::probe_with(centred_block(data.inputs), scaled, all, probe.alpha, probe.temperature);
  expect_near(outputs_of(*again, scaled), outputs_of(*probe.head, scaled));

  const data::Dataset part = data.subset(some);
  std::vector<FrozenBlock> own = centred_block(part.inputs);
  const Tensor own_scaled = own.front().scaled(part.inputs.clone());
  const detail::RowTargets targets = all.subset(some);
  const auto refit = detail::probe_with(std::move(own), own_scaled, targets, probe.alpha, probe.temperature);
  expect_near(outputs_of(*refit, own_scaled), path_logits(targets, own_scaled, probe.alpha, probe.temperature));
}

TEST(RidgeProbe, WithAPenaltyAndATemperatureItIsThePathsFitOfItsRows) {
  for (const Device& device : testing::devices()) {
    for (const bool weighted : {false, true}) {
      for (const std::int64_t columns : {5, 40}) {
        data::Dataset data = testing::make_vectors(7, 40, columns, 3, 2.0, device);
        std::vector<float> weights;
        for (int i = 0; i < 40; ++i) weights.push_back(static_cast<float>(1 + i % 3));
        if (weighted) data.weights = Tensor::from(weights, {40}, device);
        expect_refits(data, {0, 2, 3, 5, 8, 9, 11, 14, 15, 17, 20, 22, 23, 30, 31, 37});
      }
    }
  }
}

}  // namespace
}  // namespace rtl::transfer
