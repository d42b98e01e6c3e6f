#include "transfer/training_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>

#include "rtl/data/label_flips.hpp"
#include "rtl/kernels/gather.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/reduce.hpp"
#include "rtl/transfer/task.hpp"
#include "transfer/checkpoint.hpp"

namespace rtl::transfer::detail {
namespace {

constexpr std::int64_t evaluation_batch = 256;

optim::Schedule make_schedule(const TrainingOptions& options) {
  switch (options.schedule) {
    case ScheduleKind::constant:
      return optim::Schedule::constant(options.learning_rate);
    case ScheduleKind::step:
      return optim::Schedule::step(options.learning_rate, options.schedule_epochs, options.schedule_factor);
    case ScheduleKind::cosine:
      return optim::Schedule::cosine(options.learning_rate, std::max<std::int64_t>(options.epochs, 1));
  }
  throw ValueError("TrainingOptions: unknown schedule");
}

/// Batch norm, which has running statistics, takes its mean and variance from the batch: those of one sample say
/// nothing, and of one with maps of one pixel there are none.
std::int64_t smallest_batch(Trainable& model) { return model.state().buffers.empty() ? 1 : 2; }

/// Rows of a data set of `size` for the positions [begin, begin + count) of an endless run through it, each pass in an
/// order of its own.
std::vector<std::int64_t> endless_order(std::int64_t size, std::uint64_t seed, std::int64_t begin, std::int64_t count) {
  data::BatchSampler sampler(size, size, seed);
  std::vector<std::int64_t> rows;
  while (static_cast<std::int64_t>(rows.size()) < count) {
    const std::int64_t position = begin + static_cast<std::int64_t>(rows.size());
    sampler.start_epoch(position / size);
    const auto order = sampler.order().subspan(static_cast<std::size_t>(position % size));
    const auto wanted = std::min(order.size(), static_cast<std::size_t>(count) - rows.size());
    rows.insert(rows.end(), order.begin(), order.begin() + static_cast<std::ptrdiff_t>(wanted));
  }
  return rows;
}

std::vector<std::int32_t> labels_of(const data::Dataset& dataset) {
  return dataset.has_labels() ? dataset.labels.to_vector<std::int32_t>() : std::vector<std::int32_t>();
}

}  // namespace

TrainingRun::TrainingRun(const Replica& replica, const ResidentTrainingData& placed, const ResidentTrainingData* source,
                         const Device& device)
    : model_(*replica.model),
      data_(replica.data),
      options_(replica.options),
      device_(device),
      dtype_(model_.state().parameters.front().value().dtype()),
      optimizers_(options_, model_),
      schedule_(make_schedule(options_)),
      sampler_(data_.dataset->size(), options_.batch_size, options_.seed, true, smallest_batch(model_)),
      inputs_(placed.inputs),
      numbers_(model_.epoch_numbers(0, options_.epochs).size()),
      clean_labels_(labels_of(*data_.dataset)),
      labels_(clean_labels_) {
  data_.dataset = &*placed.dataset;
  if (data_.dataset->is_regression()) targets_ = standardized_targets(Task::of(*data_.dataset), *data_.dataset);
  if (const std::vector<float> weights = data_.dataset->mean_one_weights(); !weights.empty()) {
    weights_ = Tensor::from(weights, {data_.dataset->size(), 1}, device);
  }
  if (source != nullptr) {
    source_data_ = *replica.data.source;
    source_data_.dataset = &*source->dataset;
    data_.source = &source_data_;
    source_inputs_ = source->inputs;
    source_labels_ = labels_of(*source_data_.dataset);
  }
  outcome_.record.parameters = optimizers_.elements();
  optimizers_.set_warmup_steps(options_.warmup_epochs * static_cast<double>(sampler_.batches()));
  start_ = largest_weight(model_.state());
  sampler_.start_epoch(0);
}

std::vector<std::int64_t> TrainingRun::source_order() const {
  const std::int64_t samples = data_.dataset->size();
  return endless_order(source_data_.dataset->size(), options_.seed, sampler_.epoch() * samples, samples);
}

bool TrainingRun::reads_file() const {
  return (inputs_ && inputs_->in_file()) || (source_inputs_ && source_inputs_->in_file());
}

void TrainingRun::read_ahead(std::int64_t batch, std::span<const std::int64_t> beside) const {
  const std::span<const std::int64_t> rows = sampler_.batch(batch);
  const auto first = static_cast<std::size_t>(rows.data() - sampler_.order().data());
  if (inputs_ && inputs_->in_file()) {
    inputs_->will_need(rows);
    if (!mixture_.partners.empty()) inputs_->will_need(std::span(mixture_.partners).subspan(first, rows.size()));
  }
  if (source_inputs_ && source_inputs_->in_file()) source_inputs_->will_need(beside.subspan(first, rows.size()));
}

void TrainingRun::prepare() {
  if (!options_.checkpoint.empty()) {
    protocol_ = training_protocol(model_, data_, options_);
    if (options_.resume) {
      outcome_.record.losses = load_checkpoint(options_.checkpoint, protocol_, model_, optimizers_, options_.notice);
    } else {
      keep_other_training(options_.checkpoint, protocol_, options_.notice);
    }
  }
  if (epoch() >= options_.epochs) guarded([&] { finish(); });
}

EpochStart TrainingRun::start_epoch() {
  if (running_) {
    optimizers_.set_learning_rate(schedule_(epoch()));
    optimizers_.start_epoch(epoch() * sampler_.batches());
    sampler_.start_epoch(epoch());
    if (options_.mixup > 0) mixture_ = draw_mixture(sampler_, options_.mixup, options_.seed);
    if (options_.label_flips > 0 && (options_.flip_each_epoch || !flipped_)) {
      const data::LabelFlips flips{options_.label_flips, options_.flip_seed.value_or(options_.seed),
                                   options_.flip_each_epoch};
      labels_ = data::flipped_labels(clean_labels_, data_.dataset->classes, flips, epoch());
      flipped_ = true;
    }
  }
  const std::int64_t last = std::max<std::int64_t>(options_.epochs - 1, 0);
  return {options_.seed, epoch() * sampler_.batches(), optimizers_.rates(),
          model_.epoch_numbers(std::min(epoch(), last), options_.epochs)};
}

void TrainingRun::end_epoch(std::span<const double> losses, const std::function<void()>& fetch) {
  guarded([&] {
    const double loss = mean_of(losses);
    if (!std::isfinite(loss)) throw_diverged_loss(losses, loss);
    outcome_.record.losses.push_back(loss);
    const bool last = epoch() == options_.epochs;
    const bool stopped = !last && options_.stop && options_.stop();
    const bool keep = !options_.checkpoint.empty() && !last && (stopped || epoch() % options_.checkpoint_interval == 0);
    if (keep || last || stopped) fetch();
    if (keep || last) check_weights();
    if (keep) save_checkpoint(options_.checkpoint, protocol_, model_, optimizers_, outcome_.record.losses);
    if (options_.progress) options_.progress({epoch(), options_.epochs, loss, seconds()});
    if (last || stopped) finish();
  });
  if (outcome_.divergence) fetch();
}

void TrainingRun::guarded(const std::function<void()>& work) {
  try {
    work();
  } catch (const TrainingDiverged& error) {
    outcome_.divergence = error;
    running_ = false;
  }
}

void TrainingRun::finish() {
  running_ = false;
  optimizers_.take_evaluated_weights();
  outcome_.record.complete = epoch() == options_.epochs;
  if (outcome_.record.complete && !options_.checkpoint.empty()) remove_checkpoint();
  if (outcome_.record.complete) add_warnings();
  outcome_.record.steps = epoch() * sampler_.batches();
  outcome_.record.seconds = seconds();
}

void TrainingRun::warn(std::string note) {
  if (!note.empty()) outcome_.record.warnings.push_back(std::move(note));
}

void TrainingRun::add_warnings() {
  warn(describe_constant_columns(data_.normalization));
  if (epoch() == 0) return;
  const Loss loss = options_.loss.of(!targets_.empty());
  const double baseline =
      targets_.empty() ? loss_of_shares(labels_, data_.dataset->classes, loss) : loss_of_mean(targets_, loss);
  const LearningCheck check = evaluate(baseline);
  if (check.constant()) warn(describe_constant_prediction(*data_.dataset, check.predicted()));
  if (doubtful(baseline)) warn(describe_nothing_learned(check.mean_loss(), baseline));
  warn(describe_growth(start_, largest_weight(model_.state())));
}

/// The last epoch's loss is one of changing weights, and with dropout: if it is well below, there is nothing to check.
bool TrainingRun::doubtful(double baseline) const { return outcome_.record.losses.back() > 0.9 * baseline; }

/// On the training samples: all of them where there is doubt, else until two predictions differ.
LearningCheck TrainingRun::evaluate(double baseline) {
  OutputsPlan plan(model_, device_, dtype_);
  LearningCheck check(data_.dataset->outputs(), options_.loss.of(!targets_.empty()));
  const std::int64_t samples = data_.dataset->size();
  const Tensor rows = counting_rows(samples, device_);
  for (std::int64_t begin = 0; begin < samples && (check.constant() || doubtful(baseline));) {
    const std::int64_t end = std::min<std::int64_t>(samples, begin + evaluation_batch);
    if (inputs_) inputs_->will_need(end, end + evaluation_batch);
    const std::vector<double> outputs = outputs_of(plan, rows.view().slice(0, begin, end));
    if (targets_.empty()) {
      check.add(outputs, labels_.data() + begin);
    } else {
      check.add(outputs, targets_.data() + begin * data_.dataset->outputs());
    }
    if (!check.finite()) {
      throw_diverged("the outputs on the training samples became NaN or infinite", epoch(), sampler_.batches());
    }
    begin = end;
  }
  return check;
}

void TrainingRun::remove_checkpoint() const {
  std::error_code ignored;
  std::filesystem::remove(options_.checkpoint, ignored);
}

Tensor TrainingRun::gather(const kernels::StoredFeatures& features, ConstView rows) const {
  Tensor out({rows.count(), features.columns()}, dtype_, device_);
  kernels::gather_features(device_, features, rows, out);
  return out;
}

double TrainingRun::mean_of(std::span<const double> losses) const {
  double total = 0;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    total += losses[i] * static_cast<double>(sampler_.batch(static_cast<std::int64_t>(i)).size());
  }
  return total / static_cast<double>(data_.dataset->size());
}

