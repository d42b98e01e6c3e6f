#include "transfer/fit_group.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "transfer/place.hpp"

namespace rtl::transfer {
namespace {

/// Of a later stage: a checkpoint beside that of the first.
std::string stage_checkpoint(const std::string& path, std::int64_t stage, std::size_t replica) {
  if (path.empty() || (stage == 0 && replica == 0)) return path;
  return fmt::format("{}.{}.{}", path, stage + 1, replica + 1);
}

void add_warning(TrainingRecord& record, const std::string& warning) {
  if (std::find(record.warnings.begin(), record.warnings.end(), warning) != record.warnings.end()) return;
  record.warnings.push_back(warning);
}

void append(TrainingRecord& all, const TrainingRecord& stage) {
  all.losses.insert(all.losses.end(), stage.losses.begin(), stage.losses.end());
  all.steps += stage.steps;
  all.seconds += stage.seconds;
  all.complete = all.complete && stage.complete;
  for (const std::string& warning : stage.warnings) add_warning(all, warning);
}

}  // namespace

FitContext::FitContext(std::shared_ptr<Shared> shared, const Inputs& inputs)
    : shared_(std::move(shared)), inputs_(inputs), training_(inputs.training), task_(Task::of(inputs.train)) {
  if (!shared_->keeps_l2sp) training_.l2sp_strength = 0;
  if (training_.label_flips > 0 && !training_.flip_seed) training_.flip_seed = training_.seed;
}

const std::vector<FrozenSource>& FitContext::sources() const { return shared_->sources; }
const StrategyOptions& FitContext::options() const { return shared_->options; }
const Device& FitContext::device() const { return shared_->device; }

const data::Dataset& FitContext::source_data() const {
  if (shared_->options.source_data == nullptr) throw ValueError("there are no samples of the source");
  return *shared_->options.source_data;
}

void FitContext::warn(const std::string& sentence) { add_warning(record_, sentence); }

ConstView FitContext::retain(Tensor tensor) {
  kept_.push_back(std::move(tensor));
  return kept_.back().view();
}

FitContext::TrainingRequest FitContext::train(Trainable& model, const data::InputNormalization& normalization,
                                              std::vector<kernels::StoredFeatures> features) {
  return train(model, {&inputs_.train, normalization, std::move(features)}, training_);
}

FitContext::TrainingRequest FitContext::train(Trainable& model, const TrainingData& data,
                                              const TrainingOptions& options) {
  return train_all({{&model, data, options}});
}

void FitContext::number_checkpoints(std::vector<Replica>& replicas) {
  if (replicas.empty()) throw ValueError("a recipe asks for no training at all");
  for (std::size_t i = 0; i < replicas.size(); ++i) {
    replicas[i].options.checkpoint = stage_checkpoint(training_.checkpoint, stages_, i);
  }
  ++stages_;
}

FitContext::TrainingRequest FitContext::train_all(std::vector<Replica> replicas) {
  number_checkpoints(replicas);
  return {*this, std::move(replicas)};
}

FitContext::EachRequest FitContext::train_each(std::vector<Replica> replicas) {
  number_checkpoints(replicas);
  return {*this, std::move(replicas)};
}

bool FitContext::TrainingRequest::await_ready() {
  if (context_.stages_ == 1) return false;
  const std::function<bool()>& stop = context_.training_.stop;
  if (context_.record_.complete && stop && stop()) context_.record_.complete = false;
  return !context_.record_.complete;
}

void FitContext::TrainingRequest::await_suspend(std::coroutine_handle<> handle) {
  context_.requested_ = replicas_;
  context_.answered_.clear();
  context_.waiting_ = handle;
}

std::vector<ReplicaTraining> FitContext::TrainingRequest::take_answers(bool with_warnings) {
  if (context_.answered_.empty()) return {};  // stopped before
  if (context_.stages_ == 1) context_.record_.complete = true;
  std::int64_t parameters = 0;
  for (ReplicaTraining& training : context_.answered_) {
    parameters += training.record.parameters;
    training.record.complete = training.record.complete || training.divergence;
    if (!with_warnings) training.record.warnings.clear();
    append(context_.record_, training.record);
  }
  context_.record_.parameters = std::max(context_.record_.parameters, parameters);
  return std::exchange(context_.answered_, {});
}

TrainingRecord FitContext::TrainingRequest::await_resume() {
  const std::vector<ReplicaTraining> answers = take_answers(true);
  for (const ReplicaTraining& training : answers) {
    if (training.divergence) throw TrainingDiverged(*training.divergence);
  }
  return answers.empty() ? context_.record_ : answers.front().record;
}

std::vector<std::optional<TrainingDiverged>> FitContext::EachRequest::await_resume() {
  std::vector<std::optional<TrainingDiverged>> divergences;
  for (ReplicaTraining& training : take_answers(false)) divergences.push_back(std::move(training.divergence));
  divergences.resize(count());
  return divergences;
}

FitGroup::FitGroup(const StrategyChoice& choice, const std::vector<FrozenSource>& sources, const Tables& tables,
                   std::span<const FitContext::Inputs> inputs, const StrategyOptions& options,
                   std::shared_ptr<SharedValues> values)
    : choice_(choice),
      shared_(std::make_shared<FitContext::Shared>(options.device.value_or(inputs.front().train.device()))) {
  const data::Dataset& first = inputs.front().train;
  StrategyOptions asked = options;
  asked.values = choice.values;
  for (const FitContext::Inputs& input : inputs) {
    input.train.validate(true);
    check_fits(*choice_.strategy, sources, input.train, asked);
  }
  shared_->sources = sources;
  shared_->options = options;
  shared_->tables = tables;
  shared_->whole = &first;
  shared_->values = std::move(values);
  shared_->keeps_l2sp = choice_.strategy->starts_at_source(sources, first, choice_.values);
  for (const FitContext::Inputs& input : inputs) {
    recipes_.push_back(choice_.strategy->fit(contexts_.emplace_back(shared_, input), choice_.values));
  }
}

void FitGroup::start() {
  if (std::exchange(started_, true)) return;
  for (const Recipe& recipe : recipes_) recipe.start();
}

const Replica* FitGroup::first_training() const {
  const FitContext& first = contexts_.front();
  return first.requested_.empty() ? nullptr : &first.requested_.front();
}

/// All trainings that recipes wait for, together where they can be, and lets the recipes go on.
void FitGroup::train_waiting() {
  std::vector<FitContext*> waiting;
  std::vector<Replica> replicas;
  for (FitContext& context : contexts_) {
    if (!context.waiting_) continue;
    waiting.push_back(&context);
    replicas.insert(replicas.end(), context.requested_.begin(), context.requested_.end());
  }
  std::vector<std::optional<ReplicaTraining>> trained(replicas.size());
  for (std::size_t i = 0; i < replicas.size(); ++i) {
    if (trained[i]) continue;
    std::vector<Replica> alike;
    std::vector<std::size_t> places;
    for (std::size_t j = i; j < replicas.size(); ++j) {
      if (trained[j] || !detail::difference_of_replicas(replicas[i], replicas[j]).empty()) continue;
      alike.push_back(replicas[j]);
      places.push_back(j);
    }
    std::vector<ReplicaTraining> outcomes = train_replicas(alike);
    for (std::size_t k = 0; k < places.size(); ++k) trained[places[k]] = std::move(outcomes[k]);
  }
  std::size_t next = 0;
  for (FitContext* context : waiting) {
    for (std::size_t i = 0; i < context->requested_.size(); ++i) context->answered_.push_back(*trained[next++]);
    context->requested_.clear();
    std::exchange(context->waiting_, nullptr).resume();
  }
}

std::vector<FitOutcome> FitGroup::run() {
  start();
  while (std::any_of(contexts_.begin(), contexts_.end(), [](const FitContext& c) { return bool(c.waiting_); })) {
    train_waiting();
  }
  std::vector<FitOutcome> outcomes;
  for (std::size_t i = 0; i < recipes_.size(); ++i) {
    try {
      FitContext& context = contexts_[i];
      if (context.stages_ == 0) context.record_.complete = true;  // it asked for no training
      const StrategyInfo& info = choice_.strategy->info();
      std::unique_ptr<Predictor> predictor = recipes_[i].take();
      Task task = context.task();
      task.independent =
          context.training().loss.kind == LossKind::bce && info.trains && !predictor->gives_log_probabilities();
      Fitted fitted(info.name, std::move(task), std::move(predictor), context.record());
      fitted.set_inputs(context.inputs_.train.fitted);
      outcomes.push_back({std::move(fitted)});
    } catch (const TrainingDiverged& error) {
      outcomes.push_back({std::nullopt, error});
    }
  }
  return outcomes;
}

}  // namespace rtl::transfer
