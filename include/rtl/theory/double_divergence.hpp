// Why the ground-truth features are not the best: with them (K = T) and a minimum-norm learner, the risk has a peak
// wherever the number of samples meets the number of directions of one strength.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace rtl::theory {

/// Tasks with `strong` equal eigenvalues of total energy `strong_energy` and `weak` ones of total `weak_energy`.
struct TwoLevelTasks {
  std::int64_t strong = 0;
  std::int64_t weak = 0;
  double strong_energy = 1;
  double weak_energy = 0;
};

/// The eigenvalues, strong ones first. Throws ValueError unless both counts and energies are positive and finite.
std::vector<double> spectrum(const TwoLevelTasks& tasks);

/// Total test error of the minimum-norm fit on the ground-truth features: featurized_risk with K = T, penalty 0.
/// Infinite at n = rank T. Throws as featurized_risk.
double ground_truth_risk(std::span<const double> tasks, double noise, double samples);

/// Leading order of the first peak, R(n = strong) ~ (noise / 2) sqrt(t1 r1 / (t2 r2)) (t r are the energies), good for
/// t2 << t1.
double first_peak_height(const TwoLevelTasks& tasks, double noise);

/// The second peak near n = strong + weak: noise / |1 - (strong + weak) / n|, exact above, leading order below.
double second_peak_height(const TwoLevelTasks& tasks, double noise, double samples);

}  // namespace rtl::theory
