#include <fmt/format.h>

#include <array>
#include <cmath>
#include <string_view>

#include "rtl/io/hash.hpp"
#include "rtl/transfer/training.hpp"
#include "transfer/names.hpp"
#include "transfer/option_facts.hpp"

namespace rtl::transfer {
namespace {

constexpr std::array<std::string_view, 3> optimizer_names{"sgd", "adam", "adamw"};
constexpr std::array<std::string_view, 3> schedule_names{"constant", "step", "cosine"};

void require(bool fine, std::string_view rule, double value) {
  if (!fine) throw ValueError(fmt::format("TrainingOptions: {}, not {}", rule, value));
}

}  // namespace

std::string to_string(OptimizerKind kind) { return detail::name_at(optimizer_names, kind); }
std::string to_string(ScheduleKind kind) { return detail::name_at(schedule_names, kind); }
OptimizerKind parse_optimizer(const std::string& text) {
  return detail::parse_name<OptimizerKind>(optimizer_names, text, "optimizer");
}
ScheduleKind parse_schedule(const std::string& text) {
  return detail::parse_name<ScheduleKind>(schedule_names, text, "schedule");
}

void TrainingOptions::validate() const {
  require(epochs >= 0, "epochs must not be negative", static_cast<double>(epochs));
  require(batch_size >= 1, "batch_size must be positive", static_cast<double>(batch_size));
  require(std::isfinite(learning_rate) && learning_rate > 0, "learning_rate must be positive", learning_rate);
  require(momentum >= 0 && momentum < 1, "momentum must be in [0, 1)", momentum);
  require(!nesterov || momentum > 0, "nesterov needs a positive momentum", momentum);
  require(std::isfinite(weight_decay) && weight_decay >= 0, "weight_decay must not be negative", weight_decay);
  require(std::isfinite(l2sp_strength) && l2sp_strength >= 0, "l2sp_strength must not be negative", l2sp_strength);
  require(schedule_epochs >= 1, "schedule_epochs must be positive", static_cast<double>(schedule_epochs));
  require(std::isfinite(schedule_factor) && schedule_factor > 0, "schedule_factor must be positive", schedule_factor);
  require(label_flips >= 0 && label_flips <= 1, "label_flips is a probability", label_flips);
  require(checkpoint_interval >= 1, "checkpoint_interval must be positive", static_cast<double>(checkpoint_interval));
}

namespace detail {

Facts facts_of(const TrainingOptions& options) {
  const auto text = [](const auto& value) { return fmt::format("{}", value); };
  Facts facts{{"epochs", text(options.epochs)},
              {"batch size", text(options.batch_size)},
              {"learning rate", text(options.learning_rate)},
              {"momentum", text(options.momentum)},
              {"nesterov", text(options.nesterov)},
              {"optimizer", to_string(options.optimizer)},
              {"weight decay", text(options.weight_decay)},
              {"L2-SP strength", text(options.l2sp_strength)},
              {"schedule", to_string(options.schedule)}};
  if (options.schedule == ScheduleKind::step) {
    facts.push_back({"schedule's period", text(options.schedule_epochs)});
    facts.push_back({"schedule's factor", text(options.schedule_factor)});
  }
  if (options.precision != Precision::f32) facts.push_back({"precision", to_string(options.precision)});
  facts.push_back({"label flips", text(options.label_flips)});
  facts.push_back({"label flips of each epoch", text(options.flip_each_epoch)});
  if (options.flip_seed) facts.push_back({"seed of label flips", text(*options.flip_seed)});
  return facts;
}

}  // namespace detail

std::uint64_t TrainingOptions::hash() const {
  return io::Hash64().add(detail::hash_of(detail::facts_of(*this))).add(seed).value();
}

}  // namespace rtl::transfer
