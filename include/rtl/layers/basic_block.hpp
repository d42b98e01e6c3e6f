// The residual basic block (He, Zhang, Ren and Sun 2016): y = relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)).
#pragma once

#include "rtl/layers/batch_norm.hpp"
#include "rtl/layers/conv2d.hpp"
#include "rtl/layers/module.hpp"

namespace rtl::layers {

/// How the shortcut bridges a change of shape.
enum class Shortcut : std::uint8_t {
  subsample,  ///< "option A": every second pixel, zero channels before and behind; no parameters
  projection  ///< "option B": 1x1 convolution and batch norm, named shortcut.0 and shortcut.1 unless said otherwise
};

struct BasicBlockOptions {
  std::int64_t inputs = 0;
  std::int64_t outputs = 0;
  int stride = 1;
  Shortcut shortcut = Shortcut::subsample;
  Initialization initialization = Initialization::kaiming_normal;
  std::string projection_name = "shortcut";  ///< torchvision's is "downsample"
};

/// Two 3x3 convolutions without bias, conv1 with the stride. Where neither channels nor resolution change the shortcut
/// is the identity. Throws ValueError for option A with other than stride 2 and more channels.
class BasicBlock final : public Module {
 public:
  BasicBlock(const BasicBlockOptions& options, const Construction& construction);
  Value forward(const Value& x, const ForwardContext& context) override;
  void visit(const std::string& prefix, ModuleState& state) override;

 private:
  bool changes_shape() const { return options_.stride != 1 || options_.inputs != options_.outputs; }

  BasicBlockOptions options_;
  Conv2d conv1_;
  BatchNorm bn1_;
  Conv2d conv2_;
  BatchNorm bn2_;
  std::unique_ptr<Conv2d> projection_;
  std::unique_ptr<BatchNorm> projection_norm_;
};

}  // namespace rtl::layers
