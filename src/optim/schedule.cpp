#include "rtl/optim/schedule.hpp"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "rtl/core/error.hpp"

namespace rtl::optim {

Schedule Schedule::constant(double base) { return {Kind::constant, base, 1, 0}; }

Schedule Schedule::step(double base, std::int64_t period, double factor) {
  if (period < 1) throw ValueError(fmt::format("Schedule::step: period {}; it must be at least 1", period));
  return {Kind::step, base, period, factor};
}

Schedule Schedule::cosine(double base, std::int64_t total, double minimum) {
  if (total < 1) throw ValueError(fmt::format("Schedule::cosine: {} steps; at least 1 is needed", total));
  return {Kind::cosine, base, total, minimum};
}

double Schedule::operator()(std::int64_t step) const {
  switch (kind_) {
    case Kind::step: {
      const std::int64_t drops = step / length_;
      return base_ * std::pow(parameter_, static_cast<double>(drops));
    }
    case Kind::cosine: {
      if (step >= length_) return parameter_;
      const double phase = std::numbers::pi * static_cast<double>(step) / static_cast<double>(length_);
      return parameter_ + (base_ - parameter_) * (1 + std::cos(phase)) / 2;
    }
    case Kind::constant:
      break;
  }
  return base_;
}

}  // namespace rtl::optim
