#include <fmt/format.h>

#include <utility>

#include "layers/model.hpp"
#include "rtl/layers/linear.hpp"

namespace rtl::layers {
namespace {

/// What an architecture builds, with a linear head.
class TrunkAndHead final : public Network {
 public:
  TrunkAndHead(Architecture architecture, Trunk trunk, std::string head_name, Construction construction)
      : architecture_(std::move(architecture)),
        trunk_(std::move(trunk)),
        head_name_(std::move(head_name)),
        construction_(std::move(construction)) {
    if (architecture_.classes != 0) reset_head(architecture_.classes, construction_.seed);
  }

  const Architecture& architecture() const override { return architecture_; }
  std::int64_t feature_count() const override { return trunk_.features; }
  double head_dropout() const override { return trunk_.dropout; }
  Value features(const Value& x, const ForwardContext& context) override {
    check_input(x);
    return trunk_.modules->forward(x, context);
  }
  std::vector<std::string> layer_names() const override { return trunk_.modules->layer_names(); }
  Value head(const Value& features, const ForwardContext& context) override {
    return present_head().forward(drop_features(features, context), context);
  }
  void visit_trunk(const std::string& prefix, ModuleState& state) override { trunk_.modules->visit(prefix, state); }
  void visit_head(const std::string& prefix, ModuleState& state) override {
    if (head_) head_->visit(prefix + head_name_ + ".", state);
  }
  void reset_head(std::int64_t classes, std::uint64_t seed) override {
    if (classes < 1) {
      throw ValueError(fmt::format("{}: {} classes; at least one is needed", architecture_.to_string(), classes));
    }
    const Construction construction =
        Construction{.device = construction_.device, .seed = seed, .dtype = construction_.dtype}.child(head_name_);
    head_ = std::make_unique<Linear>(
        LinearOptions{.inputs = trunk_.features, .outputs = classes, .initialization = trunk_.head_initialization},
        construction);
    architecture_.classes = classes;
  }

 private:
  Value forward_to(const std::string& layer, const Value& x, const ForwardContext& context) override {
    check_input(x);
    return trunk_.modules->forward_to(layer, x, context);
  }

  Linear& present_head() const {
    if (head_) return *head_;
    throw ValueError(
        fmt::format("{}: it has no head (0 classes); give it one by reset_head", architecture_.to_string()));
  }

  /// Sequences of tokens may be shorter.
  void check_input(const Value& x) const {
    const Shape& input = architecture_.input;
    bool fits = x.defined() && x.shape().rank() == input.rank() + 1;
    if (fits && (x.dtype() == DType::i32) != architecture_.takes_tokens()) {
      throw DTypeError(fmt::format("{}: the input is {}, but the network takes {}", architecture_.to_string(),
                                   name_of(x.dtype()), architecture_.takes_tokens() ? "tokens, i32" : "no tokens"));
    }
    if (fits && architecture_.takes_tokens()) {
      fits = x.shape()[1] > 0 && x.shape()[1] <= input[0];
    } else {
      for (int axis = 0; fits && axis < input.rank(); ++axis) fits = x.shape()[axis + 1] == input[axis];
    }
    if (!fits) {
      throw ShapeError(fmt::format("{}: the input is {}, but the network takes samples of shape {}{}",
                                   architecture_.to_string(), x.defined() ? x.shape().to_string() : "not defined",
                                   input.to_string(), architecture_.takes_tokens() ? " at most" : ""));
    }
  }

  Architecture architecture_;
  Trunk trunk_;
  std::string head_name_;
  Construction construction_;
  std::unique_ptr<Linear> head_;
};

}  // namespace

std::unique_ptr<Network> make_network(const Architecture& architecture, const Device& device, std::uint64_t seed,
                                      DType dtype) {
  const Model& model = architecture_named(architecture.name);
  const Construction construction{.device = device, .seed = seed, .dtype = dtype};
  if (architecture.takes_tokens() && !model.tokens) {
    throw ValueError(
        fmt::format("make_network: {} takes numbers, and not tokens of texts; text_bag does, or give it counts "
                    "of words (encode=bag or tfidf)",
                    architecture.to_string()));
  }
  Architecture usual = architecture;
  Trunk trunk = model.build(usual, construction);
  return std::make_unique<TrunkAndHead>(std::move(usual), std::move(trunk), model.head, construction);
}

}  // namespace rtl::layers
