#include "rtl/layers/frozen_network.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "rtl/graph/operations.hpp"
#include "rtl/graph/row_function.hpp"

namespace rtl::layers {

class FrozenNetwork::Implementation {
 public:
  Implementation(Network& network, Precision precision, std::string layer)
      : network_(clone(network, network.device())),
        layer_(std::move(layer)),
        precision_(precision),
        dtype_(network_->architecture().takes_tokens() ? DType::i32 : activation_dtype(precision, DType::f32)) {
    if (network_->dtype() != DType::f32) {
      throw DTypeError(
          fmt::format("FrozenNetwork: the parameters are {}; frozen networks are f32", name_of(network_->dtype())));
    }
    constexpr std::int64_t short_sequence = 8;
    Shape sample = architecture().input;
    if (architecture().takes_tokens()) sample = {std::min(sample[0], short_sequence)};
    feature_count_ = trunk(sample).result().shape[0];
    if (architecture().classes > 0) whole(sample);
  }

  const Architecture& architecture() const { return network_->architecture(); }
  std::int64_t feature_count() const { return feature_count_; }

  void features(ConstView x, View out) {
    check("FrozenNetwork::features", x, out, feature_count());
    trunk(sample_of(x))(x, out);
  }

  void logits(ConstView x, View out) {
    if (architecture().classes == 0) {
      throw ValueError(fmt::format("FrozenNetwork::logits: {} has no head (0 classes)", architecture().to_string()));
    }
    check("FrozenNetwork::logits", x, out, architecture().classes);
    whole(sample_of(x))(x, out);
  }

 private:
  using Functions = std::map<std::int64_t, graph::RowFunction>;

  /// For samples of one shape: of tokens there are several.
  template <typename Record>
  graph::RowFunction& function(Functions& functions, const Shape& sample, const Record& record) {
    const std::int64_t length = sample[0];
    const auto found = functions.find(length);
    if (found != functions.end()) return found->second;
    if (functions.size() == kept_lengths) functions.erase(functions.begin());
    const graph::PassOptions passes{.fuse = true, .frozen = weights_};
    const auto result = [this, record](const Value& x) {
      return graph::cast(record(x, ForwardContext{.frozen = true, .activations = precision_}), DType::f32);
    };
    return functions.try_emplace(length, network_->device(), sample, dtype_, result, passes).first->second;
  }

  graph::RowFunction& trunk(const Shape& sample) {
    return function(trunks_, sample, [this](const Value& x, const ForwardContext& context) {
      return layer_.empty() ? network_->features(x, context) : network_->features_at(layer_, x, context);
    });
  }
  graph::RowFunction& whole(const Shape& sample) {
    return function(wholes_, sample,
                    [this](const Value& x, const ForwardContext& context) { return network_->forward(x, context); });
  }

  static Shape sample_of(ConstView x) { return Shape(x.shape().extents().subspan(1)); }

  void check(const char* call, ConstView x, View out, std::int64_t columns) const {
    const Shape& sample = architecture().input;
    bool fits = x.rank() == sample.rank() + 1 && out.rank() == 2;
    if (fits && architecture().takes_tokens()) {
      fits = x.extent(1) > 0 && x.extent(1) <= sample[0];
    } else {
      for (int axis = 0; fits && axis < sample.rank(); ++axis) fits = x.extent(axis + 1) == sample[axis];
    }
    if (!fits || out.extent(0) != x.extent(0) || out.extent(1) != columns) {
      throw ShapeError(fmt::format("{}: x {} and out {}, but {} takes samples {} and gives {} values for each", call,
                                   x.shape().to_string(), out.shape().to_string(), architecture().to_string(),
                                   sample.to_string(), columns));
    }
    if (x.dtype() != dtype_ || out.dtype() != DType::f32) {
      throw DTypeError(fmt::format("{}: x is {} and out {}; they must be {} and f32 (convert with cast)", call,
                                   name_of(x.dtype()), name_of(out.dtype()), name_of(dtype_)));
    }
    if (!x.is_contiguous() || !out.is_contiguous()) {
      throw ShapeError(fmt::format("{}: x and out must be contiguous", call));
    }
  }

  std::unique_ptr<Network> network_;
  std::string layer_;    ///< of the features; empty for the penultimate ones
  Precision precision_;  ///< of the activations
  DType dtype_;          ///< of the inputs
  std::int64_t feature_count_ = 0;
  std::shared_ptr<graph::FrozenWeights> weights_ = std::make_shared<graph::FrozenWeights>();
  Functions trunks_, wholes_;  ///< by the first extent of a sample
  static constexpr std::size_t kept_lengths = 64;
};

FrozenNetwork::FrozenNetwork(Network& network, Precision precision, std::string layer)
    : implementation_(std::make_unique<Implementation>(network, precision, std::move(layer))) {}
FrozenNetwork::FrozenNetwork(FrozenNetwork&&) noexcept = default;
FrozenNetwork& FrozenNetwork::operator=(FrozenNetwork&&) noexcept = default;
FrozenNetwork::~FrozenNetwork() = default;

std::int64_t FrozenNetwork::feature_count() const { return implementation_->feature_count(); }
std::int64_t FrozenNetwork::classes() const { return implementation_->architecture().classes; }
const Architecture& FrozenNetwork::architecture() const { return implementation_->architecture(); }
void FrozenNetwork::features(ConstView x, View out) { implementation_->features(x, out); }
void FrozenNetwork::logits(ConstView x, View out) { implementation_->logits(x, out); }

}  // namespace rtl::layers
