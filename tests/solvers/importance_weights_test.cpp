// Density ratios and mean matching: against the exact ratio of Gaussians, fits done again without rows, and optimality.
#include "rtl/solvers/importance_weights.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"

namespace rtl::solvers {
namespace {

using Numbers = std::vector<double>;

Tensor normal_rows(std::uint64_t seed, std::int64_t rows, std::int64_t columns, double mean, double deviation) {
  RandomSequence random(seed, 4);
  Numbers values(static_cast<std::size_t>(rows * columns));
  for (double& value : values) value = mean + deviation * random.normal();
  return Tensor::from(values, {rows, columns}, Device::cpu(1));
}

double kernel(double a, double b, double width) { return std::exp(-(a - b) * (a - b) / (2 * width * width)); }

/// a = max(0, (H + penalty I)^-1 h) by elimination, of samples of one number, without row `left_out` of both.
Numbers plain_fit(const Numbers& top, const Numbers& bottom, const Numbers& centres, double width, double penalty,
                  std::size_t left_out) {
  const std::size_t b = centres.size();
  std::vector<Numbers> a(b, Numbers(b + 1));
  for (std::size_t l = 0; l < b; ++l) {
    a[l][l] += penalty;
    for (std::size_t i = 0; i < bottom.size(); ++i) {
      if (i == left_out) continue;
      for (std::size_t k = 0; k < b; ++k) {
        a[l][k] += kernel(bottom[i], centres[l], width) * kernel(bottom[i], centres[k], width) /
                   static_cast<double>(bottom.size() - (left_out < bottom.size() ? 1 : 0));
      }
    }
    for (std::size_t i = 0; i < top.size(); ++i) {
      if (i == left_out) continue;
      a[l][b] += kernel(top[i], centres[l], width) / static_cast<double>(top.size() - (left_out < top.size() ? 1 : 0));
    }
  }
  for (std::size_t k = 0; k < b; ++k) {  // positive definite: no pivots
    for (std::size_t i = 0; i < b; ++i) {
      if (i == k) continue;
      const double factor = a[i][k] / a[k][k];
      for (std::size_t j = k; j <= b; ++j) a[i][j] -= factor * a[k][j];
    }
  }
  Numbers coefficients;
  for (std::size_t l = 0; l < b; ++l) coefficients.push_back(std::max(0.0, a[l][b] / a[l][l]));
  return coefficients;
}

double ratio_at(double x, const Numbers& centres, const Numbers& coefficients, double width) {
  double sum = 0;
  for (std::size_t l = 0; l < centres.size(); ++l) sum += coefficients[l] * kernel(x, centres[l], width);
  return sum;
}

TEST(DensityRatio, IsTheFitAndItsScoreThatOfFitsWithoutRows) {
  for (const auto& [m, n] : {std::pair<std::int64_t, std::int64_t>{9, 14}, {12, 8}}) {
    const Tensor top = normal_rows(1, m, 1, 0.3, 0.8), bottom = normal_rows(2, n, 1, 0, 1);
    const DensityRatio ratio = fit_density_ratio(top, bottom, {.centres = 5, .widths = {0.7}, .penalties = {0.05}});
    const Numbers y = top.to_vector<double>(), x = bottom.to_vector<double>(),
                  centres = ratio.centres.to_vector<double>();
    ASSERT_EQ(centres.size(), 5U);
    const Numbers wanted = plain_fit(y, x, centres, 0.7, 0.05, SIZE_MAX), here = ratio.coefficients.to_vector<double>();
    for (std::size_t l = 0; l < 5; ++l) EXPECT_NEAR(here[l], wanted[l], 1e-10);
    const auto count = static_cast<std::size_t>(std::min(m, n));
    double score = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const Numbers without = plain_fit(y, x, centres, 0.7, 0.05, i);
      const double at_x = ratio_at(x[i], centres, without, 0.7), at_y = ratio_at(y[i], centres, without, 0.7);
      score += (at_x * at_x / 2 - at_y) / static_cast<double>(count);
    }
    EXPECT_NEAR(ratio.score, score, 1e-10);
    const Numbers values = ratio(bottom).to_vector<double>();
    for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(values[i], ratio_at(x[i], centres, wanted, 0.7), 1e-10);
  }
}

/// N(0.5, 0.6^2) over N(0, 1).
double exact_ratio(double x) {
  const double z = (x - 0.5) / 0.6;
  return std::exp((x * x - z * z) / 2) / 0.6;
}

/// Root mean square difference from the exact ratio, over the exact ratio's deviation: 1 would be a constant.
double relative_error(const Numbers& x, const Numbers& weights) {
  double apart = 0, mean = 0, spread = 0;
  for (const double value : x) mean += exact_ratio(value) / static_cast<double>(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    apart += std::pow(weights[i] - exact_ratio(x[i]), 2);
    spread += std::pow(exact_ratio(x[i]) - mean, 2);
  }
  return std::sqrt(apart / spread);
}

TEST(DensityRatio, TendsToThatOfGaussians) {
  const auto mean_error = [](std::int64_t rows) {
    double error = 0;
    for (std::uint64_t seed = 10; seed < 18; seed += 2) {
      const Tensor source = normal_rows(seed, rows, 1, 0, 1), target = normal_rows(seed + 1, rows, 1, 0.5, 0.6);
      const Numbers values = fit_density_ratio(target, source)(source).to_vector<double>();
      error += relative_error(source.to_vector<double>(), values) / 4;
    }
    return error;
  };
  // Sixteen times as many rows: at the slow rate n^(-1/4), which kernels of a fixed width surpass, half the error.
  const double few = mean_error(100), many = mean_error(1600);
  EXPECT_LT(many, few / 2);
  EXPECT_LT(many, 0.25) << "less than a sixteenth of the ratio's variance is missed";
  const Tensor source = normal_rows(3, 1500, 1, 0, 1), target = normal_rows(4, 1500, 1, 0.5, 0.6);
  const Numbers values = fit_density_ratio(target, source)(source).to_vector<double>();
  // The mean of a ratio is 1; its deviation is 0.72, so that of the mean of 1500 values is 0.019, three of which are
  // allowed, beside as much for the target's rows.
  EXPECT_NEAR(std::accumulate(values.begin(), values.end(), 0.0) / 1500, 1, 0.1);
  // Of one distribution over itself the ratio is one everywhere that there are samples.
  const DensityRatio one = fit_density_ratio(normal_rows(5, 1500, 1, 0, 1), source);
  for (const double value :
       one(Tensor::from(Numbers{-1, -0.5, 0, 0.5, 1}, {5, 1}, Device::cpu(1))).to_vector<double>()) {
    EXPECT_NEAR(value, 1, 0.15);
  }
}

TEST(DensityRatio, ChoosesTheLeastScore) {
  const Tensor source = normal_rows(3, 60, 2, 0, 1), target = normal_rows(4, 50, 2, 0.5, 0.6);
  const DensityRatio best = fit_density_ratio(target, source, {.widths = {0.3, 1, 3}, .penalties = {0.01, 1}});
  bool found = false;
  for (const double width : {0.3, 1.0, 3.0}) {
    for (const double penalty : {0.01, 1.0}) {
      const DensityRatio one = fit_density_ratio(target, source, {.widths = {width}, .penalties = {penalty}});
      EXPECT_GE(one.score, best.score);
      if (width != best.width || penalty != best.penalty) continue;
      found = true;
      EXPECT_EQ(one.coefficients.to_vector<double>(), best.coefficients.to_vector<double>());
    }
  }
  EXPECT_TRUE(found);
}

double objective(const Numbers& w, const Numbers& s, const Numbers& t, double width) {
  double value = 0;
  const auto n = static_cast<double>(s.size()), m = static_cast<double>(t.size());
  for (std::size_t i = 0; i < s.size(); ++i) {
    for (std::size_t j = 0; j < s.size(); ++j) value += w[i] * w[j] * kernel(s[i], s[j], width) / (n * n);
    for (const double y : t) value -= 2 * w[i] * kernel(s[i], y, width) / (n * m);
  }
  for (const double a : t) {
    for (const double b : t) value += kernel(a, b, width) / (m * m);
  }
  return value;
}

TEST(MeanMatching, IsBestAmongAllWeights) {
  const Tensor source = normal_rows(6, 4, 1, 0, 1), target = normal_rows(7, 6, 1, 0.5, 0.6);
  const Numbers s = source.to_vector<double>(), t = target.to_vector<double>();
  const double largest = 2, slack = 0.1;
  const MeanMatching found =
      match_means(source, target, {.width = 0.8, .largest = largest, .slack = slack, .precision = 1e-9});
  const Numbers w = found.weights.to_vector<double>();
  const double value = objective(w, s, t, 0.8), mean = std::accumulate(w.begin(), w.end(), 0.0) / 4;
  EXPECT_LE(std::abs(mean - 1), slack + 1e-12);
  for (const double weight : w) {
    EXPECT_GE(weight, 0);
    EXPECT_LE(weight, largest);
  }
  double least = INFINITY;
  constexpr int steps = 20;
  for (int code = 0; code < 21 * 21 * 21 * 21; ++code) {
    Numbers v;
    for (int k = 0, rest = code; k < 4; ++k, rest /= steps + 1) v.push_back(largest * (rest % (steps + 1)) / steps);
    if (std::abs(std::accumulate(v.begin(), v.end(), 0.0) / 4 - 1) > slack) continue;
    least = std::min(least, objective(v, s, t, 0.8));
  }
  EXPECT_LE(value, least + 1e-9) << "no point of a grid is better";
  EXPECT_GT(value, least - 0.01);
  EXPECT_LE(found.gap, 1e-9);
}

TEST(MeanMatching, OfGaussiansFollowsTheirRatio) {
  const Tensor source = normal_rows(8, 400, 1, 0, 1), target = normal_rows(9, 400, 1, 0.5, 0.6);
  const MeanMatching found = match_means(source, target, {.width = 0.5, .largest = 10, .slack = 0.05});
  const Numbers x = source.to_vector<double>(), w = found.weights.to_vector<double>();
  // Single weights are free within what the kernel cannot see; their means over neighbours are not.
  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return x[a] < x[b]; });
  Numbers here, wanted;
  double moment = 0;
  for (std::size_t begin = 0; begin < 400; begin += 40) {
    double sum = 0, exact = 0;
    for (std::size_t i = begin; i < begin + 40; ++i) {
      sum += w[order[i]] / 40;
      exact += exact_ratio(x[order[i]]) / 40;
      moment += w[order[i]] * x[order[i]] / 400;
    }
    EXPECT_NEAR(sum, exact, 0.35);
  }
  EXPECT_NEAR(moment, 0.5, 0.08) << "the weighted mean is the target's";
}

