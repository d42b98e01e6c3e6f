// Fully connected layer.
#pragma once

#include "rtl/layers/initialization.hpp"
#include "rtl/layers/module.hpp"

namespace rtl::layers {

struct LinearOptions {
  std::int64_t inputs = 0;
  std::int64_t outputs = 0;
  bool bias = true;
  bool relu = false;  ///< max(., 0) behind it
  Initialization initialization = Initialization::uniform_fan_in;
};

/// [.., inputs] to [.., outputs]: [relu](x weight^T + bias), weight [outputs, inputs], bias [outputs].
class Linear final : public Module {
 public:
  /// Throws ValueError for extents that are not positive.
  Linear(const LinearOptions& options, const Construction& construction);
  Value forward(const Value& x, const ForwardContext& context) override;
  void visit(const std::string& prefix, ModuleState& state) override;

  const LinearOptions& options() const noexcept { return options_; }
  const Parameter& weight() const noexcept { return weight_; }
  const Parameter& bias() const noexcept { return bias_; }

 private:
  LinearOptions options_;
  Parameter weight_;
  Parameter bias_;
};

}  // namespace rtl::layers
