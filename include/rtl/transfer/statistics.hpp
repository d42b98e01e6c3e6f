// The few statistics that a comparison rests on.
#pragma once

#include <cstdint>
#include <span>
#include <string>

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

enum class Verdict : std::uint8_t { helps, hurts, undecided };
std::string to_string(Verdict verdict);
/// helps if the whole interval of (strategy - scratch) lies above zero, hurts if below, else undecided.
Verdict judge(const Interval& difference);

}  // namespace rtl::transfer
