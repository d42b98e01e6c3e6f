// The few statistics that a comparison rests on.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace rtl::transfer {

/// Regularised incomplete beta function I_x(a, b), 0 <= x <= 1, a, b > 0, to about 1e-14.
double incomplete_beta(double a, double b, double x);
/// Distribution function of Student's t with `degrees` > 0 degrees of freedom (need not be whole).
double student_t_cdf(double t, double degrees);
/// The t with student_t_cdf(t, degrees) = probability, to 1e-10 relative. Throws ValueError unless 0 < probability < 1.
double student_t_quantile(double probability, double degrees);

struct Summary {
  double mean = 0;
  double std = 0;  ///< population: divided by n
};
/// Throws ValueError for no values.
Summary summarize(std::span<const double> values);

/// mean with the limits of a two-sided t-interval: mean -+ t * s / sqrt(n), s the sample deviation (divided by n - 1)
/// and n - 1 degrees of freedom.
struct Interval {
  double mean = 0;
  double low = 0;
  double high = 0;
};
/// One value says nothing about its scatter: its interval is all of [lowest, highest]; limits are cut off there.
Interval t_interval(std::span<const double> values, double confidence = 0.95, double lowest = -1, double highest = 1);

/// How differences of paired runs are judged.
struct PairedOptions {
  double confidence = 0.95;
  double lowest = -1;  ///< limits are cut off here ..
  double highest = 1;  ///< .. and here
  /// Smallest step of one sample's difference: 1 where a sample is right or wrong, 0 for values that have none.
  double step = 1;
};

/// The mean difference of paired runs (a strategy minus scratch), judged two ways; docs/verdicts.md derives both and
/// has their measured coverage.
struct PairedDifference {
  /// Other seeds: a paired t-interval over the runs, never narrower than what the test samples resolve.
  Interval over_seeds;
  /// Two-sided, of the same statistics: below 1 - confidence exactly where over_seeds leaves zero out.
  double p_value = 1;
  /// Other seeds and other test samples of the same population, both random. Contains over_seeds.
  Interval new_samples;
  /// Two-sided, of the statistics of new_samples: below 1 - confidence exactly where new_samples leaves zero out.
  double p_value_new_samples = 1;
  /// All runs have the same difference, so nothing measures its scatter: both intervals reach to zero, both p-values
  /// are 1.
  bool no_spread = false;
};

/// From the differences of R runs on the same n samples, given by their means: run_means [R] over the samples and
/// sample_means [n] over the runs. One run says nothing about other seeds: its intervals are all of [lowest, highest]
/// and its p-values are 1. O(R + n). Throws ValueError for no runs or samples, or values that are not finite.
PairedDifference compare_paired(std::span<const double> run_means, std::span<const double> sample_means,
                                const PairedOptions& options = {});

/// These runs on other test samples of the same population: the part of compare_paired that does not look at the
/// scatter over runs, so that it is of use for a single run too.
Interval sample_interval(std::span<const double> sample_means, const PairedOptions& options = {});

/// Holm's step-down correction (Holm 1979, "A simple sequentially rejective multiple test procedure"): p-values, in
/// their order, such that calling those below a level significant errs anywhere with at most that probability.
std::vector<double> holm(std::span<const double> p_values);

enum class Verdict : std::uint8_t { helps, hurts, undecided };
std::string to_string(Verdict verdict);
/// helps if the whole interval of (strategy - scratch) lies above zero, hurts if below, else undecided.
Verdict judge(const Interval& difference);

}  // namespace rtl::transfer
