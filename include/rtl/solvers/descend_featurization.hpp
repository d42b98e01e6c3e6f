// Featurizations by gradient descent on their expected downstream risk: for constrained features, for given penalties,
// for tasks that are known by their data alone, and for the worst of several kinds
// of tasks.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "rtl/solvers/feature_map.hpp"

namespace rtl::solvers {

struct RiskGradient {
  double risk = 0;  ///< R of featurized regression: expected total test error
  Tensor gradient;  ///< dR/dB [p, q], f64
};

/// R(B) and its gradient. With K = Sigma^(1/2) B B' Sigma^(1/2), T = Sigma^(1/2) Omega Sigma^(1/2), kappa the effective
/// penalty, G = (K + kappa)^-1, H = I - kappa G, D = tr H^2 / n, R = (tr T (I - H)^2 + noise) / (1 - D):
///
///     Q = [-(T (I - H) + (I - H) T) + (2 R / n) H] / (1 - D),    c = tr(K G^2) + n penalty / kappa^2,
///     dR/dK = kappa G Q G - kappa (tr(Q K G^2) / c) G^2,         dR/dB = 2 Sigma^(1/2) (dR/dK) Sigma^(1/2) B.
///
/// 9 p^3 FLOP for the eigenvectors of K and 8 p^3 for products. Throws as optimal_featurization, and ValueError with
/// penalty 0 if B has no more columns than there are samples: R then does not change smoothly with B.
RiskGradient featurization_gradient(ConstView sigma, ConstView omega, ConstView matrix, double noise, double penalty,
                                    double samples);

/// Maps B [p, q] (row-major, f64) onto the set of allowed ones, in place.
using FeatureConstraint = std::function<void(View matrix)>;

struct DescentOptions {
  int iterations = 200;
  double tolerance = 1e-10;           ///< ends when ten steps in a row gain less than this share of the risk each
  FeatureConstraint constraint = {};  ///< given: projected, normalised gradient steps; absent: L-BFGS
  double step = 0.3;                  ///< of normalised steps, relative to the norm of B; step k is step / sqrt(1 + k)
};

struct Descent {
  FeatureMap map;
  std::vector<double> risks;  ///< at the start and after every iteration
};

/// Descends from `start` [p, q]. With penalty 0 and q > samples it converges to the soft optimum of q directions, with
/// a penalty towards the Bayes optimum; it never leaves the soft phase, so compare with the hard optimum. The best B
/// seen is kept. Deterministic. Throws as featurization_gradient, ValueError for no iterations or a step that is not
/// positive.
Descent descend_featurization(ConstView sigma, ConstView omega, ConstView start, double noise, double penalty,
                              double samples, const DescentOptions& options = {});

/// One upstream task: a ridge regression on the features of x, y is judged on the validation rows. f64, host.
struct Episode {
  ConstView x;             ///< [n, p]
  ConstView y;             ///< [n]
  ConstView validation_x;  ///< [m, p]
  ConstView validation_y;  ///< [m]
};

/// L = mean (y_v - X_v w)^2 with w = M X' (X M X' + n penalty)^-1 y, M = B B', and dL/dB = 2 (dL/dM) B,
/// dL/dM = sym[(I - X' A X M) g (X' A y)'], g = -(2 / m) X_v' (y_v - X_v w). Needs no Sigma, no Omega and no formula
/// for the risk. O(n^2 q + n p q). Throws ShapeError, DTypeError; ValueError unless penalty > 0.
RiskGradient episode_gradient(ConstView matrix, const Episode& episode, double penalty);

struct EpisodicOptions {
  int passes = 20;              ///< over all episodes, in a new random order each
  double learning_rate = 0.01;  ///< of Adam (0.9, 0.999)
  std::uint64_t seed = 0;
  FeatureConstraint constraint = {};
};

/// Adam over episodes from `start`. risks[k] is the mean loss over pass k, each episode before its step. Deterministic.
/// Throws as episode_gradient, and ValueError for no episodes or passes, or a learning rate that is not positive.
Descent descend_episodes(std::span<const Episode> episodes, ConstView start, double penalty,
                         const EpisodicOptions& options = {});

struct Minimax {
  FeatureMap map;
  std::vector<double> weights;  ///< of the kinds of tasks in the least favourable mixture
  double worst_risk = 0;        ///< the largest risk over the kinds with `map`
  double lower_bound = 0;       ///< no featurization has a smaller worst risk
};

/// Features for the worst of several kinds of tasks Omega_j [p, p]: max over mixtures a of R_bayes(sum a_j Omega_j) is
/// concave, with the kinds' risks as supergradient; multiplicative weights a_j *= exp(eta (R_j - max R)), eta = 2 /
/// sqrt(k). The gap worst_risk - lower_bound falls like 1 / k after k iterations; stops at `iterations` or when it is
/// below `tolerance` of the risk. (9 + 2 m) p^3 FLOP an iteration for m kinds. Throws as optimal_featurization, and
/// ValueError for no kinds, no iterations, or a tolerance that is negative or not finite.
Minimax minimax_featurization(ConstView sigma, std::span<const ConstView> omegas, double noise, double samples,
                              int iterations = 1000, double tolerance = 1e-6);

}  // namespace rtl::solvers
