// Learns which features tasks need from upstream tasks: their covariance Omega, by moments or by a few steps of
// expectation maximisation.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "rtl/core/tensor.hpp"

namespace rtl::solvers {

/// Noise and prior variance of tasks, w ~ N(0, prior Sigma^-1): what a ridge on whitened inputs assumes.
struct PooledVariance {
  double noise = 0;
  double prior = 0;  ///< nu: K starts at nu I
};

/// An estimate of T = Sigma^(1/2) Omega Sigma^(1/2) with its Omega.
struct TaskCovariance {
  Tensor whitened;   ///< T [p, p], f64, host
  Tensor omega;      ///< Sigma^(-1/2) T Sigma^(-1/2) [p, p]
  double noise = 0;  ///< that was assumed or estimated; 0 for moments
};

enum class MomentCleaning : std::uint8_t {
  clip,   ///< negative eigenvalues become 0
  floor,  ///< eigenvalues up to the most negative one's magnitude are noise: the mean of their positive parts replaces
          ///< them
};

struct EmOptions {
  int iterations = 3;                ///< more overfit: the estimate sharpens on the directions that it happened to see
  std::optional<double> noise = {};  ///< held fixed; absent: pooled().noise (updating it collapses it)
  /// 0: T is free. Otherwise after every iteration the `rank` strongest eigenvalues stay and the mean of the others
  /// replaces them (low rank + floor).
  std::int64_t rank = 0;
};

/// Collects upstream tasks. Keeps the whitened inputs of every task: m n_u p values of 8 bytes. Arithmetic in f64 on
/// the host, deterministic.
class TaskEnsemble {
 public:
  /// sigma [p, p], f64, as for optimal_featurization; estimated from unlabelled inputs where it is not known.
  explicit TaskEnsemble(ConstView sigma, double eigenvalue_floor = 1e-10);

  /// One task: x [n_u, p], y [n_u] or [n_u, 1], f32 or f64, not centred by this call. Throws ShapeError, DTypeError,
  /// ValueError for fewer than 2 rows or entries that are not finite; the ensemble is then as before.
  void add(ConstView x, ConstView y);

  std::int64_t tasks() const noexcept { return static_cast<std::int64_t>(tasks_.size()); }
  std::int64_t inputs() const noexcept { return whitener_.extent(0); }

  /// Mean over tasks of sym(a b'), a and b being X'y / n on the even and the odd rows: unbiased for Sigma Omega Sigma.
  /// Cheap (2 n_u p^2 a task) and noisy. All calls below throw ValueError if there is no task.
  TaskCovariance moments(MomentCleaning cleaning) const;

  /// Maximum likelihood of y_j ~ N(0, noise I + prior Z_j Z_j'), Z = X Sigma^(-1/2), over all tasks together: one
  /// eigendecomposition [n_u, n_u] a task, then a golden-section search.
  PooledVariance pooled() const;

  /// K <- mean over tasks of mu mu' + K - G Z K, with G = K Z' (Z K Z' + noise)^-1 and mu = G y, from K = prior I.
  /// m (2 n_u p^2 + 4 n_u^2 p) FLOP an iteration. Recommended; use its result through BlendedRidge, which insures
  /// against tasks that share no structure. Throws ValueError for no or negative iterations, a noise that is not
  /// positive, or a rank outside 0 .. p.
  TaskCovariance expectation_maximization(const EmOptions& options = {}) const;

 private:
  struct Task {
    Tensor inputs;   // Z [n_u, p]
    Tensor targets;  // [n_u]
  };
  TaskCovariance finish(Tensor whitened, double noise) const;

  Tensor whitener_;  // Sigma^(-1/2) [p, p]
  std::vector<Task> tasks_;
};

}  // namespace rtl::solvers
