// A classifier with named penultimate features: what sources, scratch models and residual encoders are.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rtl/layers/module.hpp"

namespace rtl::layers {

/// What is needed to build a network again, kept in checkpoints: name and size of the architecture, input, classes.
/// The text form, for command lines, is "paper_cnn:h2"; rtl/layers/models.hpp lists names and variants, and
/// rtl/layers/model.hpp adds to them.
struct Architecture {
  std::string name;             ///< "paper_cnn"
  std::string variant;          ///< size; empty for the default one
  Shape input;                  ///< of one sample: [H, W, C], [features], or [T] of at most T tokens
  std::int64_t classes = 0;     ///< 0: a network without a head, until reset_head gives it one
  std::int64_t vocabulary = 0;  ///< of tokens, how many there are; 0: samples are no tokens
  bool takes_tokens() const { return vocabulary > 0; }
  std::string to_string() const { return variant.empty() ? name : name + ":" + variant; }
  friend bool operator==(const Architecture& a, const Architecture& b) = default;
};

/// trunk: input to features [N, feature_count]; head: linear to logits [N, classes].
class Network : public Module {
 public:
  virtual const Architecture& architecture() const = 0;
  virtual std::int64_t feature_count() const = 0;
  /// Penultimate features [N, feature_count]. x is [N, ...input]; of tokens i32 [N, T] with any T up to that of input,
  /// and -1 behind the last token of a sequence does not change what it gives, unless Model::sees_padding. Dropout
  /// behind the features belongs to the head and is not applied here.
  virtual Value features(const Value& x, const ForwardContext& context) = 0;
  /// Layers of the trunk whose outputs can be taken as features, from the inputs on: "conv1", "layer2.0".
  virtual std::vector<std::string> layer_names() const { return {}; }
  /// Features [N, p] behind such a layer; maps [N, H, W, C] are averaged to [N, C], sequences [N, T, C] over their real
  /// positions. What lies behind the layer is not recorded. Throws ValueError for a name that is none, with those there
  /// are.
  Value features_at(const std::string& layer, const Value& x, const ForwardContext& context);
  /// The same without averaging.
  Value output_of(const std::string& layer, const Value& x, const ForwardContext& context);
  /// Logits from features; applies the head's dropout when training. Throws ValueError without a head.
  virtual Value head(const Value& features, const ForwardContext& context) = 0;
  /// Dropout probability that `head` applies to the features while training.
  virtual double head_dropout() const = 0;
  /// The head's dropout alone, with the very mask that `head` uses: for heads of one's own on these features.
  Value drop_features(const Value& features, const ForwardContext& context) const;
  Value forward(const Value& x, const ForwardContext& context) override { return head(features(x, context), context); }

  /// `visit` shows the trunk, then the head.
  virtual void visit_trunk(const std::string& prefix, ModuleState& state) = 0;
  virtual void visit_head(const std::string& prefix, ModuleState& state) = 0;
  void visit(const std::string& prefix, ModuleState& state) final {
    visit_trunk(prefix, state);
    visit_head(prefix, state);
  }

  /// Replaces the head by a newly initialised one for another number of classes. Throws ValueError if there is none.
  virtual void reset_head(std::int64_t classes, std::uint64_t seed) = 0;
  /// Of the parameters.
  Device device();
  DType dtype();

 private:
  /// What the layer, one of layer_names, gives.
  virtual Value forward_to(const std::string& layer, const Value& x, const ForwardContext& context);
};

/// Builds a network with its architecture's usual initialisation, drawn from `seed` (the draw of each tensor depends on
/// seed and the tensor's name only). Throws ValueError for an unknown architecture or variant, listing those that
/// exist, for an input that is too small for it, and for a negative number of classes.
std::unique_ptr<Network> make_network(const Architecture& architecture, const Device& device, std::uint64_t seed,
                                      DType dtype = DType::f32);

/// A copy with the same weights and buffers on `device`.
std::unique_ptr<Network> clone(Network& network, const Device& device);

/// Copies parameters and buffers between networks of equal architecture, on any devices. Throws ShapeError naming the
/// tensor that differs, before anything is copied.
void copy_state(Module& from, Module& to);

}  // namespace rtl::layers
