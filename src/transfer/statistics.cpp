#include "rtl/transfer/statistics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "rtl/core/error.hpp"
#include "transfer/names.hpp"

namespace rtl::transfer {
namespace {

constexpr std::array<std::string_view, 3> verdict_names{"helps", "hurts", "undecided"};

/// Continued fraction of the incomplete beta function (Abramowitz and Stegun 26.5.8) by Lentz's method; converges fast
/// for x < (a + 1) / (a + b + 2).
double beta_fraction(double a, double b, double x) {
  constexpr double tiny = 1e-300;
  double c = 1;
  double d = 1 / std::max(1 - (a + b) * x / (a + 1), tiny);
  double value = d;
  for (int m = 1; m < 10000; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    double change = 1;
    for (const double term : {even, odd}) {
      d = 1 + term * d;
      d = 1 / (std::abs(d) < tiny ? tiny : d);
      c = 1 + term / c;
      if (std::abs(c) < tiny) c = tiny;
      change = c * d;
      value *= change;
    }
    if (std::abs(change - 1) < 1e-16) break;
  }
  return value;
}

/// P(T > t) for t >= 0.
double upper_tail(double t, double degrees) {
  return 0.5 * incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t));
}

}  // namespace

double incomplete_beta(double a, double b, double x) {
  if (!(a > 0 && b > 0 && x >= 0 && x <= 1)) {
    throw ValueError(
        fmt::format("incomplete_beta: a = {}, b = {}, x = {}; a and b must be positive, x in [0, 1]", a, b, x));
  }
  if (x == 0 || x == 1) return x;
  const double scale =
      std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log1p(-x));
  if (x < (a + 1) / (a + b + 2)) return scale * beta_fraction(a, b, x) / a;
  return 1 - scale * beta_fraction(b, a, 1 - x) / b;
}

double student_t_cdf(double t, double degrees) {
  if (!(degrees > 0)) throw ValueError(fmt::format("student_t_cdf: {} degrees of freedom; must be positive", degrees));
  const double tail = upper_tail(std::abs(t), degrees);
  return t > 0 ? 1 - tail : tail;
}

double student_t_quantile(double probability, double degrees) {
  if (!(probability > 0 && probability < 1 && degrees > 0)) {
    throw ValueError(fmt::format("student_t_quantile: probability {} must be inside (0, 1), degrees {} positive",
                                 probability, degrees));
  }
  if (probability == 0.5) return 0;
  const double tail = std::min(probability, 1 - probability);
  double low = 0, high = 1;
  while (upper_tail(high, degrees) > tail) {
    low = high;
    high *= 2;
  }
  for (int i = 0; i < 200 && high - low > 1e-15 * high; ++i) {
    const double middle = low + (high - low) / 2;
    (upper_tail(middle, degrees) > tail ? low : high) = middle;
  }
  return probability > 0.5 ? high : -high;
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
  if (!(confidence > 0 && confidence < 1)) {
    throw ValueError(fmt::format("t_interval: a confidence of {}; must be inside (0, 1)", confidence));
  }
  if (values.size() == 1) return {summary.mean, lowest, highest};
  const double degrees = static_cast<double>(values.size()) - 1;
  const double error = summary.std / std::sqrt(degrees);  // = sample deviation / sqrt(n)
  const double half = student_t_quantile(0.5 + confidence / 2, degrees) * error;
  return {summary.mean, std::max(lowest, summary.mean - half), std::min(highest, summary.mean + half)};
}

std::string to_string(Verdict verdict) { return detail::name_at(verdict_names, verdict); }

Verdict judge(const Interval& difference) {
  if (difference.low > 0) return Verdict::helps;
  if (difference.high < 0) return Verdict::hurts;
  return Verdict::undecided;
}

}  // namespace rtl::transfer
