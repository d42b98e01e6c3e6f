// Training by mini-batches: one loop for pretraining and for every transfer strategy.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "rtl/core/error.hpp"
#include "rtl/core/precision.hpp"
#include "rtl/data/dataset.hpp"
#include "rtl/kernels/gather.hpp"
#include "rtl/kernels/image_augmentation.hpp"
#include "rtl/layers/network.hpp"
#include "rtl/transfer/options.hpp"
#include "rtl/transfer/record.hpp"
#include "rtl/transfer/trainable.hpp"

namespace rtl::transfer {

/// step: the rate is multiplied by `schedule_factor` after every `schedule_epochs` epochs. cosine: from the full rate
/// to zero over all epochs, along half a cosine.
enum class ScheduleKind : std::uint8_t { constant, step, cosine };
std::string to_string(ScheduleKind kind);
ScheduleKind parse_schedule(const std::string& text);  ///< Throws ValueError, listing the names.

/// "crop=4,flip", by the members' names, those that do nothing left out; "none".
std::string to_string(const kernels::ImageAugmentation& augmentation);
/// Of parts in any order, with commas between. Throws ValueError, saying what is possible.
kernels::ImageAugmentation parse_augmentation(const std::string& text);

/// What a progress callback is told, once an epoch.
struct Progress {
  std::int64_t epoch = 0;  ///< epochs done, from 1
  std::int64_t epochs = 0;
  double loss = 0;     ///< mean training loss of the epoch
  double seconds = 0;  ///< since this call of train began
};

/// The defaults are the recipe of REFINE (Xu, Nakada, Zhang and Li 2025): SGD with momentum, no weight decay, no
/// schedule, the last partial batch kept, the last epoch's weights kept.
struct TrainingOptions {
  std::int64_t epochs = 30;
  std::int64_t batch_size = 64;
  /// Draws initial weights (by tensor name), shuffles (by epoch), dropout masks and augmentation (by step) and label
  /// flips.
  std::uint64_t seed = 0;
  double learning_rate = 0.01;
  double momentum = 0.9;  ///< SGD only
  bool nesterov = false;  ///< SGD only
  OptimizerKind optimizer = OptimizerKind::sgd;
  double weight_decay = 0;
  /// L2-SP: (l2sp_strength / 2) * ||w - start||^2 is added to the loss, start being the weights at the call. Strategies
  /// that do not start at weights of a source ignore it (strategies.hpp).
  double l2sp_strength = 0;
  /// The gradients of all trained parameters are scaled down together where their Euclidean norm is above this
  /// (Pascanu, Mikolov and Bengio 2013); 0: never.
  double clip_norm = 0;
  /// Of classes cross_entropy, or bce: each class as a question of its own, the mean over the classes; of real targets,
  /// which are standardised, squared, or huber with its delta. Automatic: the first of either.
  Loss loss = {};
  /// e of label smoothing: cross-entropies, bce too, take a sample's class as 1 - e + e/C of a class, and each other as
  /// e/C (Szegedy et al. 2016).
  double label_smoothing = 0;
  /// alpha of mixup (Zhang et al. 2018): each sample of a batch is mixed with the one behind it in the batch, the last
  /// with the first, in shares s and 1 - s with s drawn from Beta(alpha, alpha) for each batch, by seed and epoch; so
  /// are its features, its weight and its target, which for classes gives s CE(y1) + (1 - s) CE(y2). A second data set
  /// is not mixed. 0: none. Not for tokens.
  double mixup = 0;
  /// What happens to images on their way into a batch, drawn by seed, step and place in the batch; to those of a second
  /// data set too, and apart to those that mixup adds. Models see it that take the inputs; frozen features, and all
  /// that was computed of the samples before, stay those of the samples as they are, and so do evaluations. Images
  /// only.
  kernels::ImageAugmentation augment = {};
  /// Decay of an exponential moving average of the trained parameters, which starts at the weights at the call and
  /// stands in their place at the end (kernels::OptimizerState::average_decay); 0: none. Running statistics of batch
  /// norm are those of the training.
  double ema = 0;
  ScheduleKind schedule = ScheduleKind::constant;
  std::int64_t schedule_epochs = 10;
  double schedule_factor = 0.1;
  /// So many epochs, or parts of one, the learning rate grows in proportion to the step, up to what the schedule says.
  double warmup_epochs = 0;
  /// Of forward and backward passes; trained weights are f32 in both, and evaluated in f32.
  Precision precision = Precision::f32;
  double label_flips = 0;        ///< probability with which a training label becomes another one
  bool flip_each_epoch = false;  ///< draw the flips anew in every epoch
  /// Draws the label flips; absent: `seed`. Recipes of several trainings see the same flips in all of them.
  std::optional<std::uint64_t> flip_seed = {};
  /// Where to keep the state of an unfinished training; empty keeps none. It is written beside and renamed after every
  /// `checkpoint_interval` epochs, and removed at the end. A file of another training that lies there is kept, as
  /// below.
  std::string checkpoint = {};
  std::int64_t checkpoint_interval = 5;
  /// Go on from `checkpoint` if it is there and belongs to the same training; the result then equals that of an
  /// uninterrupted run bit for bit. A damaged file is not used (`notice` is told); for a file of another training
  /// (other options, data, initial weights, kind of device, threads or version) train throws ValueError, which says
  /// what differs, and the file is kept. Without this a file of the same training is replaced (`notice` is told).
  bool resume = false;
  std::function<void(const Progress&)> progress = {};
  /// Told in words what goes another way than asked, but does not change the result.
  std::function<void(const std::string&)> notice = {};
  /// Asked after every epoch; true ends the training early, with the checkpoint (if any) in place.
  std::function<bool()> stop = {};

