// Domain checks of the formulas: each throws ValueError with the call, the argument's name, its value and the remedy.
#pragma once

#include <span>
#include <string_view>

namespace rtl::solvers::domain {

void positive(std::string_view call, std::string_view name, double value);
void not_negative(std::string_view call, std::string_view name, double value);
void finite(std::string_view call, std::string_view name, double value);
/// At least one value, none negative or not finite.
void spectrum(std::string_view call, std::string_view name, std::span<const double> values);
/// Throws ShapeError unless there are `wanted` values.
void count(std::string_view call, std::string_view name, std::size_t given, std::size_t wanted);

}  // namespace rtl::solvers::domain
