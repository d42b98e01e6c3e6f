// Group normalisation layer (Wu and He 2018) of images: over the positions and the channels of each group, image by
// image.
#pragma once

#include "rtl/layers/module.hpp"

namespace rtl::layers {

struct GroupNormOptions {
  std::int64_t channels = 0;
  std::int64_t groups = 32;  ///< 1: layer norm of whole images; as many as channels: instance norm
  double epsilon = 1e-5;
  bool relu = false;  ///< max(., 0) behind it
};

/// [N, H, W, channels] to the same, alike in training and evaluation. Parameters weight, bias ([channels], 1 and 0 at
/// first). Made of elementwise operations and means, in f32 also where the images are bf16, rounded once at the end.
class GroupNorm final : public Module {
 public:
  /// Throws ValueError for groups that do not divide the channels.
  GroupNorm(const GroupNormOptions& options, const Construction& construction);
  Value forward(const Value& x, const ForwardContext& context) override;
  void visit(const std::string& prefix, ModuleState& state) override;

 private:
  GroupNormOptions options_;
  Parameter weight_;
  Parameter bias_;
};

}  // namespace rtl::layers
