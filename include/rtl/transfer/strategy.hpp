// What a strategy is: a description, options, and a recipe. The library's own are one file each in
// src/transfer/strategies; a program adds its own by register_strategy, in the same form (docs/adding.md).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rtl/transfer/feature_cache.hpp"
#include "rtl/transfer/options.hpp"
#include "rtl/transfer/predictors.hpp"
#include "rtl/transfer/recipe.hpp"
#include "rtl/transfer/source.hpp"
#include "rtl/transfer/training.hpp"

namespace rtl::transfer {

/// Which head a probe or a fine-tuning starts from.
enum class HeadStart : std::uint8_t {
  fresh,       ///< newly drawn
  pretrained,  ///< the source's own; throws ValueError where the numbers of classes differ
  automatic    ///< the source's own where the numbers of classes agree, else newly drawn
};
std::string to_string(HeadStart start);               ///< "fresh", "pretrained", "auto"
HeadStart parse_head_start(const std::string& text);  ///< Throws ValueError, listing the names.

/// Whether the source's own head predicts as many classes, or real targets, as the training set has. Real targets are
/// those of a source that says so (FrozenSource::task).
bool has_head_for(const FrozenSource& source, const data::Dataset& train);
/// has_head_for, and where both name their classes these are the same in one order: what the head says of a sample is
/// then about the training set's own classes.
bool can_teach(const FrozenSource& source, const data::Dataset& train);
/// Whether a head starts as the source's own. Throws ValueError where that is asked for and cannot be.
bool keeps_head(const FrozenSource& source, const data::Dataset& train, HeadStart start);

/// Copies the source's own head over that of a head on its raw features alone.
void copy_head(const FrozenSource& source, FusedHead& model);

/// For the descriptions of options.
const Choices& feature_scaling_choices();
const Choices& head_start_choices();
inline constexpr const char* head_start_help =
    "head to start from: fresh, pretrained (the source's own) or auto (that where the numbers of classes agree)";

/// What all strategies share; `values` are those that a strategy describes itself.
struct StrategyOptions {
  /// Residual encoder h and scratch model, "NAME" or "NAME:VARIANT" of layers::Architecture. Empty: paper_cnn for
  /// images, mlp for vectors.
  std::string model = {};
  /// Of the inputs of h and scratch, fitted to the training samples. Sources, and what is fine-tuned, keep their own.
  data::Normalization normalization = data::Normalization::automatic;
  /// By name: {"feature_scaling", "balance"}. One that a strategy does not have is left to others.
  OptionValues values = {};
  /// Samples that the source was trained on, with labels: for strategies that look at them. It must outlive the call.
  const data::Dataset* source_data = nullptr;
  /// Where to train and keep the result; absent: where the training data lies.
  std::optional<Device> device = {};
  FeatureCache* cache = nullptr;  ///< absent: features are computed for this call alone

  std::uint64_t hash() const;  ///< of everything that decides the result, but the source's data
};

/// What a strategy needs and gives.
struct StrategyInfo {
  std::string name;
  std::string summary;    ///< one line
  std::string reference;  ///< where it is from
  std::int64_t least_sources = 1;
  std::int64_t most_sources = 1;
  bool uses_features = false;       ///< it looks at frozen features of its sources
  bool uses_source_data = false;    ///< StrategyOptions::source_data
  bool same_source_task = false;    ///< the labels or targets of that data are used: they are of the target's kind
  bool same_source_inputs = false;  ///< a network of the target's sees that data: its samples have the target's shape
  bool same_classes = false;        ///< the source's own head is used: its classes, or real targets, are the target's
  bool trains_source = false;       ///< all of a source is trained, so it is not taken at an inner layer
  bool trains = true;               ///< by gradients: there are epochs, losses and checkpoints
  bool regression = true;           ///< real targets are possible
  bool sample_weights = true;       ///< weights of the target's samples are possible (data::Dataset::weights)
  bool source_weights = false;      ///< weights of the source's samples are possible
  /// `all` runs it by default.
  bool in_all = true;
  std::vector<OptionInfo> options = {};
};

/// Sources as a table says it: "none", "one", "one or more".
std::string describe_sources(const StrategyInfo& info);

/// One fit of a strategy: what it is given, and what its recipe is written with. It outlives the recipe.
class FitContext {
 public:
  /// What fits of one strategy at once have in common, and what is computed once for all.
  struct Shared;
  struct Inputs {
    const data::Dataset& train;
    const std::vector<std::int64_t>* rows;  ///< row i of `train` is row (*rows)[i] of the sources' tables; null: row i
    const TrainingOptions& training;
  };
  FitContext(std::shared_ptr<Shared> shared, const Inputs& inputs);

