// The library's predictors: a network, a linear head over a residual encoder and frozen features, and a weighted stack
// of others.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "rtl/graph/operations.hpp"
#include "rtl/kernels/gather.hpp"
#include "rtl/transfer/feature_cache.hpp"
#include "rtl/transfer/predictor.hpp"

namespace rtl::transfer {

/// What is done to a source's features before a head sees them.
enum class FeatureScaling : std::uint8_t {
  raw,          ///< nothing: REFINE as published
  standardize,  ///< (f - mean) / deviation per feature, over the target's training samples; a constant feature gives 0
  balance       ///< standardize, then times feature_scale / sqrt(p): the block's mean squared norm is feature_scale^2
};
std::string to_string(FeatureScaling scaling);
FeatureScaling parse_feature_scaling(const std::string& text);  ///< Throws ValueError, listing the names.

/// A network, all of it trained: scratch, fine-tune, a student.
class NetworkPredictor final : public Predictor, public Trainable {
 public:
  NetworkPredictor(std::unique_ptr<layers::Network> network, data::InputNormalization normalization);

  layers::Network& network() const { return *network_; }
  const data::InputNormalization& normalization() const { return normalization_; }

  std::string kind() const override { return "network"; }
  std::int64_t outputs_count() const override { return network_->architecture().classes; }
  Tensor predict(const data::Dataset& samples, const FeatureLookup& features) override;
  layers::ModuleState state() override { return network_->state(); }
  std::optional<Shape> sample() const override { return network_->architecture().input; }
  void write(ArchiveWriter& archive) override;

  graph::Value outputs(const Batch& batch, const layers::ForwardContext& context) override;
  bool wants_inputs() const override { return true; }

 private:
  std::unique_ptr<layers::Network> network_;
  data::InputNormalization normalization_;
};

/// A source and what is done to its features before the head sees them: (f - shift) * factor, where given, and then
/// what lies beyond +-bound is set to it.
struct FrozenBlock {
  FrozenSource source;
  Tensor shift = {};   ///< f32 [p]; not defined for raw features
  Tensor factor = {};  ///< f32 [p]
  double bound = std::numeric_limits<double>::infinity();

  /// Of a source with the raw features [N, p] of the training rows; `scale` is that of FeatureScaling::balance, and
  /// what lies more than `clip` deviations from the mean is clipped (raw features are not).
  static FrozenBlock fit(const FrozenSource& source, const Tensor& features, FeatureScaling scaling, double scale,
                         double clip = std::numeric_limits<double>::infinity());
  /// The same of the rows of a table (all, if null), some of them at a time.
  static FrozenBlock fit(const FrozenSource& source, const FeatureTable& features,
                         const std::vector<std::int64_t>* rows, const Device& device, FeatureScaling scaling,
                         double scale, double clip = std::numeric_limits<double>::infinity());
  /// (f - mean) / s per feature, s^2 being the mean of the features' variances: what a feature is worth stays in its
  /// deviation.
  static FrozenBlock fit_centred(const FrozenSource& source, const Tensor& features);
  /// Of raw features f32 [m, p], which are taken over.
  Tensor scaled(Tensor features) const;
  /// Of the rows of a table, in the form in which it is stored. `transform` is FeatureTable::transform of shift and
  /// factor; both must live as long as the result.
  kernels::StoredFeatures stored(ConstView table, const Tensor& transform, ConstView places = {}) const;
  FrozenBlock clone() const;
};

/// outputs = W [h(x); f_1(x); ..; f_K(x)] + b: a linear head on the features of an encoder h, which is trained with it,
/// and of frozen sources; either may be absent. The head's dropout of h acts on h(x) while training.
class FusedHead final : public Predictor, public Trainable {
 public:
  /// The head's weights are drawn as PyTorch draws linear layers, from the seed and their names. `encoder` may be null;
  /// its own head is not used.
  FusedHead(std::unique_ptr<layers::Network> encoder, data::InputNormalization normalization,
            std::vector<FrozenBlock> blocks, std::int64_t outputs, const Device& device, std::uint64_t seed);
  /// With given weights f32 [outputs, columns] and bias f32 [outputs].
  FusedHead(std::unique_ptr<layers::Network> encoder, data::InputNormalization normalization,
            std::vector<FrozenBlock> blocks, Tensor weight, Tensor bias);

  layers::Network* encoder() const { return encoder_.get(); }
  const data::InputNormalization& normalization() const { return normalization_; }
  const std::vector<FrozenBlock>& blocks() const { return blocks_; }
  Tensor& weight() const { return weight_.value(); }
  Tensor& bias() const { return bias_.value(); }
  /// Share of the frozen features that is dropped while training; 0 by default.
  void set_feature_dropout(double probability) { feature_dropout_ = probability; }
  /// Probability with which a sample's frozen features are all absent while training, without rescaling of those that
  /// are there; 0 by default. The head without them is then trained too.
  void set_block_dropout(double probability) { block_dropout_ = probability; }

