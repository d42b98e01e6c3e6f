#include "rtl/transfer/statistics.hpp"

#include <fmt/format.h>

#include <boost/math/distributions/students_t.hpp>
#include <boost/math/special_functions/beta.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <string_view>

#include "rtl/core/error.hpp"
#include "transfer/names.hpp"

namespace rtl::transfer {
namespace {

/// No errno, no exceptions: arguments are checked here.
using Quietly =
    boost::math::policies::policy<boost::math::policies::domain_error<boost::math::policies::ignore_error>,
                                  boost::math::policies::overflow_error<boost::math::policies::ignore_error>,
                                  boost::math::policies::evaluation_error<boost::math::policies::ignore_error>>;
using StudentT = boost::math::students_t_distribution<double, Quietly>;

constexpr std::array<std::string_view, 3> verdict_names{"helps", "hurts", "undecided"};

/// P(T > t).
double upper_tail(double t, double degrees) { return boost::math::cdf(boost::math::complement(StudentT(degrees), t)); }

void check_confidence(const char* call, double confidence) {
  if (confidence > 0 && confidence < 1) return;
  throw ValueError(fmt::format("{}: a confidence of {}; must be inside (0, 1)", call, confidence));
}

}  // namespace

double incomplete_beta(double a, double b, double x) {
  if (!(a > 0 && b > 0 && x >= 0 && x <= 1)) {
    throw ValueError(
        fmt::format("incomplete_beta: a = {}, b = {}, x = {}; a and b must be positive, x in [0, 1]", a, b, x));
  }
  return boost::math::ibeta(a, b, x, Quietly());
}

double student_t_cdf(double t, double degrees) {
  if (!(degrees > 0)) throw ValueError(fmt::format("student_t_cdf: {} degrees of freedom; must be positive", degrees));
  return boost::math::cdf(StudentT(degrees), t);
}

double student_t_quantile(double probability, double degrees) {
  if (!(probability > 0 && probability < 1 && degrees > 0)) {
    throw ValueError(fmt::format("student_t_quantile: probability {} must be inside (0, 1), degrees {} positive",
                                 probability, degrees));
  }
  return boost::math::quantile(StudentT(degrees), probability);
}

Summary summarize(std::span<const double> values) {
  if (values.empty()) throw ValueError("summarize: there are no values");
  const auto count = static_cast<double>(values.size());
  Summary summary;
  for (const double value : values) summary.mean += value;
  summary.mean /= count;
  double squares = 0;
  for (const double value : values) squares += (value - summary.mean) * (value - summary.mean);
  summary.std = std::sqrt(squares / count);
  return summary;
}

Interval t_interval(std::span<const double> values, double confidence, double lowest, double highest) {
  const Summary summary = summarize(values);
  check_confidence("t_interval", confidence);
  if (values.size() == 1) return {summary.mean, lowest, highest};
  const double degrees = static_cast<double>(values.size()) - 1;
  const double error = summary.std / std::sqrt(degrees);  // = sample deviation / sqrt(n)
  const double half = student_t_quantile(0.5 + confidence / 2, degrees) * error;
  return {summary.mean, std::max(lowest, summary.mean - half), std::min(highest, summary.mean + half)};
}

namespace {

void check_finite(const char* what, std::span<const double> values) {
  if (values.empty()) throw ValueError(fmt::format("compare_paired: there are no {}", what));
  for (const double value : values) {
    if (!std::isfinite(value)) throw ValueError(fmt::format("compare_paired: a difference of {} {}", what, value));
  }
}

/// A mean's error, squared, and the t by which it is multiplied.
struct MeanError {
  double variance = 0;
  double degrees = 0;

