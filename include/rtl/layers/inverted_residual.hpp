// The inverted residual block (Sandler et al. 2018, "MobileNetV2"), as EfficientNet-Lite has it: 1x1 convolution to
// `expansion` times as many channels, depthwise convolution, 1x1 convolution back, each with a batch norm, the first
// two with ReLU6; plus x, where the stride is 1 and the widths agree.
#pragma once

#include "rtl/layers/batch_norm.hpp"
#include "rtl/layers/conv2d.hpp"
#include "rtl/layers/module.hpp"

namespace rtl::layers {

struct InvertedResidualOptions {
  std::int64_t inputs = 0;
  std::int64_t outputs = 0;
  int kernel = 3;     ///< of the depthwise convolution, padded as TensorFlow's "same"
  int stride = 1;     ///< of the depthwise convolution
  int expansion = 6;  ///< 1: no convolution in front
  double epsilon = 1e-3;
  double momentum = 0.01;
  Initialization initialization = Initialization::kaiming_normal_fan_out;
};

/// Tensors: _expand_conv, _bn0 (unless expansion is 1), _depthwise_conv, _bn1, _project_conv, _bn2. Throws ValueError
/// for extents that are not positive.
class InvertedResidual final : public Module {
 public:
  InvertedResidual(const InvertedResidualOptions& options, const Construction& construction);
  Value forward(const Value& x, const ForwardContext& context) override;
  void visit(const std::string& prefix, ModuleState& state) override;

 private:
  InvertedResidualOptions options_;
  std::unique_ptr<Conv2d> expand_;
  std::unique_ptr<BatchNorm> expand_norm_;
  std::unique_ptr<Conv2d> depthwise_;
  std::unique_ptr<BatchNorm> depthwise_norm_;
  std::unique_ptr<Conv2d> project_;
  std::unique_ptr<BatchNorm> project_norm_;
};

}  // namespace rtl::layers
