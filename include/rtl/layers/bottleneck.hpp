// The bottleneck block of deeper residual networks (He, Zhang, Ren and Sun 2016): 1x1 convolution to `inner` channels,
// 3x3 with the stride, 1x1 to `outputs`, each with a batch norm; plus the shortcut, which is a 1x1 convolution and a
// norm where the shape changes.
#pragma once

#include "rtl/layers/batch_norm.hpp"
#include "rtl/layers/conv2d.hpp"
#include "rtl/layers/module.hpp"

namespace rtl::layers {

struct BottleneckOptions {
  std::int64_t inputs = 0;
  std::int64_t inner = 0;
  std::int64_t outputs = 0;
  int stride = 1;
  Initialization initialization = Initialization::kaiming_normal_fan_out;
};

/// Tensors: conv1, bn1, conv2, bn2, conv3, bn3, downsample.0, downsample.1.
class Bottleneck final : public Module {
 public:
  Bottleneck(const BottleneckOptions& options, const Construction& construction);
  Value forward(const Value& x, const ForwardContext& context) override;
  void visit(const std::string& prefix, ModuleState& state) override;

 private:
  Conv2d conv1_;
  BatchNorm bn1_;
  Conv2d conv2_;
  BatchNorm bn2_;
  Conv2d conv3_;
  BatchNorm bn3_;
  std::unique_ptr<Conv2d> projection_;
  std::unique_ptr<BatchNorm> projection_norm_;
};

}  // namespace rtl::layers
