// Batch normalisation layer (Ioffe and Szegedy 2015) over the last axis.
#pragma once

#include "rtl/layers/module.hpp"

namespace rtl::layers {

struct BatchNormLayerOptions {
  std::int64_t channels = 0;
  double epsilon = 1e-5;
  double momentum = 0.1;  ///< share of the new batch in the running statistics
  bool relu = false;      ///< max(., 0) behind it
  bool relu6 = false;     ///< min(max(., 0), 6) behind it
};

/// Training (context.training): statistics of the batch, and the running ones move. Evaluation: the running statistics,
/// which do not move. Parameters weight, bias; buffers running_mean, running_var ([channels], 0 and 1 at first).
/// While its weight is frozen it always works as in evaluation, so a frozen norm's statistics never move; its bias may
/// be trained nonetheless.
class BatchNorm final : public Module {
 public:
  BatchNorm(const BatchNormLayerOptions& options, const Construction& construction);
  Value forward(const Value& x, const ForwardContext& context) override { return forward(x, context, {}); }
  /// y = [relu](norm(x) + residual); `residual` may be not defined.
  Value forward(const Value& x, const ForwardContext& context, const Value& residual);
  void visit(const std::string& prefix, ModuleState& state) override;

  const BatchNormLayerOptions& options() const noexcept { return options_; }

 private:
  Value normalised(const Value& x, const ForwardContext& context) const;

  BatchNormLayerOptions options_;
  Parameter weight_;
  Parameter bias_;
  Parameter running_mean_;
  Parameter running_variance_;
};

}  // namespace rtl::layers
