#include "transfer/mixture.hpp"

#include <algorithm>
#include <cmath>

namespace rtl::transfer::detail {

void log_softmax(const float* z, std::size_t classes, double temperature, double* out) {
  double largest = -INFINITY, sum = 0;
  for (std::size_t c = 0; c < classes; ++c) largest = std::max(largest, temperature * z[c]);
  for (std::size_t c = 0; c < classes; ++c) sum += std::exp(out[c] = temperature * z[c] - largest);
  const double logarithm = std::log(sum);
  for (std::size_t c = 0; c < classes; ++c) out[c] -= logarithm;
}

void Mixture::add(const std::vector<float>& outputs, double weight, double temperature) {
  sum_.resize(outputs.size());
  if (regression_) {
    for (std::size_t i = 0; i < sum_.size(); ++i) sum_[i] += weight * temperature * outputs[i];
    return;
  }
  std::vector<double> row(outputs_);
  for (std::size_t begin = 0; begin < sum_.size(); begin += outputs_) {
    log_softmax(outputs.data() + begin, outputs_, temperature, row.data());
    for (std::size_t c = 0; c < outputs_; ++c) sum_[begin + c] += weight * std::exp(row[c]);
  }
}

Tensor Mixture::result(const Device& device) const {
  std::vector<float> values;
  values.reserve(sum_.size());
  // A probability that is zero in double becomes the smallest one, so that its logarithm is a number.
  for (const double value : sum_) {
    values.push_back(static_cast<float>(regression_ ? value : std::log(std::max(value, 1e-300))));
  }
  const auto columns = static_cast<std::int64_t>(outputs_);
  return Tensor::from(values, {static_cast<std::int64_t>(sum_.size()) / columns, columns}, device);
}

}  // namespace rtl::transfer::detail
