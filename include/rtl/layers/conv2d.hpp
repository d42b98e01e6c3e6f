// Convolution layer.
#pragma once

#include "rtl/kernels/conv.hpp"
#include "rtl/layers/initialization.hpp"
#include "rtl/layers/module.hpp"

namespace rtl::layers {

struct Conv2dLayerOptions {
  std::int64_t inputs = 0;                                        ///< channels
  std::int64_t outputs = 0;                                       ///< channels
  int kernel = 3;                                                 ///< height and width
  kernels::Conv2dOptions geometry = {.stride = 1, .padding = 1};  ///< groups, dilation and "same" too
  bool bias = true;
  bool relu = false;  ///< max(., 0) behind it
  Initialization initialization = Initialization::uniform_fan_in;
};

/// [N, H, W, inputs] to [N, OH, OW, outputs]; weight [outputs, inputs / groups, kernel, kernel], bias
/// [outputs].
class Conv2d final : public Module {
 public:
  /// Throws ValueError for extents that are not positive, and channels that the groups do not divide.
  Conv2d(const Conv2dLayerOptions& options, const Construction& construction);
  Value forward(const Value& x, const ForwardContext& context) override;
  void visit(const std::string& prefix, ModuleState& state) override;

  const Conv2dLayerOptions& options() const noexcept { return options_; }

 private:
  Conv2dLayerOptions options_;
  Parameter weight_;
  Parameter bias_;
};

}  // namespace rtl::layers