  double half_width(double confidence) const {
    return student_t_quantile(0.5 + confidence / 2, degrees) * std::sqrt(variance);
  }
  double p_value(double mean) const {
    if (mean == 0) return 1;
    return variance > 0 ? 2 * upper_tail(std::abs(mean) / std::sqrt(variance), degrees) : 0;
  }
};

/// Of drawing other samples: of the mean of the values with one step up and one down added (Bonett and Price 2012),
/// brought to the scale of the mean without them.
MeanError error_of_samples(std::span<const double> sample_means, double step) {
  std::vector<double> values(sample_means.begin(), sample_means.end());
  if (step > 0) values.insert(values.end(), {step, -step});
  if (values.size() < 2) return {std::numeric_limits<double>::infinity(), 1};
  const auto all = static_cast<double>(values.size());
  const double scale = all / static_cast<double>(sample_means.size());
  return {std::pow(scale * summarize(values).std, 2) / (all - 1), all - 1};
}

/// Of drawing other seeds; a deviation below one step of one sample cannot be told from one of that size.
MeanError error_of_runs(std::span<const double> run_means, double resolution) {
  const double degrees = static_cast<double>(run_means.size()) - 1;
  const double deviation = std::sqrt((degrees + 1) / degrees) * summarize(run_means).std;
  return {std::pow(std::max(deviation, resolution), 2) / (degrees + 1), degrees};
}

/// The p at which the sum of both squared half-widths is the mean's square: with the mean's square shared out among the
/// two by an angle, that at which both shares have the same tail.
double p_value_of_sum(double mean, const MeanError& first, const MeanError& second) {
  if (mean == 0 || std::isinf(first.variance) || std::isinf(second.variance)) return 1;
  if (first.variance == 0 || second.variance == 0) return std::max(first.p_value(mean), second.p_value(mean));
  const auto tail = [&](const MeanError& error, double share) {
    return upper_tail(std::abs(mean) * share / std::sqrt(error.variance), error.degrees);
  };
  double low = 0, high = std::acos(0.0), found = 0.5;
  for (int step = 0; step < 60 && high - low > 0; ++step) {
    const double angle = low + (high - low) / 2;
    found = tail(first, std::cos(angle));
    (found < tail(second, std::sin(angle)) ? low : high) = angle;
  }
  return 2 * found;
}

Interval around(double mean, double half, const PairedOptions& options, bool to_zero) {
  Interval interval{mean, std::max(options.lowest, mean - half), std::min(options.highest, mean + half)};
  if (to_zero) interval = {mean, std::min(interval.low, 0.0), std::max(interval.high, 0.0)};
  return interval;
}

bool all_equal(std::span<const double> values) {
  // Equal counts of samples reach their means by other roundings.
  constexpr double rounding = 1e-12;
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return *high - *low <= rounding * std::max(std::abs(*low), std::abs(*high));
}

}  // namespace

PairedDifference compare_paired(std::span<const double> run_means, std::span<const double> sample_means,
                                const PairedOptions& options) {
  check_finite("runs", run_means);
  check_finite("samples", sample_means);
  check_confidence("compare_paired", options.confidence);
  PairedDifference result;
  const double mean = summarize(run_means).mean;
  if (run_means.size() == 1) {
    result.over_seeds = result.new_samples = {mean, options.lowest, options.highest};
    return result;
  }
  const MeanError samples = error_of_samples(sample_means, options.step);
  const MeanError runs = error_of_runs(run_means, options.step / static_cast<double>(sample_means.size()));
  const double half_samples = samples.half_width(options.confidence);
  const double half_runs = runs.half_width(options.confidence);
  result.no_spread = all_equal(run_means);
  result.over_seeds = around(mean, std::max(half_runs, half_samples), options, result.no_spread);
  result.new_samples = around(mean, std::hypot(half_runs, half_samples), options, result.no_spread);
  if (result.no_spread) return result;
  result.p_value = std::max(runs.p_value(mean), samples.p_value(mean));
  result.p_value_new_samples = p_value_of_sum(mean, runs, samples);
  return result;
}

Interval sample_interval(std::span<const double> sample_means, const PairedOptions& options) {
  check_finite("samples", sample_means);
  check_confidence("sample_interval", options.confidence);
  const double half = error_of_samples(sample_means, options.step).half_width(options.confidence);
  return around(summarize(sample_means).mean, half, options, false);
}

std::vector<double> holm(std::span<const double> p_values) {
  std::vector<std::size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return p_values[a] < p_values[b]; });
  std::vector<double> corrected(p_values.size());
  double largest = 0;
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    const auto left = static_cast<double>(order.size() - rank);
    largest = std::max(largest, std::min(1.0, left * p_values[order[rank]]));
    corrected[order[rank]] = largest;
  }
  return corrected;
}

std::string to_string(Verdict verdict) { return detail::name_at(verdict_names, verdict); }

Verdict judge(const Interval& difference) {
  if (difference.low > 0) return Verdict::helps;
  if (difference.high < 0) return Verdict::hurts;
  return Verdict::undecided;
}

}  // namespace rtl::transfer