TEST(ImportanceWeights, RefuseWhatHasNoAnswer) {
  const Tensor rows = normal_rows(1, 5, 2, 0, 1), other = normal_rows(1, 5, 3, 0, 1), one = normal_rows(1, 1, 2, 0, 1);
  const Tensor alike = Tensor::zeros({5, 2}, DType::f64, Device::cpu(1));
  EXPECT_THROW(fit_density_ratio(rows, other), ShapeError);
  EXPECT_THROW(fit_density_ratio(one, rows), ValueError);
  EXPECT_THROW(fit_density_ratio(alike, rows), ValueError);
  EXPECT_NO_THROW(fit_density_ratio(alike, rows, {.widths = {1}}));
  EXPECT_THROW(fit_density_ratio(rows, rows, {.centres = 0}), ValueError);
  EXPECT_THROW(fit_density_ratio(rows, rows, {.widths = {-1}}), ValueError);
  EXPECT_THROW(fit_density_ratio(rows, rows, {.penalties = {}}), ValueError);
  EXPECT_THROW(fit_density_ratio(rows, rows, {.penalties = {0}}), ValueError);
  EXPECT_THROW(match_means(rows, other), ShapeError);
  EXPECT_THROW(match_means(alike, rows), ValueError);
  EXPECT_THROW(match_means(rows, rows, {.largest = 0.5, .slack = 0.1}), ValueError);
  EXPECT_THROW(match_means(rows, rows, {.width = -1}), ValueError);
  EXPECT_THROW(match_means(rows, normal_rows(2, 5, 2, 1, 1), {.precision = 1e-12, .iterations = 1}), Error);
  EXPECT_THROW(median_distance(one), ValueError);
  EXPECT_THROW(median_distance(Tensor::zeros({3}, DType::i32, Device::cpu(1))), DTypeError);
  EXPECT_NEAR(median_distance(Tensor::from(Numbers{0, 1, 3}, {3, 1}, Device::cpu(1))), 2, 1e-15);
}

}  // namespace
}  // namespace rtl::solvers