  /// What a user may choose, each with its range and a line of help: flags, checks, hashes and files are made of it.
  void visit(OptionVisitor& option);
  /// Throws ValueError for a number outside its range, and for options that contradict each other.
  void validate() const;
  /// Hash of everything that decides the result (not the checkpoints, not the callbacks). Throws ValueError for a value
  /// that an enumeration does not have.
  std::uint64_t hash() const;
};

/// What a trainer trains on.
struct TrainingData {
  const data::Dataset* dataset = nullptr;
  data::InputNormalization normalization = data::Normalization::half;  ///< of the inputs
  /// For each source, of the samples of the data set: f32 [N, p_k], or another form in which they are stored, which
  /// each batch is converted and scaled from.
  std::vector<kernels::StoredFeatures> features;
  /// A second data set, a batch of which stands beside each batch of the first (TrainingBatch::source): its samples in
  /// an order drawn from the seed, over and over. It needs no labels unless an objective asks for them.
  const TrainingData* source = nullptr;
};

/// A training whose loss or weights are no finite numbers any more. The text names epoch, step, learning rate and what
/// to do; the model holds useless weights.
class TrainingDiverged : public Error {
 public:
  TrainingDiverged(const std::string& text, std::int64_t epoch, std::int64_t step, double learning_rate)
      : Error(text), epoch_(epoch), step_(step), learning_rate_(learning_rate) {}
  std::int64_t epoch() const noexcept { return epoch_; }  ///< from 1
  std::int64_t step() const noexcept { return step_; }    ///< of that epoch, from 1
  double learning_rate() const noexcept { return learning_rate_; }

 private:
  std::int64_t epoch_;
  std::int64_t step_;
  double learning_rate_;
};

/// Minimises the mean of TrainingOptions::loss. Epoch e visits the samples in the order of data::BatchSampler(size,
/// batch_size, seed); in networks with batch norm a last batch of one sample joins the one before it; step t draws its
/// dropout masks from (seed, t). A step is recorded and planned once, and allocates nothing. The same arguments give
/// the same bytes on the same device with the same number of threads. Nothing is copied to the host within an epoch but
/// the losses at its end. Throws ValueError for an empty data set, one class, fewer samples than classes or NaN in the
/// features, for a loss of the other kind of targets, label flips or label smoothing with real targets, for mixup of
/// tokens, and for augmentation of what are no images, or too small ones; TrainingDiverged for a loss or, at a
/// checkpoint or the end, a weight or an output that is not finite.
TrainingRecord train(Trainable& model, const TrainingData& data, const TrainingOptions& options);

/// One of several trainings at once.
struct Replica {
  Trainable* model = nullptr;
  TrainingData data;
  TrainingOptions options;
};

/// How it went.
struct ReplicaTraining {
  TrainingRecord record;
  std::optional<TrainingDiverged> divergence = {};  ///< the record is of what came before
};

/// Trains models of one architecture at once, as replicas of one plan (docs/graph.md): each ends with the bytes that
/// `train` alone would give it, writes and resumes the same checkpoints and calls its own callbacks, after each epoch
/// of all. Seeds, initial weights, rows, labels and their flips, learning rate, schedule, warm-up, alpha of mixup,
/// weight decay, L2-SP strength and start, and epochs may differ; a replica that diverges, stops or has had its epochs
/// keeps what it has, and the others go on. Tables that all replicas share (the same memory) are not copied. Throws
/// ValueError for replicas that differ in batch size, optimizer, momentum, clipping, loss, label smoothing,
/// augmentation, average, precision, number of samples, tensors of the models, kind of normalisation, or in whether
/// there is mixup or an L2-SP penalty; else what `train` throws, except for TrainingDiverged. The models must record
/// the same operations.
std::vector<ReplicaTraining> train_replicas(std::span<const Replica> replicas);

/// Pretraining: trains a whole network, head included. `normalization` comes from data::fit_normalization; it belongs
/// to the network from then on.
TrainingRecord train(layers::Network& network, const data::Dataset& dataset,
                     const data::InputNormalization& normalization, const TrainingOptions& options);

/// Logits f32 [N, classes] of a network in evaluation mode, on its own device.
Tensor predict(layers::Network& network, const data::Dataset& dataset, const data::InputNormalization& normalization,
               std::int64_t batch_size = 256);

}  // namespace rtl::transfer
