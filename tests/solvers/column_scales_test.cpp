// Single coefficients where columns are of very different sizes, beside a solution in quadruple precision.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "rtl/solvers/batched_ridge.hpp"
#include "rtl/solvers/gram_stream.hpp"
#include "solvers/problems.hpp"
#include "support/devices.hpp"

namespace rtl::solvers {
namespace {

using test::Matrix;
using test::Problem;
using test::Random;
using test::random_problem;
using test::ReferenceProblem;

__extension__ using Quad = __float128;

/// W [p, k] and below it the intercept, by elimination on the normal equations, which scaling columns does not disturb.
std::vector<double> quadruple_solution(const ReferenceProblem& problem, double total) {
  const std::int64_t n = problem.x.rows, p = problem.x.columns, k = problem.y.columns;
  const std::int64_t m = p + (problem.intercept ? 1 : 0), width = m + k;
  std::vector<Quad> a(static_cast<std::size_t>(m * width));
  const auto at = [&](std::int64_t i, std::int64_t j) -> Quad& { return a[static_cast<std::size_t>(i * width + j)]; };
  for (std::int64_t i = 0; i < n; ++i) {
    // As the library gets it.
    const auto entry = [&](std::int64_t j) -> Quad {
      return j < p ? static_cast<double>(problem.x(i, j)) : j < m ? 1.0 : static_cast<double>(problem.y(i, j - m));
    };
    const Quad weight = problem.weights.empty() ? 1 : static_cast<double>(problem.weights[static_cast<std::size_t>(i)]);
    for (std::int64_t j = 0; j < m; ++j) {
      for (std::int64_t l = 0; l < width; ++l) at(j, l) += weight * entry(j) * entry(l);
    }
  }
  for (std::int64_t j = 0; j < p; ++j) {
    at(j, j) += total;
    for (std::int64_t o = 0; problem.centre.rows > 0 && o < k; ++o) {
      at(j, m + o) += static_cast<Quad>(total) * static_cast<double>(problem.centre(j, o));
    }
  }
  // The intercept first: what is left are the centred columns' products.
  std::vector<std::int64_t> order;
  for (std::int64_t j = m; j-- > 0;) order.push_back(j);
  for (std::size_t c = 0; c < order.size(); ++c) {
    for (std::size_t i = c + 1; i < order.size(); ++i) {
      const Quad factor = at(order[i], order[c]) / at(order[c], order[c]);
      for (std::int64_t l = 0; l < width; ++l) at(order[i], l) -= factor * at(order[c], l);
    }
  }
  std::vector<double> result(static_cast<std::size_t>(m * k));
  for (std::size_t c = order.size(); c-- > 0;) {
    const std::int64_t j = order[c];
    for (std::int64_t o = 0; o < k; ++o) {
      for (std::size_t i = c + 1; i < order.size(); ++i) at(j, m + o) -= at(j, order[i]) * at(order[i], m + o);
      at(j, m + o) /= at(j, j);
      result[static_cast<std::size_t>(j * k + o)] = static_cast<double>(at(j, m + o));
    }
  }
  return result;
}

/// The largest relative error of a coefficient; of one that nearly cancels, relative to a thousandth of what columns of
/// its size have.
double worst_error(const Problem& problem, double total, const std::vector<double>& got,
                   const std::vector<double>& want) {
  const std::int64_t n = problem.reference.x.rows, k = problem.reference.y.columns;
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const auto j = static_cast<std::int64_t>(i) / k, o = static_cast<std::int64_t>(i) % k;
    long double xx = 0, yy = 0;
    for (std::int64_t r = 0; r < n; ++r) {
      xx += problem.reference.x(r, j) * problem.reference.x(r, j);
      yy += problem.reference.y(r, o) * problem.reference.y(r, o);
    }
    const auto usual = static_cast<double>(std::sqrt(xx * yy) / (xx + static_cast<long double>(total)));
    const double error = std::fabs(got[i] - want[i]) / std::max(std::fabs(want[i]), 1e-3 * usual);
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

/// One thread of the host: the problems are small.
std::vector<Device> devices() {
  std::vector<Device> found = test::devices();
  for (Device& device : found) {
    if (!device.is_cuda()) device = Device::cpu(1);
  }
  return found;
}

/// Exponents of ten of the columns' scales.
std::vector<double> exponents(int pattern, std::int64_t p, Random& random) {
  std::vector<double> result;
  const auto drawn = random.uniform({p}, -1, 1);
  for (std::int64_t j = 0; j < p; ++j) {
    const double own = static_cast<double>(drawn[static_cast<std::size_t>(j)]);
    const double cases[] = {8.0 * static_cast<double>(j % 3 - 1),
                            8 * own,
                            j % 5 == 0 ? 8.0 : 0.0,
                            12 * own,
                            j % 2 == 0 ? 8.0 : -8.0,
                            j == 1 ? -8.0 : 0.0};
    result.push_back(cases[pattern]);
  }
  return result;
}
constexpr int patterns = 6;

ReferenceProblem scaled_problem(int pattern, std::int64_t n, std::int64_t p, Random& random, int variant) {
  ReferenceProblem problem =
      random_problem(n, p, 2, random, (variant & 1) != 0, (variant & 2) != 0, (variant & 4) != 0);
  const std::vector<double> powers = exponents(pattern, p, random);
  for (std::int64_t j = 0; j < p; ++j) {
    const long double scale = std::pow(10.0L, static_cast<long double>(powers[static_cast<std::size_t>(j)]));
    for (std::int64_t i = 0; i < n; ++i) problem.x(i, j) *= scale;
    for (std::int64_t o = 0; problem.centre.rows > 0 && o < 2; ++o) problem.centre(j, o) /= scale;
  }
  return problem;
}

struct Shape2 {
  std::int64_t n, p;
};

void expect_right(const Problem& problem, double total, const std::vector<double>& got) {
  EXPECT_LT(worst_error(problem, total, got, quadruple_solution(problem.reference, total)), 1e-10);
}

TEST(ColumnScales, EveryCoefficientIsRight) {
  for (const Device& device : devices()) {
    Random random(301);
    int variant = 0;
    for (const auto& [n, p] : {Shape2{50, 9}, {33, 20}, {12, 40}, {16, 16}, {20, 19}}) {
      for (int pattern = 0; pattern < patterns; ++pattern, variant += 3) {
        const Problem problem(scaled_problem(pattern, n, p, random, variant % 8), device);
        for (const double penalty : {1e-3, 0.1, 10.0}) {
          SCOPED_TRACE(fmt::format("[{}, {}], pattern {}, variant {}, penalty {} on {}, seed {}", n, p, pattern,
                                   variant % 8, penalty, device.name(), test::seed()));
          const auto total = static_cast<double>(problem.total(penalty));
          const RidgePath path(device, problem.x, problem.y, std::vector<double>{penalty}, problem.options);
          const RidgeFit fit = path.fit(penalty);
          const std::vector<double> coefficients = fit.coefficients.to_vector<double>();
          expect_right(problem, total, coefficients);
          EXPECT_EQ(path.coefficients(penalty).to_vector<double>(), coefficients);
          EXPECT_EQ(path.intercept(penalty).to_vector<double>(), fit.intercept.to_vector<double>());
          expect_right(problem, total,
                       ridge(device, problem.x, problem.y, penalty, problem.options).coefficients.to_vector<double>());
        }
      }
    }
  }
}

TEST(ColumnScales, OfStreams) {
  for (const Device& device : devices()) {
    Random random(302);
    for (int pattern = 0; pattern < patterns; ++pattern) {
      for (int variant = 0; variant < 8; ++variant) {
        const Problem problem(scaled_problem(pattern, 60, 8, random, variant), device);
        SCOPED_TRACE(
            fmt::format("pattern {}, variant {} on {}, seed {}", pattern, variant, device.name(), test::seed()));
        GramAccumulator sums(device, 8, 2);
        const ConstView weights = problem.weights.defined() ? problem.weights.view() : ConstView();
        for (const auto& [begin, end] : {std::pair<std::int64_t, std::int64_t>{0, 25}, {25, 60}}) {
          sums.add(problem.x.view().slice(0, begin, end), problem.y.view().slice(0, begin, end),
                   weights.given() ? weights.slice(0, begin, end) : ConstView());
        }
        StreamOptions options{.intercept = problem.options.intercept, .centre = problem.options.centre};
        const StreamedRidgePath path(sums, {}, options);
        expect_right(problem, static_cast<double>(problem.total(0.1)), path.coefficients(0.1).to_vector<double>());
      }
    }
  }
}

TEST(ColumnScales, OfBatches) {
  for (const Device& device : devices()) {
    Random random(303);
    for (const auto& [n, p] : {Shape2{30, 6}, {7, 20}}) {
      for (const bool intercept : {true, false}) {
        SCOPED_TRACE(fmt::format("[{}, {}] on {}, seed {}", n, p, device.name(), test::seed()));
        // What eigenvectors of the columns' products resolve in f64: scales from 1e-8 to 1, or penalties to match.
        ReferenceProblem scaled = random_problem(n, p, 2, random, intercept, false, false);
        for (std::int64_t j = 0; j < p; ++j) {
          for (std::int64_t i = 0; i < n; ++i) scaled.x(i, j) *= std::pow(10.0L, -8.0L * (j % 4 == 1));
        }
        const Problem plain(random_problem(n, p, 2, random, intercept, false, false), device), other(scaled, device);
        std::vector<double> x = plain.x.to_vector<double>(), y = plain.y.to_vector<double>();
        const std::vector<double> more_x = other.x.to_vector<double>(), more_y = other.y.to_vector<double>();
        x.insert(x.end(), more_x.begin(), more_x.end());
        y.insert(y.end(), more_y.begin(), more_y.end());
        const BatchedRidge batch =
            batched_ridge(device, Tensor::from(x, {2, n, p}, device), Tensor::from(y, {2, n, 2}, device),
                          std::vector<double>{0.01}, {.intercept = intercept});
        const std::vector<double> all = batch.coefficients.to_vector<double>();
        const auto half = static_cast<std::ptrdiff_t>(all.size() / 2);
        const auto total = static_cast<double>(plain.total(0.01));
        expect_right(plain, total, {all.begin(), all.begin() + half});
        expect_right(other, total, {all.begin() + half, all.end()});
      }
    }
  }
}

TEST(ColumnScales, LeaveOneOutDoesNotDependOnTheSecondSolution) {
  const Device device = Device::cpu(1);
  Random random(304);
  const Problem problem(scaled_problem(0, 30, 9, random, 1), device);
  const RidgePath path(device, problem.x, problem.y, std::vector<double>{0.1}, problem.options);
  const std::vector<double> before = path.scores().leave_one_out;
  const Matrix want = test::reference_left_out(problem.reference, problem.total(0.1));
  long double sum = 0;
  for (const long double value : want.values) sum += value * value / static_cast<long double>(want.values.size());
  // Rounding a column of scale 10^8 is as large as 10^8 roundings of the columns that leave the residuals.
  EXPECT_NEAR(before[0] / static_cast<double>(sum), 1, 1e8 * 0x1p-53);
  (void)path.coefficients(0.1);
  EXPECT_EQ(path.evaluate(std::vector<double>{0.1}).leave_one_out, before);
}

}  // namespace
}  // namespace rtl::solvers
