// A linear model of the inputs themselves, in closed form.
#pragma once

#include "rtl/transfer/predictors.hpp"

namespace rtl::transfer::detail {

/// outputs = x W + b for vectors x [p], dense or sparse, computed in f64. The coefficients are kept in f64.
class LinearModel final : public Predictor {
 public:
  /// W f64 [p, outputs] and b f64 [outputs], which are copied to the host. Throws ShapeError, DTypeError for others.
  LinearModel(const Tensor& coefficients, const Tensor& intercept);

  std::string kind() const override { return "linear"; }
  std::int64_t outputs_count() const override { return intercept_.value().count(); }
  Tensor predict(const data::Dataset& samples, const FeatureLookup& features) override;
  layers::ModuleState state() override;
  std::optional<Shape> sample() const override { return Shape{coefficients_.value().extent(0)}; }
  void write(ArchiveWriter& archive) override;

 private:
  layers::Parameter coefficients_, intercept_;
};

}  // namespace rtl::transfer::detail
