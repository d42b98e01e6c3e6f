// What strategies make: predictors, which may hold others, and can be saved and loaded. A program can add kinds of its
// own (register_predictor).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rtl/transfer/feature_cache.hpp"
#include "rtl/transfer/record.hpp"
#include "rtl/transfer/source.hpp"
#include "rtl/transfer/task.hpp"
#include "rtl/transfer/trainable.hpp"

namespace rtl::transfer {

class ArchiveReader;
class ArchiveWriter;

/// How much one feature block contributes to the outputs of a predictor. Outputs of a head are a sum of shares
/// s_k x_k W_k^T of its blocks k, beside the bias. Of several heads that are averaged (ReadOuts) a block's share is
/// sum_r w_r t_r s_rk, with the weights w_r and temperatures t_r of the read-outs r that look at it: of real targets
/// its exact part of the prediction, of classes its part of the mean logits, which the mean of probabilities is to
/// first order.
struct BlockInfluence {
  std::string name;  ///< "h", the source's name, or that of a member
  std::int64_t features = 0;
  /// Root mean square over samples of the norm of the block, as the head sees it; over heads, too, by their weights,
  /// and 0 where none that looks at it has any.
  double feature_norm = 0;
  /// Root mean square of its share of the outputs, from which each output's mean over the samples was taken and, of
  /// classes, then each sample's mean over the outputs, to which a softmax is blind.
  double logit_deviation = 0;
  double share = 0;  ///< its part of the sum of all blocks' squared logit_deviation
};

/// Frozen features of a source on the samples that are predicted.
using FeatureLookup = std::function<std::shared_ptr<const FeatureTable>(const FrozenSource&)>;

/// Belongs to one thread at a time.
class Predictor {
 public:
  Predictor() = default;
  Predictor(const Predictor&) = delete;
  Predictor& operator=(const Predictor&) = delete;
  virtual ~Predictor() = default;

  /// Which of the registered kinds reads it again.
  virtual std::string kind() const = 0;
  virtual std::int64_t outputs_count() const = 0;
  /// Whether outputs of classes are logarithms of probabilities that sum to one, whatever the loss was.
  virtual bool gives_log_probabilities() const { return false; }
  /// Outputs f32 [N, outputs] on the predictor's device, in evaluation mode: logits (or logarithms of probabilities),
  /// or standardised predictions.
  virtual Tensor predict(const data::Dataset& samples, const FeatureLookup& features) = 0;
  /// Of each block on the samples, `task` being what it was fitted to. Empty where outputs are no sum over blocks: a
  /// network alone, adapted or not, has inputs and no blocks.
  virtual std::vector<BlockInfluence> influence(const Task& /*task*/, const data::Dataset& /*samples*/,
                                                const FeatureLookup& /*features*/) {
    return {};
  }
  /// Everything that was trained, running statistics included; empty where nothing was.
  virtual layers::ModuleState state() { return {}; }
  /// The frozen sources that it looks at.
  virtual std::vector<FrozenSource> sources() const { return {}; }
  /// Of one sample; absent where it looks at features alone.
  virtual std::optional<Shape> sample() const { return {}; }
  /// Writes all that its kind's `read` needs.
  virtual void write(ArchiveWriter& archive) = 0;
};

/// A kind of predictor, as archives know it.
struct PredictorKind {
  std::string name;
  std::unique_ptr<Predictor> (*read)(const ArchiveReader& archive) = nullptr;
};
/// Makes a kind known to Fitted::load. Throws ValueError for a name that is taken by another.
void register_predictor(const PredictorKind& kind);

/// A predictor fitted to a target by a strategy. Moves only.
class Fitted {
 public:
  Fitted(std::string strategy, Task task, std::unique_ptr<Predictor> predictor, TrainingRecord record = {});
  Fitted(Fitted&&) noexcept;
  Fitted& operator=(Fitted&&) noexcept;
  ~Fitted();

  const std::string& strategy() const { return strategy_; }
  const Task& task() const { return task_; }
  std::int64_t classes() const { return task_.regression ? 0 : task_.outputs; }
  /// Elements of the parameters that were trained; of a model from a file, of those that it holds.
  std::int64_t trainable_parameters() const {
    return record_.parameters > 0 ? record_.parameters : predictor_->state().parameter_count();
  }
  const TrainingRecord& training() const { return record_; }
  /// How the inputs of its training rows were made, as far as it is known; save() keeps it. Data that is loaded with it
  /// (data::load) is made alike.
  const data::FittedInputs& inputs() const { return inputs_; }
  void set_inputs(data::FittedInputs fitted) { inputs_ = std::move(fitted); }
  /// The frozen sources that it looks at; none for scratch and fine-tune.
  std::vector<FrozenSource> sources() const { return predictor_->sources(); }
  Predictor& predictor() const { return *predictor_; }

  /// Outputs f32 [N, outputs] in evaluation mode: logits, or predictions in the target's units. Labels are not needed.
  /// Features come from `cache` if given. Throws ShapeError for samples of another shape than it was fitted to.
  Tensor outputs(const data::Dataset& dataset, FeatureCache* cache = nullptr) const;
  Tensor outputs(const data::Dataset& dataset, const FeatureLookup& features) const;
  /// The same for bare inputs: u8 images [N, H, W, C], f32 vectors [N, p] or i32 tokens [N, T].
  Tensor outputs(ConstView inputs) const;
  /// Contribution of h and of every source on `dataset`; one entry where there is one block alone (a probe, a network
  /// on features), none for networks on the inputs (scratch, fine-tune, adapter).
  std::vector<BlockInfluence> block_influence(const data::Dataset& dataset, FeatureCache* cache = nullptr) const;
  /// Name, shape and values of everything that was trained (running statistics included).
  layers::ModuleState state() const { return predictor_->state(); }

  /// Writes a safetensors file that holds everything, the frozen sources' weights included, with a hash of the
  /// contents. A network alone (scratch and fine-tune) gives an ordinary checkpoint of it. Throws IoError.
  void save(const std::string& path) const;
  /// Reads what save() wrote; outputs are then bit for bit those of the saved model. Throws IoError, FormatError.
  static Fitted load(const std::string& path, const Device& device);

 private:
  std::string strategy_;
  Task task_;
  std::unique_ptr<Predictor> predictor_;
  TrainingRecord record_;
  data::FittedInputs inputs_;
};

}  // namespace rtl::transfer
