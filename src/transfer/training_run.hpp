// One training, alone or as a replica: what it draws, keeps and tells.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "rtl/data/sampler.hpp"
#include "rtl/optim/schedule.hpp"
#include "transfer/learning.hpp"
#include "transfer/mixup.hpp"
#include "transfer/optimizer_set.hpp"
#include "transfer/outputs_plan.hpp"
#include "transfer/place.hpp"
#include "transfer/protocol.hpp"
#include "transfer/step.hpp"

namespace rtl::transfer::detail {

/// A data set where the device can read it, and its inputs as one normalisation has them.
struct ResidentTrainingData {
  ResidentTrainingData(const data::Dataset* from, std::uint64_t normalized, const Device& device)
      : given(from), normalization(normalized), dataset(*from, device) {}
  const data::Dataset* given;
  std::uint64_t normalization;  ///< its hash
  ResidentDataset dataset;
  std::shared_ptr<const InputGather> inputs;  ///< null if the models want none
};

/// The steps are made by its owner.
class TrainingRun {
 public:
  /// `placed` is the data on `device`, and `source` that of TrainingData::source, or null.
  TrainingRun(const Replica& replica, const ResidentTrainingData& placed, const ResidentTrainingData* source,
              const Device& device);
  TrainingRun(const TrainingRun&) = delete;
  TrainingRun& operator=(const TrainingRun&) = delete;

  StepReplica step() const {
    return {&model_,
            &data_,
            inputs_.get(),
            source_inputs_.get(),
            &optimizers_,
            numbers_,
            options_.clip_norm,
            options_.label_smoothing,
            options_.loss,
            options_.mixup > 0,
            options_.augment,
            weights_.defined() ? weights_.view() : ConstView()};
  }
  DType activations() const { return activation_dtype(options_.precision, dtype_); }

  /// Of all samples: labels with the present flips, or standardised targets.
  const std::vector<std::int32_t>& labels() const { return labels_; }
  const std::vector<float>& targets() const { return targets_; }
  const data::BatchSampler& sampler() const { return sampler_; }
  bool has_source() const { return data_.source != nullptr; }
  const std::vector<std::int32_t>& source_labels() const { return source_labels_; }
  /// Rows of the source that stand beside the present epoch's.
  std::vector<std::int64_t> source_order() const;

  /// Whether a step waits for rows of a file that were not asked for before.
  bool reads_file() const;
  /// Has the system read what a batch of the present epoch is made of; `beside` are rows of the source of all batches.
  void read_ahead(std::int64_t batch, std::span<const std::int64_t> beside) const;

  /// Of the present epoch; of none without mixup.
  const Mixture& mixture() const { return mixture_; }

  /// Finds the state that it goes on from.
  void prepare();
  bool running() const { return running_; }
  /// Draws order and labels. One that has ended goes on with its last ones, which change nothing any more.
  EpochStart start_epoch();
  /// Takes the losses of an epoch's steps; `fetch` puts what they made into model and optimizers.
  void end_epoch(std::span<const double> losses, const std::function<void()>& fetch);
  const ReplicaTraining& outcome() const { return outcome_; }

 private:
  using Clock = std::chrono::steady_clock;

  std::int64_t epoch() const { return static_cast<std::int64_t>(outcome_.record.losses.size()); }
  double seconds() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }
  void guarded(const std::function<void()>& work);
  void finish();
  void warn(std::string note);
  void add_warnings();
  bool doubtful(double baseline) const;
  LearningCheck evaluate(double baseline);
  void remove_checkpoint() const;
  Tensor gather(const kernels::StoredFeatures& features, ConstView rows) const;
  double mean_of(std::span<const double> losses) const;
  [[noreturn]] void throw_diverged(const std::string& what, std::int64_t in_epoch, std::int64_t step) const;
  [[noreturn]] void throw_diverged_loss(std::span<const double> losses, double loss) const;
  void check_weights();
  std::vector<double> outputs_of(OutputsPlan& plan, ConstView rows) const;

  Trainable& model_;
  TrainingData data_, source_data_;
  const TrainingOptions& options_;
  Device device_;
  DType dtype_;
  OptimizerSet optimizers_;
  optim::Schedule schedule_;
  data::BatchSampler sampler_;
  std::shared_ptr<const InputGather> inputs_, source_inputs_;
  std::size_t numbers_;  ///< of an epoch
  std::vector<std::int32_t> source_labels_;
  std::vector<std::int32_t> clean_labels_;
  std::vector<std::int32_t> labels_;
  std::vector<float> targets_;
  Tensor weights_;  ///< f32 [n, 1], of mean 1; not defined where all count alike
  Mixture mixture_;
  bool flipped_ = false;
  bool running_ = true;
  Clock::time_point begin_ = Clock::now();
  Facts protocol_;
  LargestWeight start_;
  ReplicaTraining outcome_;
};

}  // namespace rtl::transfer::detail
