// A classifier with named penultimate features: what sources, scratch models and residual encoders are.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "rtl/layers/module.hpp"

namespace rtl::layers {

/// What is needed to build a network again, kept in checkpoints: name and size of the architecture, input, classes.
/// `name` is "paper_cnn", "paper_big_cnn", "mlp" or "resnet_cifar"; `variant` is "h0".."h4" for paper_cnn, "20".."56"
/// for resnet_cifar, hidden widths such as "128,64" for mlp, and empty for paper_big_cnn. Text form "paper_cnn:h2".
struct Architecture {
  std::string name;
  std::string variant;
  Shape input;  ///< of one sample: [H, W, C], or [features]
  std::int64_t classes = 0;
  std::string to_string() const { return variant.empty() ? name : name + ":" + variant; }
};

/// trunk: input to features [N, feature_count]; head: linear to logits [N, classes].
class Network : public Module {
 public:
  virtual const Architecture& architecture() const = 0;
  virtual std::int64_t feature_count() const = 0;
  /// Penultimate features [N, feature_count]. Dropout behind the features belongs to the head and is not applied here.
  virtual Variable features(const Variable& x, const ForwardContext& context) = 0;
  /// Logits from features; applies the head's dropout when training.
  virtual Variable head(const Variable& features, const ForwardContext& context) = 0;
  /// Dropout probability that `head` applies to the features while training.
  virtual double head_dropout() const = 0;
  Variable forward(const Variable& x, const ForwardContext& context) override {
    return head(features(x, context), context);
  }
  /// Replaces the head by a newly initialised one for another number of classes.
  virtual void reset_head(std::int64_t classes, std::uint64_t seed) = 0;
  const Device& device();
};

/// Builds a network with PyTorch's default initialisation, drawn from `seed` (the draw of each tensor depends on seed
/// and the tensor's name only). Throws ValueError for an unknown architecture, listing those that exist.
std::unique_ptr<Network> make_network(const Architecture& architecture, const Device& device, std::uint64_t seed,
                                      DType dtype = DType::f32);

/// A copy with the same weights and buffers on `device`.
std::unique_ptr<Network> clone(Network& network, const Device& device);

}  // namespace rtl::layers
