#include "rtl/layers/frozen_network.hpp"

#include <fmt/format.h>

#include <memory>
#include <optional>
#include <utility>

#include "rtl/graph/operations.hpp"
#include "rtl/graph/row_function.hpp"

namespace rtl::layers {

class FrozenNetwork::Implementation {
 public:
  Implementation(Network& network, Precision precision, std::string layer)
      : network_(clone(network, network.device())),
        layer_(std::move(layer)),
        dtype_(activation_dtype(precision, DType::f32)) {
    if (network_->dtype() != DType::f32) {
      throw DTypeError(
          fmt::format("FrozenNetwork: the parameters are {}; frozen networks are f32", name_of(network_->dtype())));
    }
    const Device device = network_->device();
    const graph::PassOptions passes{.fuse = true, .frozen = std::make_shared<graph::FrozenWeights>()};
    trunk_.emplace(
        device, architecture().input, dtype_, [this](const Value& x) { return graph::cast(trunk(x), DType::f32); },
        passes);
    if (architecture().classes == 0) return;
    whole_.emplace(
        device, architecture().input, dtype_,
        [this](const Value& x) { return graph::cast(network_->forward(x, {.frozen = true}), DType::f32); }, passes);
  }

  const Architecture& architecture() const { return network_->architecture(); }
  std::int64_t feature_count() const { return trunk_->result().shape[0]; }

  void features(ConstView x, View out) {
    check("FrozenNetwork::features", x, out, feature_count());
    (*trunk_)(x, out);
  }

  void logits(ConstView x, View out) {
    if (!whole_) {
      throw ValueError(fmt::format("FrozenNetwork::logits: {} has no head (0 classes)", architecture().to_string()));
    }
    check("FrozenNetwork::logits", x, out, architecture().classes);
    (*whole_)(x, out);
  }

 private:
  Value trunk(const Value& x) const {
    const ForwardContext context{.frozen = true};
    return layer_.empty() ? network_->features(x, context) : network_->features_at(layer_, x, context);
  }

  void check(const char* call, ConstView x, View out, std::int64_t columns) const {
    const Shape& sample = architecture().input;
    bool fits = x.rank() == sample.rank() + 1 && out.rank() == 2;
    for (int axis = 0; fits && axis < sample.rank(); ++axis) fits = x.extent(axis + 1) == sample[axis];
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
  std::string layer_;  ///< of the features; empty for the penultimate ones
  DType dtype_;        ///< of the inputs
  std::optional<graph::RowFunction> trunk_, whole_;
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
