// What every strategy fits: a network, or a linear head on the features of a residual encoder and frozen sources.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "rtl/layers/network.hpp"
#include "rtl/transfer/strategies.hpp"

namespace rtl::transfer {

using Tables = std::vector<std::shared_ptr<const FeatureTable>>;
using Rows = std::vector<std::int64_t>;

/// A source and what is done to its features before the head sees them: (f - shift) * factor, where given.
struct FrozenBlock {
  FrozenSource source;
  Tensor shift;   ///< f32 [p]; not defined for raw features
  Tensor factor;  ///< f32 [p]
};

class Fitted::Model final : public Trainable {
 public:
  std::string strategy;
  std::int64_t classes = 0;
  Shape sample;  ///< shape of one input
  /// scratch and fine-tune: the whole model; refine: the residual encoder, whose own head is not used; probe: none.
  std::unique_ptr<layers::Network> network;
  data::InputNormalization normalization;  ///< of the network's inputs
  /// The fused head, [classes, sum of the blocks' features] and [classes]; not defined where the network's is used.
  layers::Parameter weight;
  layers::Parameter bias;
  std::vector<FrozenBlock> blocks;
  double feature_dropout = 0;  ///< on the frozen features, while training
  TrainingRecord record;

  explicit Model(Device where) : device(std::move(where)) {}
  Device device;

  void set_head(Tensor head_weight, Tensor head_bias);
  bool fused() const { return weight.defined(); }
  bool wants_inputs() const override { return network != nullptr; }
  layers::ModuleState state() override;
  graph::Value logits(const Batch& batch, const layers::ForwardContext& context) override;

  /// Sets shift and factor of a block from the training features.
  void fit_scaling(FrozenBlock& block, const Tensor& features, FeatureScaling scaling, double scale) const;
  /// A source's features for the rows (all if null), scaled, f32 on the model's device.
  Tensor block_features(std::size_t block, const FeatureTable& table, const Rows* rows) const;
  /// Features of every block's source on a data set.
  Tables tables(const data::Dataset& dataset, FeatureCache* cache) const;

  /// Evaluation; `tables` and `rows` as in block_features.
  Tensor predict(const data::Dataset& dataset, const Tables& tables, const Rows* rows);
  std::vector<BlockInfluence> influence(const data::Dataset& dataset, const Tables& tables, const Rows* rows);

 private:
  void check(const data::Dataset& dataset, const char* call) const;
  std::vector<graph::Value> encoded(const Batch& batch, const layers::ForwardContext& context);
};

namespace detail {

/// Features of all sources, from the cache if there is one.
Tables find_tables(const std::vector<FrozenSource>& sources, const data::Dataset& dataset, FeatureCache* cache);

/// Whether training starts at weights of the source, so that L2-SP has something to draw to: fine-tune, and probe with
/// the source's own head. Throws ValueError for a head that the options ask for and the source does not have.
bool starts_at_source(const std::string& strategy, const std::vector<FrozenSource>& sources, const data::Dataset& train,
                      const StrategyOptions& options);

/// What one of several fits of a strategy is made on: row i of `train` is row (*rows)[i] of each table (row i if null).
struct FitReplica {
  const data::Dataset& train;
  const Rows* rows;
  const TrainingOptions& training;
};
struct FitOutcome {
  Fitted fitted;
  std::optional<TrainingDiverged> divergence;  ///< the model is useless then
};

/// Models ready to be trained as replicas.
class Fits {
 public:
  /// The sources' features are given. Strategies without frozen features ignore them.
  Fits(const std::string& strategy, const std::vector<FrozenSource>& sources, const Tables& tables,
       std::span<const FitReplica> replicas, const StrategyOptions& options);
  const std::vector<Replica>& replicas() const { return replicas_; }
  std::vector<FitOutcome> train();

 private:
  std::vector<std::unique_ptr<Fitted::Model>> models_;
  std::vector<std::shared_ptr<const std::vector<Tensor>>> features_;
  std::vector<Replica> replicas_;
};

}  // namespace detail
}  // namespace rtl::transfer
