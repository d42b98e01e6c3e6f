#include "studies/l2sp/problem.hpp"

#include <cmath>

#include "studies/reproduction.hpp"

namespace rtl::studies::l2sp {

std::vector<double> alignments() { return steps(.5, 1.5, .05); }

std::vector<double> penalties() {
  std::vector<double> values(50);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::pow(10.0, -2 + 4.0 * static_cast<double>(i) / 49);
  return values;
}

std::vector<double> with_norm(std::vector<double> values, double norm) {
  double square = 0;
  for (const double value : values) square += value * value;
  for (double& value : values) value *= norm / std::sqrt(square);
  return values;
}

}  // namespace rtl::studies::l2sp
