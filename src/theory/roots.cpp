#include "theory/roots.hpp"

namespace rtl::theory {
namespace {

double evaluate(std::span<const double> coefficients, double x) {
  double value = 0;
  for (std::size_t i = coefficients.size(); i-- > 0;) value = value * x + coefficients[i];
  return value;
}

}  // namespace

std::vector<double> polynomial_roots(std::span<const double> coefficients, double low, double high) {
  if (coefficients.size() < 2) return {};
  std::vector<double> derivative;
  for (std::size_t i = 1; i < coefficients.size(); ++i) {
    derivative.push_back(static_cast<double>(i) * coefficients[i]);
  }
  std::vector<double> ends = polynomial_roots(derivative, low, high);
  ends.push_back(high);
  std::vector<double> roots;
  const auto polynomial = [&](double x) { return evaluate(coefficients, x); };
  double from = low;
  for (const double to : ends) {
    if ((polynomial(from) < 0) != (polynomial(to) < 0)) roots.push_back(bisect(polynomial, from, to));
    from = to;
  }
  return roots;
}

}  // namespace rtl::theory