  const std::vector<FrozenSource>& sources() const;
  const FrozenSource& source() const { return sources().front(); }
  const data::Dataset& train() const noexcept { return inputs_.train; }
  const Task& task() const noexcept { return task_; }
  const data::Dataset& source_data() const;  ///< there where the strategy says that it uses it
  const StrategyOptions& options() const;
  /// Seed, epochs, optimizer ..; without an L2-SP strength where the strategy does not start at weights of a source.
  const TrainingOptions& training() const noexcept { return training_; }
  std::uint64_t seed() const noexcept { return training_.seed; }
  const Device& device() const;

  /// A new network of StrategyOptions::model for the target, drawn from the seed.
  std::unique_ptr<layers::Network> new_network() const { return new_network(seed()); }
  std::unique_ptr<layers::Network> new_network(std::uint64_t seed) const;
  /// StrategyOptions::normalization, fitted to the training samples.
  data::InputNormalization fitted_normalization() const;
  /// The source as something to train, with its own normalisation, and its head or a new one. Throws ShapeError where
  /// the target's samples are not what it takes.
  std::unique_ptr<NetworkPredictor> copy_of(const FrozenSource& source, HeadStart start) const;

  /// Raw frozen features f32 [N, p] of the training rows, on the device.
  Tensor features(std::size_t source) const;
  /// Features as `blocks` gives them, scaled: f32 [N, p].
  Tensor scaled(const kernels::StoredFeatures& features) const;
  /// The same of any source, for predictions on the training rows.
  FeatureLookup lookup() const;
  /// Raw frozen features f32 [N, p] of all samples of the source's data, on the device.
  Tensor source_data_features(std::size_t source) const;
  /// The sources' blocks with a scaling fitted to the training rows, and their features, as TrainingData takes them: in
  /// the form in which they are stored, scaled as batches are made of them. Valid while the fit lasts.
  struct Blocks {
    std::vector<FrozenBlock> blocks;
    std::vector<kernels::StoredFeatures> features;
  };
  Blocks blocks(FeatureScaling scaling, double scale);
  /// What fits on the same rows have in common, under a name of the recipe's own: made by the first that asks for it,
  /// and of fits on rows of their own by each.
  template <typename Value>
  std::shared_ptr<const Value> shared(const std::string& name, const std::function<Value()>& make) const {
    return std::static_pointer_cast<const Value>(
        shared_value(name, [&] { return std::make_shared<const Value>(make()); }));
  }
  /// Takes over a tensor for as long as the fit lasts.
  ConstView retain(Tensor tensor);

  /// What `co_await` of a training gives; throws TrainingDiverged, into the recipe, where it diverged.
  class TrainingRequest;
  /// Trains on the training samples, their inputs normalised so where the model wants them. What is trained must live
  /// until the request is answered.
  TrainingRequest train(Trainable& model, const data::InputNormalization& normalization,
                        std::vector<kernels::StoredFeatures> features = {});
  TrainingRequest train(Trainable& model, const TrainingData& data, const TrainingOptions& options);
  /// Several trainings at once, where they record the same operations: folds, members.
  TrainingRequest train_all(std::vector<Replica> replicas);
  /// The same for a recipe that can do without some of them, and judges them itself: of each, how it diverged, if it
  /// did. Their warnings are left out of the record.
  class EachRequest;
  EachRequest train_each(std::vector<Replica> replicas);

  /// Trainings so far, of all stages.
  const TrainingRecord& record() const noexcept { return record_; }
  /// For the record: a sentence for the user, once.
  void warn(const std::string& sentence);
  /// For the record.
  void report(std::vector<ReadOut> read_outs) { record_.read_outs = std::move(read_outs); }

 private:
  friend class FitGroup;
  const FeatureTable& table(std::size_t source) const;
  /// On all rows of the group's data set, and not on some of them.
  bool on_shared_rows() const;
  std::shared_ptr<const void> shared_value(const std::string& name,
                                           const std::function<std::shared_ptr<const void>()>& make) const;
  void number_checkpoints(std::vector<Replica>& replicas);
  std::shared_ptr<Shared> shared_;
  Inputs inputs_;
  TrainingOptions training_;
  Task task_;
  TrainingRecord record_;
  std::vector<Tensor> kept_;
  ConstView places_;  ///< Inputs::rows on the device, once they are needed
  std::int64_t stages_ = 0;
  std::vector<Replica> requested_;   ///< what it waits for ..
  std::coroutine_handle<> waiting_;  ///< .. to go on with this
  std::vector<ReplicaTraining> answered_;
};

class FitContext::TrainingRequest {
 public:
  TrainingRequest(FitContext& context, std::vector<Replica> replicas)
      : context_(context), replicas_(std::move(replicas)) {}
  /// After TrainingOptions::stop ended a stage, or where it says so between two, there is no next one.
  bool await_ready();
  void await_suspend(std::coroutine_handle<> handle);
  /// Of the first.
  TrainingRecord await_resume();

