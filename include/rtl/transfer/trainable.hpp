// What a trainer trains: a model that records its outputs, what training minimises, and which parameters each part of
// that moves.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rtl/graph/graph.hpp"
#include "rtl/layers/network.hpp"
#include "rtl/optim/optimizer.hpp"
#include "rtl/transfer/loss.hpp"

namespace rtl::transfer {

enum class OptimizerKind : std::uint8_t { sgd, adam, adamw, schedule_free_adamw };
std::string to_string(OptimizerKind kind);
OptimizerKind parse_optimizer(const std::string& text);  ///< Throws ValueError, listing the names.

/// The class labels, or the standardised real targets, of a batch's samples, as values of a graph.
class BatchTargets {
 public:
  BatchTargets() = default;
  /// `table` holds those of all samples: labels i32 [n], or targets [n, outputs]; the batch is `rows` positions of
  /// `order` (i64) from the counters' beginning of the batch on (rtl/kernels/step_state.hpp). `weights` f32 [m, 1] of
  /// the batch's samples, whose mean over all samples is 1; not defined where all count alike. `smoothing` of labels,
  /// as TrainingOptions::label_smoothing. `loss` is one for these targets.
  BatchTargets(const graph::Value& table, const graph::Value& order, const graph::Value& counters, std::int64_t rows,
               std::int64_t outputs, const graph::Value& weights = {}, double smoothing = 0, const Loss& loss = {});

  /// Mixup: each sample is `shares`, f32 [m, 1], of itself, and the rest of it of the one at its place in `order`,
  /// which is like the constructor's.
  void mix(const graph::Value& order, const graph::Value& shares);

  /// False for a data set without labels.
  bool defined() const noexcept { return table_.defined(); }
  bool real() const;                                          ///< real targets, no classes
  std::int64_t rows() const noexcept { return rows_; }        ///< m
  std::int64_t outputs() const noexcept { return outputs_; }  ///< classes, or numbers of a real target

  /// The training's loss of outputs [m, outputs], the mean over the samples of loss_of_each, each sample's times its
  /// weight; a scalar [1], f32 where outputs are bf16.
  graph::Value loss(const graph::Value& outputs) const;
  /// The same loss of other samples, without weights: objectives::loss_of_each.
  graph::Value loss_of_each(const graph::Value& outputs, const graph::Value& wanted) const;
  /// How much each sample is of each class, f32 [m, outputs]: 1 of its own, but for label smoothing and mixup. Throws
  /// ValueError for real targets.
  graph::Value class_shares() const;
  /// Standardised targets f32 [m, outputs]. Throws ValueError for classes.
  graph::Value values() const;

 private:
  graph::Value one_hot(const graph::Value& order) const;
  graph::Value mixed(const graph::Value& own, const graph::Value& other) const;

  graph::Value table_, order_, counters_, weights_;
  graph::Value mixed_order_, shares_;  ///< of mixup; not defined without
  std::int64_t rows_ = 0;
  std::int64_t outputs_ = 0;
  double smoothing_ = 0;
  Loss loss_;
};

/// Samples as a model sees them.
struct Batch {
  graph::Value inputs;                 ///< normalised [m, ...sample]; not defined if the model wants none
  std::vector<graph::Value> features;  ///< [m, p_k] of each table: frozen features, or what else a strategy stored
};

/// The same with what is known of them.
struct LabelledBatch : Batch {
  BatchTargets targets;
};

/// All that an objective may look at.
struct TrainingBatch : LabelledBatch {
  /// A batch of TrainingData::source, of as many samples.
  std::optional<LabelledBatch> source;
  /// Trainable::epoch_numbers of this epoch, f32 [k]; not defined where there are none.
  graph::Value numbers;
};

/// Parameters that are trained together.
struct ParameterGroup {
  std::vector<optim::NamedStorage> parameters;
  std::size_t objective = 0;                    ///< which of Trainable::objectives they minimise
  double rate_factor = 1;                       ///< of the learning rate, which follows the training's schedule
  std::optional<double> learning_rate = {};     ///< at the start; absent: the training's
  std::optional<OptimizerKind> optimizer = {};  ///< absent, here and below: the training's
  std::optional<double> momentum = {};
  std::optional<double> weight_decay = {};
  std::optional<double> l2sp_strength = {};
};

/// Something that a trainer can train.
class Trainable {
 public:
  Trainable() = default;
  Trainable(const Trainable&) = delete;
  Trainable& operator=(const Trainable&) = delete;
  virtual ~Trainable() = default;

  /// Records the outputs [m, outputs]: logits, or standardised predictions of real targets.
  virtual graph::Value outputs(const Batch& batch, const layers::ForwardContext& context) = 0;
  /// Everything that training changes: parameters, and buffers such as running statistics.
  virtual layers::ModuleState state() = 0;
  virtual bool wants_inputs() const = 0;

  /// Records what training minimises, each a scalar [1]. The first is the loss that is told and watched; more than one
  /// only where groups minimise different ones. All are recorded before any parameter changes.
  virtual std::vector<graph::Value> objectives(const TrainingBatch& batch, const layers::ForwardContext& context);
  /// Which parameters are trained, and how; a parameter stands in one group at most. By default all that are trainable,
  /// in one group.
  virtual std::vector<ParameterGroup> groups();
  /// Numbers that objectives read and that change from epoch to epoch (TrainingBatch::numbers), of epoch 0, 1, ..
  /// `epochs` - 1. Always equally many.
  virtual std::vector<double> epoch_numbers(std::int64_t epoch, std::int64_t epochs);
  /// All numbers that objectives and groups depend on, in words: a checkpoint belongs to one description only.
  virtual std::string description() const { return {}; }
};

/// The trainable parameters of a model, as groups take them.
std::vector<optim::NamedStorage> trainable_parameters(const layers::ModuleState& state);

/// A whole network as something to train; it must outlive this.
class WholeNetwork final : public Trainable {
 public:
  explicit WholeNetwork(layers::Network& network) : network_(network) {}
  graph::Value outputs(const Batch& batch, const layers::ForwardContext& context) override {
    return network_.forward(batch.inputs, context);
  }
  layers::ModuleState state() override { return network_.state(); }
  bool wants_inputs() const override { return true; }

 private:
  layers::Network& network_;
};

}  // namespace rtl::transfer
