// The ridge probe: what the solver gives on the same features, for classes and real targets.
#include <gtest/gtest.h>

#include <cmath>

#include "rtl/solvers/ridge_path.hpp"
#include "rtl/transfer/strategies.hpp"
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

}  // namespace
}  // namespace rtl::transfer
