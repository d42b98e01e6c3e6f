#include "solvers/domain.hpp"

#include <fmt/format.h>

#include <cmath>

#include "rtl/core/error.hpp"

namespace rtl::solvers::domain {

void positive(std::string_view call, std::string_view name, double value) {
  if (!(value > 0) || !std::isfinite(value)) {
    throw ValueError(fmt::format("{}: {} is {}; it must be positive and finite", call, name, value));
  }
}

void not_negative(std::string_view call, std::string_view name, double value) {
  if (!(value >= 0) || !std::isfinite(value)) {
    throw ValueError(fmt::format("{}: {} is {}; it must be finite and not negative", call, name, value));
  }
}

void finite(std::string_view call, std::string_view name, double value) {
  if (!std::isfinite(value)) throw ValueError(fmt::format("{}: {} is {}; it must be finite", call, name, value));
}

void spectrum(std::string_view call, std::string_view name, std::span<const double> values) {
  if (values.empty()) throw ValueError(fmt::format("{}: {} is empty; it needs one value a dimension", call, name));
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!(values[i] >= 0) || !std::isfinite(values[i])) {
      throw ValueError(fmt::format("{}: {}[{}] is {}; eigenvalues of a covariance are finite and not negative", call,
                                   name, i, values[i]));
    }
  }
}

void count(std::string_view call, std::string_view name, std::size_t given, std::size_t wanted) {
  if (given != wanted) {
    throw ShapeError(fmt::format("{}: {} has {} values; it needs {}, one a dimension", call, name, given, wanted));
  }
}

}  // namespace rtl::solvers::domain
