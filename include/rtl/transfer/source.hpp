// A pretrained model as a source of features: frozen for good.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "rtl/core/precision.hpp"
#include "rtl/data/dataset.hpp"
#include "rtl/layers/network.hpp"

namespace rtl::transfer {

/// The input normalisation that published checkpoints of an architecture expect: imagenet for resnet_cifar, none for
/// vectors, half for everything else.
data::Normalization default_normalization(const layers::Architecture& architecture);

/// Hash of every parameter and buffer of a network: names, shapes, dtypes and bytes.
std::uint64_t weights_hash(layers::Network& network);

/// A network that can only be evaluated: batch norm uses its running statistics and keeps them, dropout is off, no
/// gradient flows, nothing is ever written. A cheap handle: copies share the network. Calls on copies of one source are
/// serialised, so it may be used from several host threads.
class FrozenSource {
 public:
  /// Takes the network over. `normalization` absent means default_normalization; a source that takes vectors has
  /// standardize, with its numbers, or none, whatever it says of images. `name` is for reports; empty means the
  /// architecture's. `precision` is that of its arithmetic. `layer`, a name of layers::Network::layer_names, is where
  /// features are taken; empty, they are the penultimate ones. Throws ValueError for no network, a weight that is not
  /// finite, a normalisation that does not go with the inputs, or a layer that there is not, with those there are.
  explicit FrozenSource(std::unique_ptr<layers::Network> network,
                        std::optional<data::InputNormalization> normalization = {}, std::string name = {},
                        Precision precision = Precision::f32, std::string layer = {});

  const std::string& name() const;
  const layers::Architecture& architecture() const;
  const data::InputNormalization& normalization() const;
  Precision precision() const;
  const Device& device() const;
  const std::string& layer() const;  ///< whose outputs are the features; empty for the penultimate ones
  std::int64_t feature_count() const;
  /// Of the head on its features: its own; 0 if it has none, or a layer.
  std::int64_t classes() const;
  std::int64_t parameter_count() const;
  /// weights_hash at construction, with the layer if there is one: what keys the feature cache and kept runs.
  std::uint64_t fingerprint() const;
  /// The same of what is in memory now; equals fingerprint() for ever.
  std::uint64_t current_hash() const;

  /// Features f32 [N, feature_count] of every sample, on the source's device: the penultimate ones or the layer's;
  /// inputs are normalised as the source expects. `batch_size` samples at a time; the result does not depend on it
  /// beyond float rounding. Throws ShapeError if the samples are not what the source takes, ValueError if a feature is
  /// NaN or infinite.
  Tensor features(const data::Dataset& dataset, std::int64_t batch_size = 256) const;
  /// Logits of the source's own head, f32 [N, classes]. Throws ValueError if it has none.
  Tensor logits(const data::Dataset& dataset, std::int64_t batch_size = 256) const;

  /// A trainable copy on `device`, with the source's own head, whatever the layer.
  std::unique_ptr<layers::Network> copy_network(const Device& device) const;

  /// Handles of the same source.
  friend bool operator==(const FrozenSource& a, const FrozenSource& b) noexcept { return a.state_ == b.state_; }

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace rtl::transfer
