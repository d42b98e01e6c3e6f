// Ridge problems at the ends of the numbers: huge means, weights and scales give the right answer or a typed error.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "rtl/io/npy.hpp"
#include "rtl/solvers/batched_ridge.hpp"
#include "rtl/solvers/gram_stream.hpp"
#include "rtl/solvers/l2sp_source.hpp"
#include "rtl/solvers/randomized_svd.hpp"
#include "solvers/problems.hpp"
#include "support/devices.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::solvers {
namespace {

using test::expect_close;
using test::Problem;
using test::Random;
using test::random_problem;
using test::ReferenceProblem;

const std::vector<double> penalties = {0.01, 0.1, 1.0};
constexpr double infinity = std::numeric_limits<double>::infinity();

Tensor scaled(const Tensor& tensor, double factor, const Device& device) {
  std::vector<double> values = tensor.to_vector<double>();
  for (double& value : values) value *= factor;
  return Tensor::from(values, tensor.shape(), device);
}

void expect_same_scores(const RidgeScores& got, const RidgeScores& want, double tolerance) {
  expect_close(got.leave_one_out, want.leave_one_out, tolerance, "leave-one-out");
  expect_close(got.gcv, want.gcv, tolerance, "gcv");
  expect_close(got.degrees_of_freedom, want.degrees_of_freedom, tolerance, "degrees of freedom");
}

template <typename F>
void refuses(const char* text, const F& make) {
  try {
    make();
    ADD_FAILURE() << "no error that says '" << text << "'";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
  }
}

TEST(ExtremeRidge, AConstantColumnOfAHugeMeanChangesNothing) {
  for (const Device& device : test::devices()) {
    Random random(61);
    for (const bool weights : {false, true}) {
      const ReferenceProblem reference = random_problem(30, 4, 2, random, true, false, weights);
      ReferenceProblem wider = reference;
      wider.x = test::Matrix(30, 5);
      for (std::int64_t i = 0; i < 30; ++i) {
        for (std::int64_t j = 0; j < 4; ++j) wider.x(i, j) = reference.x(i, j);
        wider.x(i, 4) = static_cast<double>(1732190000123456789LL);
      }
      const Problem plain(reference, device), beside(wider, device);
      for (const RidgeMethod method : {RidgeMethod::primal, RidgeMethod::dual, RidgeMethod::svd}) {
        RidgeOptions options = plain.options, same = beside.options;
        options.method = same.method = method;
        const RidgePath want(device, plain.x, plain.y, penalties, options);
        const RidgePath got(device, beside.x, beside.y, penalties, same);
        expect_same_scores(got.scores(), want.scores(), 1e-10);
        EXPECT_EQ(got.coefficients(0.1).to_vector<double>()[8], 0);
      }
      GramAccumulator sums(device, 5, 2);
      sums.add(beside.x, beside.y, beside.weights.defined() ? beside.weights.view() : ConstView());
      const StreamedRidgePath stream(sums, penalties);
      const RidgePath want(device, plain.x, plain.y, penalties, plain.options);
      expect_close(stream.scores().degrees_of_freedom, want.scores().degrees_of_freedom, 1e-10, "streamed");
    }
  }
}

TEST(ExtremeRidge, OnlyRatiosOfWeightsMatter) {
  for (const Device& device : test::devices()) {
    Random random(62);
    const Problem problem(random_problem(30, 4, 1, random, true, false, false), device);
    const RidgePath want(device, problem.x, problem.y, penalties);
    for (const double weight : {1e308, 1.7e308, 3e-308, 5e-324}) {
      const Tensor weights = Tensor::from(std::vector<double>(30, weight), {30}, device);
      const RidgePath got(device, problem.x, problem.y, penalties, {.sample_weights = weights});
      SCOPED_TRACE(fmt::format("weights of {}", weight));
      expect_same_scores(got.scores(), want.scores(), 1e-12);
    }
  }
}

TEST(ExtremeRidge, OverflowIsRefusedByEveryMethod) {
  for (const Device& device : test::devices()) {
    Random random(63);
    for (const auto& [n, p] : {std::pair<std::int64_t, std::int64_t>{30, 4}, {6, 9}}) {
      for (const bool intercept : {true, false}) {
        const Problem problem(random_problem(n, p, 2, random, intercept, false, false), device);
        const Tensor large_x = scaled(problem.x, 1e200, device), large_y = scaled(problem.y, 1e200, device);
        for (const RidgeMethod method : {RidgeMethod::primal, RidgeMethod::dual, RidgeMethod::svd}) {
          SCOPED_TRACE(fmt::format("method {}, {}x{} on {}", static_cast<int>(method), n, p, device.name()));
          const RidgeOptions options{.intercept = intercept, .method = method};
          refuses("overflow", [&] { RidgePath(device, large_x, problem.y, penalties, options); });
          refuses("overflow", [&] { RidgePath(device, problem.x, large_y, penalties, options); });
        }
        const ConstView x = problem.x.view().reshaped({1, n, p}), y = problem.y.view().reshaped({1, n, 2});
        const BatchedRidgeOptions options{.intercept = intercept};
        refuses("overflow", [&] { batched_ridge(device, large_x.view().reshaped({1, n, p}), y, penalties, options); });
        refuses("overflow", [&] { batched_ridge(device, x, large_y.view().reshaped({1, n, 2}), penalties, options); });
      }
    }
  }
}

TEST(ExtremeRidge, SinglePrecisionIsExactOrRefuses) {
  for (const Device& device : test::devices()) {
    Random random(64);
    const Problem problem(random_problem(30, 4, 1, random, true, false, false), device);
    for (const RidgeMethod method : {RidgeMethod::primal, RidgeMethod::dual}) {
      const RidgeOptions wide{.method = method}, narrow{.method = method, .arithmetic = RidgeArithmetic::f32};
      for (const double factor : {1e-23, 1e-19, 1e-16, 1e-12, 1e-6, 1e6, 1e12, 1e17}) {
        SCOPED_TRACE(fmt::format("x times {}, method {} on {}", factor, static_cast<int>(method), device.name()));
        const Tensor x = scaled(problem.x, factor, device);
        std::vector<double> totals = penalties;
        for (double& total : totals) total *= factor * factor;
        const RidgePath want(device, x, problem.y, totals, wide);
        if (factor > 1e-14 && factor < 1e14) {
          const RidgePath got(device, x, problem.y, totals, narrow);
          expect_close(got.scores().leave_one_out, want.scores().leave_one_out, 1e-4, "leave-one-out");
          expect_close(got.scores().degrees_of_freedom, want.scores().degrees_of_freedom, 1e-4, "degrees of freedom");
        } else {
          refuses("f32 arithmetic", [&] { RidgePath(device, x, problem.y, totals, narrow); });
        }
      }
    }
    const RidgeOptions narrow{.method = RidgeMethod::primal, .arithmetic = RidgeArithmetic::f32};
    refuses("squares of y", [&] { RidgePath(device, problem.x, scaled(problem.y, 1e-22, device), penalties, narrow); });
    // What does not vary at all is no underflow.
    const Tensor constant = Tensor::from(std::vector<double>(30, 0.1), {30}, device);
    EXPECT_NO_THROW(RidgePath(device, problem.x, constant, penalties, narrow));
    EXPECT_NO_THROW(RidgePath(device, constant.view().reshaped({30, 1}), problem.y, penalties, narrow));
  }
}

TEST(ExtremeRidge, AConstantTargetIsZeroToRounding) {
  for (const Device& device : test::devices()) {
    Random random(65);
    const Problem problem(random_problem(30, 4, 1, random, true, false, false), device);
    const std::vector<double> varying = problem.y.to_vector<double>();
    std::vector<double> beside_tenth, beside_zero;
    for (std::size_t i = 0; i < varying.size(); ++i) {
      // One unit in the last place is as constant as none.
      beside_tenth.insert(beside_tenth.end(), {varying[i], i == 3 ? std::nextafter(0.1, 1.0) : 0.1});
      beside_zero.insert(beside_zero.end(), {varying[i], 0.0});
    }
    for (const RidgeMethod method : {RidgeMethod::primal, RidgeMethod::dual, RidgeMethod::svd}) {
      const Tensor tenth = Tensor::from(beside_tenth, {30, 2}, device),
                   zero = Tensor::from(beside_zero, {30, 2}, device);
      const L2SPSource source(device, problem.x, tenth, {.method = method});
      const L2SPSource other(device, problem.x, zero, {.method = method});
      EXPECT_EQ(source.path().sum_squares()[1], 0);
      EXPECT_EQ(source.prior().penalty, other.prior().penalty);
      EXPECT_EQ(source.prior().signal[1], 0);
    }
  }
}

TEST(ExtremeRidge, LeaveOneOutNearInterpolation) {
  for (const Device& device : test::devices()) {
    Random random(66);
    for (const bool intercept : {true, false}) {
      const Problem problem(random_problem(8, 25, 2, random, intercept, false, false), device);
      const std::vector<double> tiny = {1e-25, 1e-17, 1e-14, 1e-12, 1e-6};
      for (const RidgeMethod method : {RidgeMethod::dual, RidgeMethod::svd}) {
        SCOPED_TRACE(fmt::format("method {} on {}", static_cast<int>(method), device.name()));
        RidgeOptions options = problem.options;
        options.method = method;
        const RidgePath path(device, problem.x, problem.y, tiny, options);
        for (std::size_t l = 0; l < tiny.size(); ++l) {
          // The reference's normal equations do not resolve less than this; the limit is reached before.
          const double penalty = std::max(tiny[l], 1e-10);
          const auto want = test::reference_left_out(problem.reference, problem.total(penalty)).doubles();
          expect_close(path.leave_one_out_residuals(tiny[l]).to_vector<double>(), want, 1e-5, "left out");
          double mean = 0;
          for (const double value : want) mean += value * value / static_cast<double>(want.size());
          EXPECT_NEAR(path.scores().leave_one_out[l] / mean, 1, 1e-5);
          double inside = 0;
          for (const double value : path.residuals(1e-6).to_vector<double>()) inside += value * value / 16;
          if (tiny[l] == 1e-6) {
            EXPECT_NEAR(path.scores().residual[l] / inside, 1, 1e-6);
          }
          for (const double value : path.leverages(tiny[l]).to_vector<double>()) EXPECT_NEAR(value, 1, 1e-4);
        }
      }
      const BatchedRidge batch = batched_ridge(device, problem.x.view().reshaped({1, 8, 25}),
                                               problem.y.view().reshaped({1, 8, 2}), tiny, {.intercept = intercept});
      const RidgePath path(device, problem.x, problem.y, tiny, problem.options);
      expect_close(batch.leave_one_out, path.scores().leave_one_out, 1e-8, "batched");
    }
  }
}

TEST(ExtremeRidge, ARefusedBlockLeavesNothingBehind) {
  for (const Device& device : test::devices()) {
    Random random(67);
    const Problem problem(random_problem(3000, 300, 1, random, true, false, false), device);
    GramAccumulator sums(device, 300, 1);
    sums.add(problem.x, problem.y);
    const StreamedRidgePath path(sums, penalties);
    auto clean = path.leave_one_out(penalties), pass = path.leave_one_out(penalties);
    clean.add(problem.x, problem.y);
    std::vector<double> entries = problem.x.to_vector<double>();
    entries.back() = std::nan("");
    EXPECT_THROW(pass.add(Tensor::from(entries, {3000, 300}, device), problem.y), ValueError);
    pass.add(problem.x, problem.y);
    EXPECT_EQ(pass.scores().leave_one_out, clean.scores().leave_one_out);
  }
}

TEST(ExtremeRidge, SumsThatOverflowAreRefused) {
  const Device device = Device::cpu();
  const auto one = [&](double value) { return Tensor::from(std::vector<double>{value}, {1, 1}, device); };
  GramAccumulator sums(device, 1, 1), other(device, 1, 1);
  sums.add(one(1e160), one(0));
  refuses("GramAccumulator::add", [&] { sums.add(one(-1e160), one(0)); });
  other.add(one(-1e160), one(0));
  refuses("GramAccumulator::merge", [&] { sums.merge(other); });
  EXPECT_EQ(sums.rows(), 1);
  EXPECT_EQ(sums.means().to_vector<double>()[0], 1e160);
  GramAccumulator heavy(device, 1, 1);
  const Tensor weight = Tensor::from(std::vector<double>{1.7e308}, {1}, device);
  heavy.add(one(1), one(0), weight);
  refuses("weights", [&] { heavy.add(one(1), one(0), weight); });
}

TEST(ExtremeRidge, DamagedSumsAreAFormatError) {
  const Device device = Device::cpu();
  const test::TemporaryFolder folder;
  const std::string file = (std::filesystem::path(folder.path()) / "sums.npz").string();
  const auto write = [&](std::vector<std::int64_t> counts, double weight, double square) {
    io::write_npz(file, {{"rtl_gram_counts", Tensor::from(std::move(counts), {5}, device)},
                         {"total_weight", Tensor::from(std::vector<double>{weight}, {1}, device)},
                         {"means", Tensor::from(std::vector<double>{0, 0}, {2}, device)},
                         {"products", Tensor::from(std::vector<double>{square, 0, 0, 1}, {2, 2}, device)}});
  };
  write({1, 1, 1, 4, 4}, 4, 1);
  EXPECT_NO_THROW(GramAccumulator::load(file, device));
  const auto damaged = [&] { EXPECT_THROW(GramAccumulator::load(file, device), FormatError); };
  write({1, std::numeric_limits<std::int64_t>::max(), 1, 4, 4}, 4, 1);
  damaged();
  write({1, 1, 1, 4, 4}, infinity, 1);
  damaged();
  write({1, 1, 1, 4, 4}, 0, 1);
  damaged();
  write({1, 1, 1, 4, 4}, 4, -1);
  damaged();
}

TEST(ExtremeRidge, ErrorsSayWhatIsWrongAndWhatHelps) {
  const Device device = Device::cpu();
  Random random(68);
  const Problem problem(random_problem(30, 4, 1, random, true, false, false), device);
  const std::vector<double> none = {0};
  refuses("the dual method needs a positive one",
          [&] { RidgePath(device, problem.x, problem.y, none, {.method = RidgeMethod::dual}); });
  ReferenceProblem repeated = problem.reference;
  for (std::int64_t i = 0; i < 30; ++i) repeated.x(i, 3) = repeated.x(i, 0);
  const Problem dependent(repeated, device);
  refuses("of centred x [30, 4], which resolves", [&] {
    RidgePath(device, dependent.x, dependent.y, std::vector<double>{1e-18}, {.method = RidgeMethod::primal});
  });
  const RidgePath path(device, problem.x, problem.y, {});
  refuses("no penalties were scored", [&] { (void)path.best_penalty(); });
  const Tensor row = Tensor::from(std::vector<double>{1, 2}, {1, 2}, device),
               value = Tensor::zeros({1}, DType::f64, device);
  const RidgePath single(device, row, value, {});
  refuses("RidgePath::evaluate: a single row", [&] { single.evaluate(penalties); });
  EXPECT_EQ(L2SPSource(device, row, value).coefficients(1.0).to_vector<double>(), (std::vector<double>{0, 0}));
  const RandomizedSvd all =
      randomized_svd(device, problem.x, {.rank = 2, .oversampling = std::numeric_limits<std::int64_t>::max()});
  EXPECT_EQ(all.values.count(), 2);
}

}  // namespace
}  // namespace rtl::solvers
