// The weighted mean of several outputs of one task.
#pragma once

#include <cstdint>
#include <vector>

#include "rtl/core/tensor.hpp"

namespace rtl::transfer::detail {

/// Classes: sum_k w_k softmax(t_k z_k) of logits z_k [N, C], given as its logarithm; real targets: sum_k w_k t_k z_k.
/// Summed in double.
class Mixture {
 public:
  Mixture(bool regression, std::int64_t outputs)
      : regression_(regression), outputs_(static_cast<std::size_t>(outputs)) {}

  /// Outputs [N, outputs], row by row; always of as many rows.
  void add(const std::vector<float>& outputs, double weight, double temperature);
  /// f32 [N, outputs].
  Tensor result(const Device& device) const;

 private:
  bool regression_;
  std::size_t outputs_;
  std::vector<double> sum_;
};

/// Logarithm of softmax(temperature z) of one row.
void log_softmax(const float* z, std::size_t classes, double temperature, double* out);

}  // namespace rtl::transfer::detail
