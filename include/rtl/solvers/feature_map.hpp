// A linear feature map x -> B'x that was learnt or derived once and serves many downstream regressions.
#pragma once

#include <string>

#include "rtl/core/tensor.hpp"

namespace rtl::solvers {

/// Holds B [p, q], f64, on the host, and what is known of its use. Downstream regressions take the features apply(x)
/// with a ridge penalty, per sample; coefficients() takes what they learn back to the inputs.
class FeatureMap {
 public:
  /// What the map was made for; saved with it.
  struct Facts {
    std::string kind;          ///< "bayes", "soft", "hard", "principal components", "whitening", ...
    double penalty = 0;        ///< that fits: noise / n for Bayes features, 0 for a minimum-norm learner
    double samples = 0;        ///< downstream samples it was made for; 0: any
    double noise = 0;          ///< downstream noise variance it was made for
    double expected_risk = 0;  ///< expected total squared test error; 0: unknown
  };

  /// Throws ShapeError unless `matrix` is [p, q] with p, q > 0, DTypeError unless it is f64 or f32 (which is widened),
  /// ValueError for entries that are not finite.
  FeatureMap(ConstView matrix, Facts facts);

  std::int64_t inputs() const noexcept { return matrix_.extent(0); }
  std::int64_t features() const noexcept { return matrix_.extent(1); }
  /// On the host of the matrix that it was made from; coefficients and metric lie there too.
  const Tensor& matrix() const noexcept { return matrix_; }
  const Facts& facts() const noexcept { return facts_; }

  /// X B [n, q] for x [n, p], f32 or f64, on `device`; the result has x's dtype and device. 2 n p q FLOP. Throws
  /// ShapeError, DTypeError, DeviceError.
  Tensor apply(const Device& device, ConstView x) const;
  /// W = B theta [p, k] for theta [q, k], f64, on the host: X W = apply(X) theta.
  Tensor coefficients(ConstView theta) const;
  /// M = B B' [p, p]: all of B that a ridge regression on the features depends on.
  Tensor metric() const;

  /// A safetensors file with the tensor "feature_map" and the facts as metadata, written beside and renamed. Throws
  /// IoError; then a file that was there is unchanged.
  void save(const std::string& path) const;
  /// Throws IoError if the file cannot be read, FormatError if it is damaged or no feature map.
  /// The matrix lies on device.host().
  static FeatureMap load(const std::string& path, const Device& device = Device::cpu());

 private:
  Tensor matrix_;
  Facts facts_;
};

}  // namespace rtl::solvers
