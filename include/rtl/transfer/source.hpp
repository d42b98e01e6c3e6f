// A pretrained model as a source of features: frozen for good.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rtl/core/precision.hpp"
#include "rtl/data/dataset.hpp"
#include "rtl/layers/network.hpp"
#include "rtl/transfer/task.hpp"

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
  /// features are taken; empty, they are the penultimate ones. `task` is what its own head predicts; absent, classes of
  /// which nothing more is known. Throws ValueError for no network, a weight that is not finite, a normalisation that
  /// does not go with the inputs, a task of another number of outputs than the head has, or a layer that there is not,
  /// with those there are.
  explicit FrozenSource(std::unique_ptr<layers::Network> network,
                        std::optional<data::InputNormalization> normalization = {}, std::string name = {},
                        Precision precision = Precision::f32, std::string layer = {}, std::optional<Task> task = {});

  /// What gives features f32 [N, feature_count] of every sample of a data set, on any device.
  using FeatureFunction = std::function<Tensor(const data::Dataset& dataset)>;
  /// A source that is features alone, of any making. `identity` tells it from others where features are kept: equal
  /// numbers promise equal features of equal data, and 0 is unlike every other source, so that nothing is reused.
  /// Throws ValueError for no name or a number of features that is not positive.
  static FrozenSource of_features(std::string name, std::int64_t feature_count, FeatureFunction features,
                                  std::uint64_t identity = 0);
  /// Of precomputed features f32 [N, p], a matrix for each data set (by its input_hash); asked for another data set
  /// throws ValueError. The matrices are copied to the host. Throws ShapeError where rows or widths do not fit.
  struct Precomputed {
    const data::Dataset* dataset;
    ConstView features;
  };
  static FrozenSource of_matrices(std::string name, const std::vector<Precomputed>& matrices);

  /// Says of features alone that `network` made them, of inputs that are not the samples' and are made like `inputs`.
  /// Archives keep both, so that features of new samples can be made. Throws ValueError for what is no network, or has
  /// another number of features.
  void set_maker(const FrozenSource& network, data::FittedInputs inputs);
  /// Null where it is not known.
  const FrozenSource* maker() const;
  const data::FittedInputs& maker_inputs() const;

  /// False for features alone: then there is nothing to train or to copy, and no head.
  bool has_network() const;
  const std::string& name() const;
  /// Of features alone, "features" for any input.
  const layers::Architecture& architecture() const;
  const data::InputNormalization& normalization() const;
  Precision precision() const;
  const Device& device() const;
  const std::string& layer() const;  ///< whose outputs are the features; empty for the penultimate ones
  std::int64_t feature_count() const;
  /// Of the head on its features, classes or real targets: its own; 0 if it has none, or a layer.
  std::int64_t classes() const;
  /// What the head was trained to predict, if it is known.
  const std::optional<Task>& task() const;
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
  /// Outputs of the source's own head, f32 [N, classes]: logits, or standardised predictions (Task). Throws ValueError
  /// if it has none.
  Tensor logits(const data::Dataset& dataset, std::int64_t batch_size = 256) const;

  /// A trainable copy on `device`, with the source's own head, whatever the layer. Throws ValueError for features
  /// alone.
  std::unique_ptr<layers::Network> copy_network(const Device& device) const;

  /// Handles of the same source.
  friend bool operator==(const FrozenSource& a, const FrozenSource& b) noexcept { return a.state_ == b.state_; }

 private:
  FrozenSource() = default;
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace rtl::transfer
