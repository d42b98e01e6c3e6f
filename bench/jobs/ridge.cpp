// Ridge paths: one large problem with exact leave-one-out for 100 penalties, and hundreds of small ones.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "jobs.hpp"
#include "random_values.hpp"
#include "rtl/io/npy.hpp"
#include "rtl/kernels/gemm.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/solvers/batched_ridge.hpp"
#include "rtl/solvers/ridge_path.hpp"

namespace rtl::bench {
namespace {

using kernels::Transpose;

/// Normal features, targets of a random linear model with unit noise, in f64.
struct Problem {
  Tensor x, y;
};

Problem make_problem(const Device& device, std::int64_t n, std::int64_t p, std::int64_t k) {
  Problem problem;
  const Tensor features = random_values({n, p}, device, 21), noise = random_values({n, k}, device, 22);
  const Tensor weights = random_values({p, k}, device, 23);
  Tensor wide_weights({p, k}, DType::f64, device);
  kernels::cast(device, weights, wide_weights);
  problem.x = Tensor({n, p}, DType::f64, device);
  problem.y = Tensor({n, k}, DType::f64, device);
  kernels::cast(device, features, problem.x);
  kernels::cast(device, noise, problem.y);
  kernels::gemm(device, Transpose::no, Transpose::no, 1 / std::sqrt(static_cast<double>(p)), problem.x, wide_weights,
                1.0, problem.y);
  return problem;
}

Tensor narrowed(const Device& device, const Tensor& wide) {
  Tensor narrow(wide.shape(), DType::f32, device);
  kernels::cast(device, wide, narrow);
  return narrow;
}

Job path_job(const char* name, const Settings& settings, bool narrow) {
  const std::int64_t n = settings.quick ? 2000 : 20000, p = settings.quick ? 200 : 1000, k = 10, penalties = 100;
  const Device device = Device::cpu(settings.threads);
  auto problem = std::make_shared<Problem>(make_problem(device, n, p, k));
  if (!settings.data_folder.empty()) {
    io::write_npy(settings.data_folder + "/x.npy", problem->x);
    io::write_npy(settings.data_folder + "/y.npy", problem->y);
  }
  if (narrow) *problem = {narrowed(device, problem->x), narrowed(device, problem->y)};
  std::vector<double> grid = solvers::logarithmic_penalties(1e-2, 1e5, penalties);
  for (double& penalty : grid) penalty = solvers::penalty_from_sklearn(penalty, static_cast<double>(n));
  auto best = std::make_shared<std::size_t>(0);
  // Gram, eigenvectors and rotation. Predictions are left out of the limit: how few suffice depends on the spectrum.
  const auto rows = static_cast<double>(n), columns = static_cast<double>(p);
  const double flop = 3 * rows * columns * columns + 9 * columns * columns * columns;
  return {
      .name = name,
      .unit = "penalties/s",
      .units = static_cast<double>(penalties),
      .flop = (narrow ? 1 : 2) * flop / static_cast<double>(penalties),
      .arithmetic = narrow ? "3 n p^2 + 9 p^3, all at the f32 peak" : "3 n p^2 + 9 p^3 in f64, at half the f32 peak",
      .run =
          [=] {
            solvers::RidgeOptions options;
            if (narrow) options.arithmetic = solvers::RidgeArithmetic::f32;
            *best = solvers::RidgePath(device, problem->x, problem->y, grid, options).scores().best;
          },
      .result = [best] { return fmt::format("best penalty {}", *best); }};
}

/// 300 heads of 512 features and 200 rows: 100 penalties by leave-one-out and the best one's coefficients.
Job heads_job(const char* name, const Settings& settings, bool together) {
  const std::int64_t heads = settings.quick ? 20 : 300, n = 200, p = 512;
  const Device device = Device::cpu(settings.threads);
  auto problem = std::make_shared<Problem>(make_problem(device, heads * n, p, 1));
  const std::vector<double> grid = solvers::logarithmic_penalties(1e-4, 1e3, 100);
  const auto rows = static_cast<double>(n);
  return {
      .name = name,
      .unit = "heads/s",
      .units = static_cast<double>(heads),
      .flop = 2 * (rows * rows * static_cast<double>(p) + 9 * rows * rows * rows + 4 * rows * rows * 100),
      .arithmetic = "n^2 p + 9 n^3 + 4 n^2 L in f64, at half the f32 peak",
      .run = [=] {
        const ConstView x = problem->x.view().reshaped({heads, n, p}), y = problem->y.view().reshaped({heads, n, 1});
        if (together) {
          solvers::batched_ridge(device, x, y, grid);
          return;
        }
        for (std::int64_t head = 0; head < heads; ++head) {
          const solvers::RidgePath path(device, x.slice(0, head, head + 1).reshaped({n, p}),
                                        y.slice(0, head, head + 1).reshaped({n, 1}), grid);
          path.coefficients(path.best_penalty());
          path.intercept(path.best_penalty());
        }
      }};
}

}  // namespace

Job ridge_heads(const Settings& settings) { return heads_job("ridge_heads", settings, true); }
Job ridge_heads_loop(const Settings& settings) { return heads_job("ridge_heads_loop", settings, false); }
Job ridge_path(const Settings& settings) { return path_job("ridge_path", settings, false); }
Job ridge_path_f32(const Settings& settings) { return path_job("ridge_path_f32", settings, true); }

}  // namespace rtl::bench
