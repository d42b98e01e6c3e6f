// The dense block (Huang, Liu, van der Maaten and Weinberger 2017): each layer sees all maps before it and adds
// `growth`.
#pragma once

#include <vector>

#include "rtl/layers/batch_norm.hpp"
#include "rtl/layers/conv2d.hpp"
#include "rtl/layers/module.hpp"

namespace rtl::layers {

struct DenseBlockOptions {
  std::int64_t inputs = 0;
  std::int64_t growth = 32;
  int layers = 0;
  int bottleneck = 4;  ///< the 1x1 convolutions have so many times `growth` channels
};

/// [N, H, W, inputs] to [N, H, W, inputs + layers * growth]. Tensors: denselayer1.norm1, .conv1 (1x1), .norm2, .conv2
/// (3x3), denselayer2...
class DenseBlock final : public Module {
 public:
  DenseBlock(const DenseBlockOptions& options, const Construction& construction);
  Value forward(const Value& x, const ForwardContext& context) override;
  void visit(const std::string& prefix, ModuleState& state) override;

 private:
  struct Layer {
    Layer(const DenseBlockOptions& options, std::int64_t inputs, const Construction& construction);
    BatchNorm norm1;
    Conv2d conv1;
    BatchNorm norm2;
    Conv2d conv2;
  };
  std::vector<std::unique_ptr<Layer>> layers_;
};

}  // namespace rtl::layers
