// Accumulated sums and the path from them against the path of all rows in memory.
#include "rtl/solvers/gram_stream.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "solvers/problems.hpp"
#include "support/devices.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::solvers {
namespace {

using test::expect_close;
using test::Problem;
using test::Random;
using test::random_problem;

const std::vector<double> penalties = {1e-3, 0.05, 1.0, 20.0};

ConstView rows_of(const Tensor& tensor, std::int64_t begin, std::int64_t end) {
  return tensor.defined() ? tensor.view().slice(0, begin, end) : ConstView();
}

/// All rows of the problem in blocks of the given sizes, repeated.
template <typename Sink>
void feed(const Problem& problem, const std::vector<std::int64_t>& sizes, Sink& sink) {
  const std::int64_t n = problem.x.extent(0);
  std::size_t turn = 0;
  for (std::int64_t begin = 0; begin < n;) {
    const std::int64_t end = std::min(n, begin + sizes[turn++ % sizes.size()]);
    sink.add(rows_of(problem.x, begin, end), rows_of(problem.y, begin, end), rows_of(problem.weights, begin, end));
    begin = end;
  }
}

TEST(GramStream, EqualsTheWholeInMemory) {
  for (const Device& device : test::devices()) {
    Random random(21);
    for (int variant = 0; variant < 8; ++variant) {
      const bool intercept = (variant & 1) != 0, centre = (variant & 2) != 0, weights = (variant & 4) != 0;
      for (const DType dtype : {DType::f32, DType::f64}) {
        SCOPED_TRACE(fmt::format("RTL_TEST_SEED={} variant {} on {}", test::seed(), variant, device.name()));
        const Problem problem(random_problem(333, 17, 3, random, intercept, centre, weights), device, dtype);
        RidgeOptions options = problem.options;
        options.method = RidgeMethod::primal;
        const RidgePath whole(device, problem.x, problem.y, penalties, options);
        GramAccumulator sums(device, 17, 3);
        feed(problem, {1, 40, 0, 7, 100}, sums);
        EXPECT_EQ(sums.rows(), 333);
        const StreamedRidgePath path(sums, penalties, {.intercept = intercept, .centre = problem.options.centre});
        EXPECT_TRUE(path.scores().leave_one_out.empty());
        expect_close(path.scores().gcv, whole.scores().gcv, 1e-9, "gcv");
        expect_close(path.scores().degrees_of_freedom, whole.scores().degrees_of_freedom, 1e-11, "degrees of freedom");
        auto pass = path.leave_one_out(penalties);
        feed(problem, {50, 3}, pass);
        const RidgeScores scores = pass.scores();
        expect_close(scores.leave_one_out, whole.scores().leave_one_out, 1e-9, "leave-one-out");
        expect_close(scores.leave_one_out_per_output, whole.scores().leave_one_out_per_output, 1e-9, "per output");
        EXPECT_EQ(scores.best, whole.scores().best);
        for (const double penalty : penalties) {
          expect_close(path.coefficients(penalty).to_vector<double>(), whole.coefficients(penalty).to_vector<double>(),
                       1e-9, "W");
          expect_close(path.intercept(penalty).to_vector<double>(), whole.intercept(penalty).to_vector<double>(), 1e-9,
                       "b");
        }
        expect_close(path.predict(problem.x, 0.05).to_vector<double>(),
                     whole.predict(problem.x, 0.05).to_vector<double>(), 1e-9, "predictions");
      }
    }
  }
}

TEST(GramStream, MergesInAnyOrder) {
  const Device device = Device::cpu();
  Random random(22);
  const Problem problem(random_problem(400, 9, 2, random, true, false, true), device);
  std::vector<GramAccumulator> parts;
  for (std::int64_t part = 0; part < 4; ++part) {
    parts.emplace_back(device, 9, 2);
    parts.back().add(rows_of(problem.x, part * 100, part * 100 + 100), rows_of(problem.y, part * 100, part * 100 + 100),
                     rows_of(problem.weights, part * 100, part * 100 + 100));
  }
  GramAccumulator forward(device, 9, 2), backward(device, 9, 2), tree(device, 9, 2);
  for (int i = 0; i < 4; ++i) forward.merge(parts[static_cast<std::size_t>(i)]);
  for (int i = 3; i >= 0; --i) backward.merge(parts[static_cast<std::size_t>(i)]);
  parts[0].merge(parts[2]);
  parts[3].merge(parts[1]);
  tree.merge(parts[3]);
  tree.merge(parts[0]);
  for (const GramAccumulator* other : {&backward, &tree}) {
    EXPECT_EQ(other->rows(), forward.rows());
    EXPECT_NEAR(other->total_weight() / forward.total_weight(), 1, 1e-13);
    expect_close(other->means().to_vector<double>(), forward.means().to_vector<double>(), 1e-13, "means");
    expect_close(other->products().to_vector<double>(), forward.products().to_vector<double>(), 1e-13, "products");
  }
  EXPECT_THROW(forward.merge(GramAccumulator(device, 9, 3)), ShapeError);
}

TEST(GramStream, LargeMeansCostNoDigits) {
  const Device device = Device::cpu();
  Random random(23);
  auto reference = random_problem(500, 6, 1, random, true, false, false);
  const Problem centred(reference, device);
  for (long double& value : reference.x.values) value += 1e6L;
  const Problem shifted(reference, device);
  GramAccumulator a(device, 6, 1), b(device, 6, 1);
  feed(centred, {64}, a);
  feed(shifted, {64}, b);
  // The entries themselves lose 1e6 * 1e-16; a Gram matrix of raw entries would lose the square of that.
  expect_close(b.products().to_vector<double>(), a.products().to_vector<double>(), 1e-9, "products");
}

TEST(GramStream, SavesAndContinues) {
  const Device device = Device::cpu();
  Random random(24);
  const Problem problem(random_problem(60, 5, 2, random, true, false, false), device);
  const test::TemporaryFolder folder;
  const std::string file = (std::filesystem::path(folder.path()) / "sums.npz").string();
  GramAccumulator whole(device, 5, 2), first(device, 5, 2);
  whole.add(rows_of(problem.x, 0, 30), rows_of(problem.y, 0, 30));
  whole.add(rows_of(problem.x, 30, 60), rows_of(problem.y, 30, 60));
  first.add(rows_of(problem.x, 0, 30), rows_of(problem.y, 0, 30));
  first.save(file);
  GramAccumulator resumed = GramAccumulator::load(file, device);
  resumed.add(rows_of(problem.x, 30, 60), rows_of(problem.y, 30, 60));
  EXPECT_EQ(resumed.rows(), 60);
  EXPECT_EQ(resumed.products().to_vector<double>(), whole.products().to_vector<double>());
  EXPECT_EQ(resumed.means().to_vector<double>(), whole.means().to_vector<double>());
  std::ofstream(file, std::ios::binary) << "not sums";
  EXPECT_THROW(GramAccumulator::load(file, device), FormatError);
  EXPECT_THROW(GramAccumulator::load(file + ".none", device), IoError);
  EXPECT_THROW(whole.save("/no/such/folder/sums.npz"), IoError);
}

TEST(GramStream, RefusesAndStaysAsItWas) {
  for (const Device& device : test::devices()) {
    Random random(25);
    const Problem problem(random_problem(30, 4, 2, random, true, false, false), device);
    GramAccumulator sums(device, 4, 2);
    sums.add(problem.x, problem.y);
    const std::vector<double> before = sums.products().to_vector<double>();
    std::vector<double> entries = problem.x.to_vector<double>();
    entries[4 * 7 + 2] = NAN;
    const Tensor damaged = Tensor::from(entries, {30, 4}, device);
    try {
      sums.add(damaged, problem.y);
      ADD_FAILURE() << "NaN was taken";
    } catch (const ValueError& error) {
      EXPECT_NE(std::string(error.what()).find("'x' [7, 2] is nan"), std::string::npos) << error.what();
    }
    const Tensor negative = Tensor::from(std::vector<double>(30, -1.0), {30}, device);
    EXPECT_THROW(sums.add(problem.x, problem.y, negative), ValueError);
    EXPECT_THROW(sums.add(problem.y, problem.y), ShapeError);
    EXPECT_THROW(sums.add(problem.x, problem.y.view().slice(0, 0, 29)), ShapeError);
    EXPECT_EQ(sums.rows(), 30);
    EXPECT_EQ(sums.products().to_vector<double>(), before);
    // A block without rows, and one of weight 0, add nothing.
    sums.add(problem.x.view().slice(0, 0, 0), problem.y.view().slice(0, 0, 0));
    sums.add(problem.x, problem.y, Tensor::from(std::vector<double>(30, 0.0), {30}, device));
    EXPECT_EQ(sums.products().to_vector<double>(), before);
    EXPECT_THROW(GramAccumulator(device, 0, 1), ValueError);
    EXPECT_THROW(StreamedRidgePath(GramAccumulator(device, 4, 2), penalties), ValueError);
    EXPECT_THROW(StreamedRidgePath(sums, std::vector<double>{-1}), ValueError);
    const StreamedRidgePath path(sums, penalties);
    auto pass = path.leave_one_out(penalties);
    pass.add(problem.x.view().slice(0, 0, 10), problem.y.view().slice(0, 0, 10));
    EXPECT_THROW(pass.scores(), ValueError);
  }
}

}  // namespace
}  // namespace rtl::solvers