void TrainingRun::throw_diverged(const std::string& what, std::int64_t in_epoch, std::int64_t step) const {
  const double rate = optimizers_.rates().front().learning_rate;
  throw TrainingDiverged(
      fmt::format("train: {} in epoch {}, step {} of {}, at a learning rate of {}; lower the learning rate, or "
                  "standardise the inputs",
                  what, in_epoch, step, sampler_.batches(), rate),
      in_epoch, step, rate);
}

void TrainingRun::throw_diverged_loss(std::span<const double> losses, double loss) const {
  const auto first = std::find_if(losses.begin(), losses.end(), [](double value) { return !std::isfinite(value); });
  // Each may be finite and their sum not.
  const bool one = first != losses.end();
  const auto step = one ? first - losses.begin() + 1 : sampler_.batches();
  const bool undefined = std::isnan(one ? *first : loss);
  throw_diverged(fmt::format("the loss became {}", undefined ? "NaN" : "infinite"), epoch() + 1, step);
}

/// Of the epoch that has just ended: ReLUs can hide a weight that is no number from the loss.
void TrainingRun::check_weights() {
  for (const auto& parameter : model_.state().parameters) {
    if (kernels::all_finite(device_, parameter.value())) continue;
    throw_diverged(fmt::format("{} holds NaN or infinity", parameter.name), epoch(), sampler_.batches());
  }
}

std::vector<double> TrainingRun::outputs_of(OutputsPlan& plan, ConstView rows) const {
  Tensor inputs;
  std::vector<Tensor> tables;
  if (inputs_) inputs = (*inputs_)(rows);
  for (const kernels::StoredFeatures& table : data_.features) tables.push_back(gather(table, rows));
  const std::vector<ConstView> features(tables.begin(), tables.end());
  const ConstView outputs = plan(inputs.defined() ? ConstView(inputs) : ConstView(), features);
  Tensor values(outputs.shape(), DType::f64, device_);
  kernels::cast(device_, outputs, values);
  return values.to_vector<double>();
}

}  // namespace rtl::transfer::detail
