// Many small problems at once against a path for each.
#include "rtl/solvers/batched_ridge.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "rtl/solvers/ridge_path.hpp"
#include "solvers/problems.hpp"
#include "support/devices.hpp"

namespace rtl::solvers {
namespace {

using test::expect_close;
using test::Random;

const std::vector<double> penalties = {1e-3, 0.01, 0.1, 1, 10};

Tensor random_batch(const Shape& shape, Random& random, const Device& device, DType dtype, double mean) {
  const test::Reals values = random.normal(shape, mean);
  return dtype == DType::f64 ? Tensor::from(std::vector<double>(values.begin(), values.end()), shape, device)
                             : Tensor::from(std::vector<float>(values.begin(), values.end()), shape, device);
}

std::vector<double> part(const std::vector<double>& all, std::size_t index, std::size_t size) {
  const auto begin = all.begin() + static_cast<std::ptrdiff_t>(index * size);
  return {begin, begin + static_cast<std::ptrdiff_t>(size)};
}

TEST(BatchedRidge, EqualsAPathForEach) {
  for (const Device& device : test::devices_and_threads()) {
    Random random(41);
    for (const auto& [heads, n, p, k] :
         {std::array<std::int64_t, 4>{5, 12, 30, 2}, {7, 30, 9, 1}, {1, 8, 8, 3}, {3, 3, 5, 1}}) {
      for (const bool intercept : {false, true}) {
        for (const DType dtype : {DType::f32, DType::f64}) {
          SCOPED_TRACE(fmt::format("RTL_TEST_SEED={} {} of {}x{} to {} on {}", test::seed(), heads, n, p, k,
                                   test::name_of(device)));
          const Tensor x = random_batch({heads, n, p}, random, device, dtype, 0.5);
          const Tensor y = random_batch({heads, n, k}, random, device, dtype, -1);
          const BatchedRidge all = batched_ridge(device, x, y, penalties, {.intercept = intercept});
          const std::vector<double> coefficients = all.coefficients.to_vector<double>();
          const std::vector<double> intercepts = all.intercept.to_vector<double>();
          ASSERT_EQ(all.best.size(), static_cast<std::size_t>(heads));
          for (std::int64_t head = 0; head < heads; ++head) {
            const auto at = static_cast<std::size_t>(head);
            const RidgePath path(device, x.view().slice(0, head, head + 1).reshaped({n, p}),
                                 y.view().slice(0, head, head + 1).reshaped({n, k}), penalties,
                                 {.intercept = intercept});
            const std::size_t count = penalties.size();
            expect_close(part(all.leave_one_out, at, count), path.scores().leave_one_out, 1e-9, "leave-one-out");
            expect_close(part(all.gcv, at, count), path.scores().gcv, 1e-8, "gcv");
            expect_close(part(all.degrees_of_freedom, at, count), path.scores().degrees_of_freedom, 1e-10, "freedom");
            EXPECT_EQ(all.best[at], path.scores().best);
            const double best = all.best_penalty(at);
            expect_close(part(coefficients, at, static_cast<std::size_t>(p * k)),
                         path.coefficients(best).to_vector<double>(), 1e-9, "W");
            expect_close(part(intercepts, at, static_cast<std::size_t>(k)), path.intercept(best).to_vector<double>(),
                         1e-9, "b");
          }
        }
      }
    }
  }
}

TEST(BatchedRidge, RefusesWithTheReason) {
  for (const Device& device : test::devices()) {
    Random random(42);
    const Tensor x = random_batch({3, 6, 4}, random, device, DType::f64, 0);
    const Tensor y = random_batch({3, 6, 2}, random, device, DType::f64, 0);
    std::vector<double> entries = x.to_vector<double>();
    entries[24 + 5] = NAN;
    const Tensor damaged = Tensor::from(entries, {3, 6, 4}, device);
    const auto refuses = [&](const char* text, const auto& make) {
      try {
        make();
        ADD_FAILURE() << "no error that says '" << text << "'";
      } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
      }
    };
    refuses("problem 1: 'x' [1, 1] is nan", [&] { batched_ridge(device, damaged, y, penalties); });
    refuses("penalty 0 is -1", [&] { batched_ridge(device, x, y, std::vector<double>{-1}); });
    refuses("there must be penalties", [&] { batched_ridge(device, x, y, {}); });
    refuses("differ in problems or rows", [&] { batched_ridge(device, x, y.view().slice(0, 0, 2), penalties); });
    refuses("rank 3", [&] { batched_ridge(device, x.view().reshaped({18, 4}), y, penalties); });
    refuses("at least two rows", [&] {
      batched_ridge(device, x.view().reshaped({18, 1, 4}), y.view().reshaped({18, 1, 2}), penalties);
    });
    refuses("linearly dependent", [&] {
      batched_ridge(device, Tensor::zeros({3, 6, 4}, DType::f64, device), y, std::vector<double>{0});
    });
    EXPECT_NO_THROW(batched_ridge(device, x, y, std::vector<double>{0}));
    EXPECT_NO_THROW(batched_ridge(device, Tensor::zeros({3, 6, 9}, DType::f64, device), y, penalties));
  }
}

}  // namespace
}  // namespace rtl::solvers