 protected:
  /// Adds them to the record. None, if they were not made.
  std::vector<ReplicaTraining> take_answers(bool with_warnings);
  std::size_t count() const { return replicas_.size(); }

 private:
  FitContext& context_;
  std::vector<Replica> replicas_;
};

class FitContext::EachRequest : public FitContext::TrainingRequest {
 public:
  using TrainingRequest::TrainingRequest;
  std::vector<std::optional<TrainingDiverged>> await_resume();
};

class Strategy {
 public:
  Strategy() = default;
  Strategy(const Strategy&) = delete;
  Strategy& operator=(const Strategy&) = delete;
  virtual ~Strategy() = default;
  virtual const StrategyInfo& info() const = 0;
  /// Throws ValueError for values that its options cannot have.
  virtual Recipe fit(FitContext& context, const OptionValues& values) const = 0;
  /// Whether training starts at weights of a source, so that L2-SP has something to draw to.
  virtual bool starts_at_source(const std::vector<FrozenSource>& sources, const data::Dataset& train,
                                const OptionValues& values) const = 0;
  /// Whether it looks at StrategyOptions::source_data, with these options.
  virtual bool needs_source_data(const OptionValues& values) const = 0;
  /// All its options as text, those that `values` does not name at their defaults.
  virtual OptionValues resolved(const OptionValues& values) const = 0;
};

/// A strategy with an options struct (options.hpp) and a recipe that takes it.
template <typename Options>
class StrategyOf final : public Strategy {
 public:
  using Fit = Recipe (*)(FitContext& context, Options options);
  using StartsAtSource = bool (*)(const Options& options, const std::vector<FrozenSource>& sources,
                                  const data::Dataset& train);
  using NeedsSourceData = bool (*)(const Options& options);
  /// Absent: it does not start at a source's weights, and needs the source's data as StrategyInfo says.
  StrategyOf(StrategyInfo info, Fit fit, StartsAtSource starts_at_source = nullptr,
             NeedsSourceData needs_source_data = nullptr)
      : info_(std::move(info)), fit_(fit), starts_at_source_(starts_at_source), needs_source_data_(needs_source_data) {
    info_.options = describe_options<Options>();
  }
  const StrategyInfo& info() const override { return info_; }
  Recipe fit(FitContext& context, const OptionValues& values) const override {
    return fit_(context, read_options<Options>(values));
  }
  bool starts_at_source(const std::vector<FrozenSource>& sources, const data::Dataset& train,
                        const OptionValues& values) const override {
    return starts_at_source_ != nullptr && starts_at_source_(read_options<Options>(values), sources, train);
  }
  bool needs_source_data(const OptionValues& values) const override {
    return needs_source_data_ != nullptr ? needs_source_data_(read_options<Options>(values)) : info_.uses_source_data;
  }
  OptionValues resolved(const OptionValues& values) const override {
    return option_values(read_options<Options>(values));
  }

 private:
  StrategyInfo info_;
  Fit fit_;
  StartsAtSource starts_at_source_;
  NeedsSourceData needs_source_data_;
};

/// Makes a program's own strategy known to `fit`, `compare` and the lists; it must outlive them. Throws ValueError for
/// a name that another has.
void register_strategy(const Strategy& strategy);
/// All strategies: scratch first, then by name, those of the program last.
std::vector<const Strategy*> strategies();
/// Throws ValueError for an unknown name, listing those that exist.
const Strategy& find_strategy(const std::string& name);

/// A strategy with options, as command lines and comparisons name it: NAME, NAME:CHOICE or NAME:OPTION=VALUE.., with
/// colons between; CHOICE is a value of the first option that has it ("refine:balance").
struct StrategyChoice {
  std::string label;  ///< as given
  const Strategy* strategy = nullptr;
  OptionValues values = {};  ///< those of `defaults` that the strategy has, and its own
};
/// Throws ValueError for unknown strategies, options and values.
StrategyChoice parse_strategy(const std::string& label, const OptionValues& defaults = {});

/// Names of the strategies that `all` stands for: those that check_fits lets pass, scratch first.
std::vector<std::string> strategies_for(const std::vector<FrozenSource>& sources, const data::Dataset& train,
                                        const StrategyOptions& options);

/// Throws ValueError where the strategy cannot do what it is asked to: too few sources, or too many, no source data,
/// other classes, real targets.
void check_fits(const Strategy& strategy, const std::vector<FrozenSource>& sources, const data::Dataset& train,
                const StrategyOptions& options);

}  // namespace rtl::transfer
