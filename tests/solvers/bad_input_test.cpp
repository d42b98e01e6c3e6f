// Ridge problems that are degenerate or wrong: each is solved by definition, or refused by an error that says why.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "rtl/solvers/ridge_path.hpp"
#include "solvers/problems.hpp"
#include "support/devices.hpp"

namespace rtl::solvers {
namespace {

using test::expect_close;
using test::Matrix;
using test::Problem;
using test::Random;
using test::random_problem;
using test::ReferenceProblem;
using test::tensor;

constexpr double infinity = std::numeric_limits<double>::infinity();
const std::vector<double> some = {1e-4, 0.1, 3};

/// The path by every method against fits without each row, for a problem that has a unique solution in spite of its
/// looks.
void expect_solved(const Problem& problem, const Device& device, double tolerance = 1e-9) {
  for (const RidgeMethod method : {RidgeMethod::automatic, RidgeMethod::primal, RidgeMethod::dual, RidgeMethod::svd}) {
    SCOPED_TRACE(
        fmt::format("RTL_TEST_SEED={} method {} on {}", test::seed(), static_cast<int>(method), device.name()));
    RidgeOptions options = problem.options;
    options.method = method;
    const RidgePath path(device, problem.x, problem.y, some, options);
    for (const double penalty : some) {
      const auto fit = test::reference_fit(problem.reference, problem.total(penalty));
      expect_close(path.coefficients(penalty).to_vector<double>(), fit.coefficients.doubles(), tolerance, "W");
      const auto left_out = test::reference_left_out(problem.reference, problem.total(penalty));
      expect_close(path.leave_one_out_residuals(penalty).to_vector<double>(), left_out.doubles(), tolerance,
                   "left out");
      const RidgeFit alone = ridge(device, problem.x, problem.y, penalty, options);
      expect_close(alone.coefficients.to_vector<double>(), fit.coefficients.doubles(), tolerance, "Cholesky");
    }
  }
}

TEST(DegenerateRidge, RankDeficientColumns) {
  for (const Device& device : test::devices()) {
    Random random(31);
    for (const bool intercept : {false, true}) {
      ReferenceProblem problem = random_problem(14, 6, 2, random, intercept, true, false);
      for (std::int64_t i = 0; i < 14; ++i) {
        problem.x(i, 3) = problem.x(i, 0);                        // a repeated column
        problem.x(i, 4) = 2 * problem.x(i, 1) - problem.x(i, 2);  // a combination
      }
      expect_solved(Problem(problem, device), device);
    }
  }
}

TEST(DegenerateRidge, ConstantColumns) {
  for (const Device& device : test::devices()) {
    Random random(32);
    for (const bool intercept : {false, true}) {
      ReferenceProblem problem = random_problem(11, 4, 1, random, intercept, true, true);
      for (std::int64_t i = 0; i < 11; ++i) {
        problem.x(i, 0) = 5;
        problem.x(i, 2) = 0;
      }
      expect_solved(Problem(problem, device), device);
      for (long double& value : problem.x.values) value = 1.5L;
      const Problem constant(problem, device);
      // Nothing but constants: with an intercept the coefficients stay at the centre.
      if (!intercept) continue;
      const RidgePath path(device, constant.x, constant.y, some, constant.options);
      expect_close(path.coefficients(0.1).to_vector<double>(), problem.centre.doubles(), 1e-12, "W");
      EXPECT_NEAR(path.scores().degrees_of_freedom[0], 1, 1e-12);
    }
  }
}

TEST(DegenerateRidge, ManyMoreColumnsThanRows) {
  for (const Device& device : test::devices()) {
    Random random(33);
    const Problem problem(random_problem(3, 90, 2, random, true, false, false), device);
    const RidgePath path(device, problem.x, problem.y, some, problem.options);
    EXPECT_EQ(path.method(), RidgeMethod::dual);
    for (const double penalty : some) {
      const auto left_out = test::reference_left_out(problem.reference, problem.total(penalty));
      expect_close(path.leave_one_out_residuals(penalty).to_vector<double>(), left_out.doubles(), 1e-9, "left out");
    }
  }
}

TEST(DegenerateRidge, DuplicateRows) {
  for (const Device& device : test::devices()) {
    Random random(34);
    ReferenceProblem problem = random_problem(12, 5, 2, random, true, false, false);
    for (std::int64_t i = 1; i < 12; i += 2) {
      for (std::int64_t j = 0; j < 5; ++j) problem.x(i, j) = problem.x(i - 1, j);
    }
    expect_solved(Problem(problem, device), device);
  }
}

TEST(DegenerateRidge, OneRow) {
  for (const Device& device : test::devices()) {
    Random random(35);
    // Without an intercept: w = x y / (x^2 + penalty), and nothing is known without the row.
    const Problem plain(random_problem(1, 3, 2, random, false, false, false), device);
    expect_solved(plain, device);
    Problem with_intercept(random_problem(1, 3, 2, random, true, true, false), device);
    try {
      const RidgePath path(device, with_intercept.x, with_intercept.y, some, with_intercept.options);
      ADD_FAILURE() << "no error";
    } catch (const ValueError& error) {
      EXPECT_NE(std::string(error.what()).find("at least two rows"), std::string::npos) << error.what();
    }
    with_intercept.options.leave_one_out = false;
    for (const RidgeMethod method : {RidgeMethod::primal, RidgeMethod::dual, RidgeMethod::svd}) {
      with_intercept.options.method = method;
      const RidgePath path(device, with_intercept.x, with_intercept.y, some, with_intercept.options);
      expect_close(path.coefficients(0.1).to_vector<double>(), with_intercept.reference.centre.doubles(), 1e-12, "W");
      EXPECT_EQ(path.scores().gcv[0], infinity);
    }
  }
}

TEST(DegenerateRidge, PenaltyZeroIsLeastSquares) {
  for (const Device& device : test::devices()) {
    Random random(36);
    const Problem problem(random_problem(20, 5, 2, random, true, true, true), device);
    const auto fit = test::reference_fit(problem.reference, 0);
    const auto left_out = test::reference_left_out(problem.reference, 0);
    for (const RidgeMethod method : {RidgeMethod::automatic, RidgeMethod::primal, RidgeMethod::svd}) {
      RidgeOptions options = problem.options;
      options.method = method;
      const RidgePath path(device, problem.x, problem.y, std::vector<double>{0}, options);
      expect_close(path.coefficients(0).to_vector<double>(), fit.coefficients.doubles(), 1e-10, "W");
      expect_close(path.leave_one_out_residuals(0).to_vector<double>(), left_out.doubles(), 1e-10, "left out");
      expect_close(ridge(device, problem.x, problem.y, 0, options).coefficients.to_vector<double>(),
                   fit.coefficients.doubles(), 1e-10, "Cholesky");
    }
  }
}

/// Its last column is the first one, but for a part of size `apart`.
ReferenceProblem nearly_repeated(long double apart, Random& random) {
  ReferenceProblem problem = random_problem(40, 4, 1, random, true, false, false);
  for (std::int64_t i = 0; i < 40; ++i) {
    problem.x(i, 3) = static_cast<double>(problem.x(i, 0) + apart * problem.x(i, 3));
  }
  return problem;
}

TEST(DegenerateRidge, IllConditionedColumnsGoToTheSingularValues) {
  const Device device = Device::cpu();
  Random random(37);
  const Problem given(nearly_repeated(1e-5L, random), device);
  const RidgePath path(device, given.x, given.y, std::vector<double>{1e-17}, given.options);
  EXPECT_EQ(path.method(), RidgeMethod::svd);
  // Coefficients along the column that is almost repeated are as uncertain as the problem itself; predictions are not.
  const auto fit = test::reference_fit(given.reference, given.total(1e-17));
  Matrix want(40, 1);
  for (std::int64_t i = 0; i < 40; ++i) want(i, 0) = test::reference_prediction(given.reference, fit, i, 0);
  expect_close(path.predict(given.x, 1e-17).to_vector<double>(), want.doubles(), 1e-7, "predictions");
  // Eigenvalues from about 40 (1 + 1) to 40 * 1e-10 / 2.
  EXPECT_GT(path.condition(1e-17), 1e10);
  const RidgeFit alone = ridge(device, given.x, given.y, 1e-17, given.options);
  EXPECT_LE(alone.condition, path.condition(1e-17));
  EXPECT_GT(alone.condition, 1e8);
}

TEST(DegenerateRidge, AGramMatrixRefusesWhatItDoesNotResolve) {
  const Device device = Device::cpu();
  Random random(39);
  const Problem given(nearly_repeated(1e-8L, random), device);
  RidgeOptions options = given.options;
  options.method = RidgeMethod::primal;
  EXPECT_THROW(RidgePath(device, given.x, given.y, std::vector<double>{1e-17}, options), ValueError);
  const RidgePath coarse(device, given.x, given.y, std::vector<double>{0.1}, options);
  EXPECT_GT(coarse.smallest_penalty(), 0);
  EXPECT_THROW(coarse.coefficients(coarse.smallest_penalty() / 2), ValueError);
  options.arithmetic = RidgeArithmetic::f32;
  EXPECT_THROW(RidgePath(device, given.x, given.y, std::vector<double>{1e-9}, options), ValueError);
}

struct Fault {
  const char* name;
  const char* text;
  std::function<void(const Device&, const Problem&)> run;
};

std::vector<double> values_with(const Tensor& tensor, std::size_t place, double value) {
  std::vector<double> values = tensor.to_vector<double>();
  values[place] = value;
  return values;
}

void fit(const Device& device, ConstView x, ConstView y, const std::vector<double>& penalties,
         const RidgeOptions& options = {}) {
  const RidgePath path(device, x, y, penalties, options);
}

const Fault faults[] = {
    {"NaN in x", "'x' [2, 1] is nan",
     [](const Device& d, const Problem& p) {
       fit(d, Tensor::from(values_with(p.x, 7, NAN), {8, 3}, d), p.y, some);
     }},
    {"infinity in y", "'y' [7, 0] is inf",
     [](const Device& d, const Problem& p) {
       fit(d, p.x, Tensor::from(values_with(p.y, 14, infinity), {8, 2}, d), some);
     }},
    {"NaN in the centre", "'centre' [0, 1] is nan",
     [](const Device& d, const Problem& p) {
       const Tensor centre = Tensor::from(std::vector<double>{0, NAN, 0, 0, 0, 0}, {3, 2}, d);
       fit(d, p.x, p.y, some, {.centre = centre});
     }},
    {"overflow", "overflow",
     [](const Device& d, const Problem& p) {
       fit(d, Tensor::from(values_with(p.x, 0, 1e200), {8, 3}, d), p.y, some);
     }},
    {"negative penalty", "penalty 1 is -1",
     [](const Device& d, const Problem& p) {
       fit(d, p.x, p.y, {1, -1});
     }},
    {"infinite penalty", "penalty 0 is inf", [](const Device& d, const Problem& p) { fit(d, p.x, p.y, {infinity}); }},
    {"NaN penalty", "is nan", [](const Device& d, const Problem& p) { fit(d, p.x, p.y, {NAN}); }},
    {"penalty 0, rows too few", "not unique",
     [](const Device& d, const Problem& p) { fit(d, p.x.view().slice(0, 0, 3), p.y.view().slice(0, 0, 3), {0}); }},
    {"penalty 0, columns all 0", "not unique",
     [](const Device& d, const Problem& p) {
       fit(d, Tensor::zeros({8, 3}, DType::f64, d), p.y, {0});
     }},
    {"different rows", "different numbers of rows",
     [](const Device& d, const Problem& p) { fit(d, p.x, p.y.view().slice(0, 0, 7), some); }},
    {"no rows", "must have rows",
     [](const Device& d, const Problem& p) { fit(d, p.x.view().slice(0, 0, 0), p.y.view().slice(0, 0, 0), some); }},
    {"no columns", "must have rows and columns",
     [](const Device& d, const Problem& p) { fit(d, p.x.view().slice(1, 0, 0), p.y, some); }},
    {"x of rank 1", "rank 2", [](const Device& d, const Problem& p) { fit(d, p.x.view().reshaped({24}), p.y, some); }},
    {"turned x", "not contiguous",
     [](const Device& d, const Problem& p) {
       fit(d, p.x.view().permuted({1, 0}), p.y.view().slice(0, 0, 3), some);
     }},
    {"integers", "i32",
     [](const Device& d, const Problem& p) {
       fit(d, Tensor::zeros({8, 3}, DType::i32, d), p.y, some);
     }},
    {"centre of another shape", "[3, 2] is needed",
     [](const Device& d, const Problem& p) {
       fit(d, p.x, p.y, some, {.centre = Tensor::zeros({2, 2}, DType::f64, d)});
     }},
    {"too few weights", "'sample_weights' is [7]",
     [](const Device& d, const Problem& p) {
       fit(d, p.x, p.y, some, {.sample_weights = Tensor::zeros({7}, DType::f64, d)});
     }},
    {"weights all 0", "all sample_weights are 0",
     [](const Device& d, const Problem& p) {
       fit(d, p.x, p.y, some, {.sample_weights = Tensor::zeros({8}, DType::f64, d)});
     }},
    {"negative weight", "sample_weights[3] is -2",
     [](const Device& d, const Problem& p) {
       const Tensor weights = Tensor::from(std::vector<double>{1, 1, 1, -2, 1, 1, 1, 1}, {8}, d);
       fit(d, p.x, p.y, some, {.sample_weights = weights});
     }},
    {"svd in f32", "primal and dual only",
     [](const Device& d, const Problem& p) {
       fit(d, p.x, p.y, some, {.method = RidgeMethod::svd, .arithmetic = RidgeArithmetic::f32});
     }},
    {"new rows of another width", "fitted to 3 columns",
     [](const Device& d, const Problem& p) { RidgePath(d, p.x, p.y, some).predict(p.y, 0.1); }},
    {"coefficients of a negative penalty", "RidgePath::coefficients",
     [](const Device& d, const Problem& p) { RidgePath(d, p.x, p.y, some).coefficients(-1); }},
    {"ridge: penalty 0, rows too few", "too few rows",
     [](const Device& d, const Problem& p) { ridge(d, p.x.view().slice(0, 0, 3), p.y.view().slice(0, 0, 3), 0); }},
    {"ridge: singular", "singular",
     [](const Device& d, const Problem& p) {
       ridge(d, Tensor::zeros({8, 3}, DType::f64, d), p.y, 0);
     }},
    {"ridge: NaN", "'y' [0, 0] is nan",
     [](const Device& d, const Problem& p) {
       ridge(d, p.x, Tensor::from(values_with(p.y, 0, NAN), {8, 2}, d), 1);
     }},
    {"ridge: negative", "is -3", [](const Device& d, const Problem& p) { ridge(d, p.x, p.y, -3); }},
};

TEST(WrongRidge, IsRefusedWithTheReason) {
  for (const Device& device : test::devices()) {
    Random random(38);
    const Problem problem(random_problem(8, 3, 2, random, true, false, false), device);
    for (const Fault& fault : faults) {
      SCOPED_TRACE(fmt::format("{} on {}", fault.name, device.name()));
      try {
        fault.run(device, problem);
        ADD_FAILURE() << "no error";
      } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find(fault.text), std::string::npos) << error.what();
      }
    }
  }
}

}  // namespace
}  // namespace rtl::solvers
