#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <string_view>
#include <utility>

#include "rtl/io/hash.hpp"
#include "rtl/transfer/training.hpp"
#include "transfer/names.hpp"
#include "transfer/option_facts.hpp"

namespace rtl::transfer {
namespace {

constexpr std::array<std::string_view, 4> optimizer_names{"sgd", "adam", "adamw", "schedule-free-adamw"};
constexpr std::array<std::string_view, 3> schedule_names{"constant", "step", "cosine"};

Choices choices_of(std::span<const std::string_view> names) { return {names.begin(), names.end()}; }

/// The option that decides nothing: state files are the same whatever it is.
const char* const checkpoint_interval_name = "checkpoint_interval";

}  // namespace

std::string to_string(OptimizerKind kind) { return detail::name_at(optimizer_names, kind); }
std::string to_string(ScheduleKind kind) { return detail::name_at(schedule_names, kind); }
OptimizerKind parse_optimizer(const std::string& text) {
  return detail::parse_name<OptimizerKind>(optimizer_names, text, "optimizer");
}
ScheduleKind parse_schedule(const std::string& text) {
  return detail::parse_name<ScheduleKind>(schedule_names, text, "schedule");
}

void TrainingOptions::visit(OptionVisitor& option) {
  option("epochs", epochs, Range::at_least(0), "passes over the training samples");
  option("batch_size", batch_size, Range::at_least(1), "samples a step");
  option("learning_rate", learning_rate, Range::above(0), "of the optimizer");
  option("momentum", momentum, Range::from_below(0, 1), "of sgd");
  option("nesterov", nesterov, "Nesterov's momentum, for sgd");
  option("optimizer", optimizer, choices_of(optimizer_names), "what makes steps of gradients");
  option("weight_decay", weight_decay, Range::at_least(0), "of the optimizer");
  option("l2sp_strength", l2sp_strength, Range::at_least(0),
         "L2-SP: draws all weights to those that the training starts from; in a comparison only where these are a "
         "source's, in fine-tune and its like and in probe with the source's own head");
  option("clip_norm", clip_norm, Range::at_least(0),
         "largest norm of all gradients together, to which they are scaled down; 0: they are not");
  option(
      "loss", loss.kind,
      {to_string(LossKind::automatic), to_string(LossKind::cross_entropy), to_string(LossKind::bce),
       to_string(LossKind::squared), to_string(LossKind::huber)},
      "what is minimised: of classes cross-entropy, or bce, for each class against all others; of real targets squared "
      "or huber; auto: the first of either");
  option("huber_delta", loss.huber_delta, Range::above(0),
         "of huber: the error, in deviations of the targets, from which on the loss grows in proportion to it");
  option("label_smoothing", label_smoothing, Range::from_below(0, 1),
         "share of a sample that cross-entropies spread over all classes");
  option("mixup", mixup, Range::at_least(0),
         "alpha of mixup, which mixes samples of a batch by a share from Beta(alpha, alpha); 0: it does not");
  option(
      "augment", augment, &to_string, &parse_augmentation,
      "none, or what happens to images while a network trains, with commas between: crop=P (random, of the image with "
      "P black pixels around it), resized_crop=S (random, of S to all of the area, enlarged), flip (left to right), "
      "brightness=B (times 1 - B to 1 + B), cutout=N (zeros in a square of N pixels)");
  option("ema", ema, Range::from_below(0, 1),
         "decay of an exponential moving average of the weights, which is what is evaluated and kept; 0: the last "
         "weights are");
  option("schedule", schedule, choices_of(schedule_names), "how the learning rate changes from epoch to epoch");
  option("schedule_epochs", schedule_epochs, Range::at_least(1), "of step: epochs between two changes of the rate");
  option("schedule_factor", schedule_factor, Range::above(0), "of step: what the rate is multiplied by");
  option("warmup_epochs", warmup_epochs, Range::at_least(0),
         "epochs, or parts of one, in which the learning rate grows step by step to what the schedule says");
  option("precision", precision, {to_string(Precision::f32), to_string(Precision::bf16)},
         "arithmetic of training and of frozen sources; of bf16 weights and sums of products stay f32");
  option("label_flips", label_flips, Range::between(0, 1),
         "probability with which a training label becomes another class, each equally likely");
  option("flip_each_epoch", flip_each_epoch, "draw the label flips anew in every epoch");
  option(checkpoint_interval_name, checkpoint_interval, Range::at_least(1),
         "epochs after which an unfinished training is kept, where it is");
}

void TrainingOptions::validate() const {
  check_options(*this);
  if (optimizer == OptimizerKind::schedule_free_adamw && schedule != ScheduleKind::constant) {
    throw ValueError(fmt::format("schedule is {}: schedule-free-adamw needs constant; warmup_epochs goes with it",
                                 to_string(schedule)));
  }
  if (optimizer == OptimizerKind::schedule_free_adamw && ema > 0) {
    throw ValueError(fmt::format("ema is {}: schedule-free-adamw has an average of its own; leave one away", ema));
  }
  if (nesterov && momentum == 0) throw ValueError("nesterov needs a momentum above 0");
}

namespace detail {

Facts facts_of(const TrainingOptions& options) {
  Facts facts;
  for (auto& [name, value] : option_values(options)) {
    if (name == checkpoint_interval_name) continue;
    std::string words = name;
    std::replace(words.begin(), words.end(), '_', ' ');
    facts.push_back({std::move(words), value});
  }
  if (options.flip_seed) facts.push_back({"seed of label flips", fmt::format("{}", *options.flip_seed)});
  return facts;
}

}  // namespace detail

std::uint64_t TrainingOptions::hash() const {
  return io::Hash64().add(detail::hash_of(detail::facts_of(*this))).add(seed).value();
}

}  // namespace rtl::transfer
