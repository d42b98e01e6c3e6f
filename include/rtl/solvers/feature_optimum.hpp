// The best features for a downstream regression with few samples, by their spectrum alone.
//
// Inputs x = S^(1/2) z, S the input covariance; tasks y = x'w + noise with E[w w'] = Omega; features B'x; downstream
// ridge regression on n samples of the features. Only K = S^(1/2) B B' S^(1/2) matters, and the best K shares the
// eigenvectors of the task matrix T = S^(1/2) Omega S^(1/2). So everything is said by the eigenvalues t of T and the
// weights h = k / (k + kappa) in [0, 1] that a featurization gives to their directions. Average total test error
// (noise included):
//
//     R = (sum t (1 - h)^2 + noise) / (1 - sum h^2 / n).
//
// The functions take `tasks` = t in any order and keep that order in the weights. They throw ValueError for an empty
// spectrum, a negative or not finite value, and for fewer samples than they are defined for.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace rtl::solvers {

enum class FeaturePhase : std::uint8_t {
  bayes,  ///< the downstream ridge penalty is tuned: shrink smoothly, nothing is dropped
  soft,   ///< the downstream learner has the minimum norm (penalty to 0): all directions, a filler plays the penalty
  hard,   ///< minimum norm: the strongest directions only, the rest dropped
};
std::string to_string(FeaturePhase phase);

struct FeatureOptimum {
  FeaturePhase phase = FeaturePhase::bayes;
  double risk = 0;                ///< R: expected squared test error, noise included
  std::vector<double> weights;    ///< h of every direction, in the order of `tasks`
  std::vector<double> spectrum;   ///< k of every direction: one K that gives these weights with `penalty`
  double penalty = 0;             ///< of the downstream ridge, per sample; 0 for soft and hard
  double filler = 0;              ///< nu: soft features are Omega + nu S^-1; 0 for bayes and hard
  std::int64_t rank = 0;          ///< directions with a weight above 0
  double degrees_of_freedom = 0;  ///< sum h
};

/// The least risk of all featurizations and all penalties: K = T, penalty = noise / n, h = t / (t + R / n), and
/// R = n kappa(T, noise / n, n). About 10 passes over the spectrum.
FeatureOptimum bayes_optimum(std::span<const double> tasks, double noise, double samples);

/// The best full featurization for a minimum-norm learner: K = T + nu I with nu = (noise + sum of the dropped t) /
/// (q - n), q = `max_rank` strongest directions (0: all), h = (t + nu) / (t + R / n) with sum h = n.
/// Needs more directions than samples: throws ValueError for q <= n, and for a q above the number of directions.
FeatureOptimum soft_optimum(std::span<const double> tasks, double noise, double samples, std::int64_t max_rank = 0);

/// How the risk of a projection is counted.
enum class ProjectionRisk : std::uint8_t {
  asymptotic,  ///< the factor is 1 / (1 - r / n)
  gaussian,    ///< exact for Gaussian inputs and whole n > r + 1: the factor is 1 + r / (n - r - 1)
};

/// The best projection for a minimum-norm learner: keep the r < n strongest directions (of at most `max_rank`; 0: all)
/// with the least R_r = (noise + sum of the dropped t) / (1 - r / n). Direction r + 1 is kept iff t > R_r / n. r may
/// be 0: then nothing pays and R = noise + sum t. Sorting and one scan with suffix sums.
FeatureOptimum hard_optimum(std::span<const double> tasks, double noise, double samples, std::int64_t max_rank = 0,
                            ProjectionRisk counting = ProjectionRisk::asymptotic);

/// The better of soft (where it is defined) and hard.
FeatureOptimum minimum_norm_optimum(std::span<const double> tasks, double noise, double samples,
                                    std::int64_t max_rank = 0);

}  // namespace rtl::solvers
