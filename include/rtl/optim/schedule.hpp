// Learning-rate schedules: pure functions of the step (or epoch) number, so there is no state to save.
#pragma once

#include <cstdint>

namespace rtl::optim {

class Schedule {
 public:
  /// base at every step.
  static Schedule constant(double base);
  /// base * factor^(floor(step / period)). Throws ValueError for a period below 1.
  static Schedule step(double base, std::int64_t period, double factor = 0.1);
  /// minimum + (base - minimum) * (1 + cos(pi * step / total)) / 2, and minimum from step `total` on. Throws ValueError
  /// for a total below 1.
  static Schedule cosine(double base, std::int64_t total, double minimum = 0.0);

  /// Learning rate of step number `step`, counted from 0.
  double operator()(std::int64_t step) const;

 private:
  enum class Kind { constant, step, cosine };
  Schedule(Kind kind, double base, std::int64_t length, double parameter)
      : kind_(kind), base_(base), length_(length), parameter_(parameter) {}
  Kind kind_;
  double base_;
  std::int64_t length_;
  double parameter_;
};

}  // namespace rtl::optim