  std::string kind() const override { return "fused_head"; }
  std::int64_t outputs_count() const override { return bias_.value().count(); }
  Tensor predict(const data::Dataset& samples, const FeatureLookup& features) override;
  /// What the head sees of the samples: h, f32 [N, features], if there is an encoder, then `scaled`, each block's
  /// features (scaled_features).
  std::vector<Tensor> head_inputs(const data::Dataset& samples, std::vector<Tensor> scaled);
  /// What each of these contributes to the outputs, f32 [N, outputs] each: W_h h, W_k f_k; b is in the first.
  std::vector<Tensor> shares(const std::vector<Tensor>& head_inputs) const;
  /// Of the samples that the lookup is about.
  std::vector<Tensor> scaled_features(const FeatureLookup& features) const;
  std::vector<BlockInfluence> influence(const Task& task, const data::Dataset& samples,
                                        const FeatureLookup& features) override;
  layers::ModuleState state() override;
  std::vector<FrozenSource> sources() const override;
  std::optional<Shape> sample() const override;
  void write(ArchiveWriter& archive) override;

  graph::Value outputs(const Batch& batch, const layers::ForwardContext& context) override;
  bool wants_inputs() const override { return encoder_ != nullptr; }
  std::string description() const override;

 private:
  const Device& device() const { return bias_.value().device(); }
  std::vector<graph::FusionInput> parts(const Batch& batch, const layers::ForwardContext& context);
  Tensor encode_all(const data::Dataset& samples);

  std::unique_ptr<layers::Network> encoder_;
  data::InputNormalization normalization_;  ///< of the encoder's inputs
  std::vector<FrozenBlock> blocks_;
  layers::Parameter weight_;  ///< [outputs, sum of the blocks' features]
  layers::Parameter bias_;
  double feature_dropout_ = 0;
  double block_dropout_ = 0;
};

/// Networks with a head on an encoder and frozen features, each read out with the features and without, and linear
/// probes of the features: a weighted mean, of the networks over all of them (weights of classes are those of
/// probabilities, as in Stack). h and the features are computed once a network.
class ReadOuts final : public Predictor {
 public:
  /// Networks have an encoder and frozen blocks, probes have no encoder. `read_outs`: with features, network alone,
  /// then each probe. Throws ValueError for no networks, different outputs, another number of read-outs than there are,
  /// weights below zero or with another sum than one (of classes), or temperatures that are not positive.
  ReadOuts(bool regression, std::vector<std::unique_ptr<FusedHead>> networks,
           std::vector<std::unique_ptr<FusedHead>> probes, std::vector<ReadOut> read_outs);

  const std::vector<std::unique_ptr<FusedHead>>& networks() const { return networks_; }
  const std::vector<std::unique_ptr<FusedHead>>& probes() const { return probes_; }
  const std::vector<ReadOut>& read_outs() const { return read_outs_; }

  std::string kind() const override { return "read_outs"; }
  std::int64_t outputs_count() const override { return networks_.front()->outputs_count(); }
  bool gives_log_probabilities() const override { return !regression_; }
  Tensor predict(const data::Dataset& samples, const FeatureLookup& features) override;
  /// h, then each source: of the mean of all read-outs (BlockInfluence). That of h is over the networks' own encoders.
  std::vector<BlockInfluence> influence(const Task& task, const data::Dataset& samples,
                                        const FeatureLookup& features) override;
  layers::ModuleState state() override;
  std::vector<FrozenSource> sources() const override { return networks_.front()->sources(); }
  std::optional<Shape> sample() const override { return networks_.front()->sample(); }
  void write(ArchiveWriter& archive) override;

 private:
  bool regression_;
  std::vector<std::unique_ptr<FusedHead>> networks_, probes_;
  std::vector<ReadOut> read_outs_;
};

/// One predictor in a stack.
struct StackMember {
  std::unique_ptr<Predictor> predictor;
  double weight = 0;       ///< not negative
  double temperature = 1;  ///< what its outputs are multiplied by, positive
};

/// A weighted mean of predictors of one task. Classes: the mean sum_k w_k softmax(t_k z_k) of probabilities, given as
/// its logarithm; real targets: sum_k w_k t_k z_k. Weights are used as they are: those of probabilities sum to one.
class Stack final : public Predictor {
 public:
  /// Throws ValueError for no members, members of different tasks, weights below zero or, of classes, with another sum
  /// than one.
  Stack(bool regression, std::vector<StackMember> members);

  const std::vector<StackMember>& members() const { return members_; }

  std::string kind() const override { return "stack"; }
  std::int64_t outputs_count() const override { return members_.front().predictor->outputs_count(); }
  bool gives_log_probabilities() const override { return !regression_; }
  Tensor predict(const data::Dataset& samples, const FeatureLookup& features) override;
  /// An entry a member: its share is its weight.
  std::vector<BlockInfluence> influence(const Task& task, const data::Dataset& samples,
                                        const FeatureLookup& features) override;
  layers::ModuleState state() override;
  std::vector<FrozenSource> sources() const override;
  std::optional<Shape> sample() const override;
  void write(ArchiveWriter& archive) override;

 private:
  bool regression_;
  std::vector<StackMember> members_;
};

}  // namespace rtl::transfer
