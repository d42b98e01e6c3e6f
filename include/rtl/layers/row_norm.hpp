// Layer norm and RMS norm over the last axis of activations of any rank.
#pragma once

#include "rtl/layers/module.hpp"

namespace rtl::layers {

/// Parameters weight (ones at first) and bias (zeros), [features].
class LayerNorm final : public Module {
 public:
  /// Throws ValueError for fewer than one feature.
  LayerNorm(std::int64_t features, double epsilon, const Construction& construction);
  Value forward(const Value& x, const ForwardContext& context) override;
  void visit(const std::string& prefix, ModuleState& state) override;

 private:
  double epsilon_;
  Parameter weight_;
  Parameter bias_;
};

/// Parameter weight (ones at first), [features].
class RmsNorm final : public Module {
 public:
  /// Throws ValueError for fewer than one feature.
  RmsNorm(std::int64_t features, double epsilon, const Construction& construction);
  Value forward(const Value& x, const ForwardContext& context) override;
  void visit(const std::string& prefix, ModuleState& state) override;

 private:
  double epsilon_;
  Parameter weight_;
};

}  // namespace rtl::layers
