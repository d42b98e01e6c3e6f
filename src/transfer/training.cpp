#include "rtl/transfer/training.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <filesystem>
#include <list>
#include <memory>
#include <utility>

#include "rtl/data/label_flips.hpp"
#include "rtl/data/sampler.hpp"
#include "rtl/kernels/gather.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/reduce.hpp"
#include "rtl/optim/optimizer.hpp"
#include "rtl/optim/schedule.hpp"
#include "transfer/checkpoint.hpp"
#include "transfer/fit_group.hpp"
#include "transfer/learning.hpp"
#include "transfer/outputs_plan.hpp"
#include "transfer/place.hpp"
#include "transfer/step.hpp"

namespace rtl::transfer {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

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

void check_features(const Device& device, const TrainingData& data) {
  if (data.source != nullptr) check_features(device, *data.source);
  for (const ConstView& features : data.features) {
    if (features.rank() != 2 || features.extent(0) != data.dataset->size() || features.dtype() != DType::f32) {
      throw ShapeError(fmt::format("train: features {} {} for {} samples; they must be f32 [samples, features]",
                                   name_of(features.dtype()), features.shape().to_string(), data.dataset->size()));
    }
    if (!kernels::all_finite(device, features)) {
      throw ValueError("train: the frozen features hold NaN or infinity; check the source and its input normalisation");
    }
  }
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

/// A data set where the device can read it, and its inputs as one normalisation has them.
struct Placed {
  Placed(const data::Dataset* from, std::uint64_t normalized, const Device& device)
      : given(from), normalization(normalized), dataset(*from, device) {}
  const data::Dataset* given;
  std::uint64_t normalization;
  detail::PlacedDataset dataset;
  std::shared_ptr<const detail::InputGather> inputs;
};

/// One training, alone or as a replica: what it draws, keeps and tells. The steps are made by its owner.
class Training {
 public:
  /// `placed` is the data on `device`, and `source` that of TrainingData::source, or null.
  Training(const Replica& replica, const Placed& placed, const Placed* source, const Device& device)
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
        clean_labels_(data_.dataset->labels.to_vector<std::int32_t>()),
        labels_(clean_labels_) {
    data_.dataset = &*placed.dataset;
    if (source != nullptr) {
      source_data_ = *replica.data.source;
      source_data_.dataset = &*source->dataset;
      data_.source = &source_data_;
      source_inputs_ = source->inputs;
      if (source_data_.dataset->has_labels()) source_labels_ = source_data_.dataset->labels.to_vector<std::int32_t>();
    }
    if (options_.l2sp_strength > 0) optimizers_.start_from_here();
    start_ = detail::largest_weight(model_.state());
    sampler_.start_epoch(0);
  }
  Training(const Training&) = delete;
  Training& operator=(const Training&) = delete;

  detail::StepReplica step() const {
    return {&model_, &data_, inputs_.get(), source_inputs_.get(), &optimizers_, numbers_};
  }
  bool has_source() const { return data_.source != nullptr; }
  const std::vector<std::int32_t>& source_labels() const { return source_labels_; }
  /// Rows of the source that stand beside the present epoch's.
  std::vector<std::int64_t> source_order() const {
    const std::int64_t samples = data_.dataset->size();
    return endless_order(source_data_.dataset->size(), options_.seed, sampler_.epoch() * samples, samples);
  }
  const data::BatchSampler& sampler() const { return sampler_; }
  const std::vector<std::int32_t>& labels() const { return labels_; }
  DType activations() const { return activation_dtype(options_.precision, dtype_); }
  const ReplicaTraining& outcome() const { return outcome_; }
  bool running() const { return running_; }

  /// Finds the state that it goes on from.
  void prepare() {
    if (!options_.checkpoint.empty()) {
      protocol_ = detail::training_protocol(model_, data_, options_);
      if (options_.resume) {
        outcome_.record.losses =
            detail::load_checkpoint(options_.checkpoint, protocol_, model_, optimizers_, options_.notice);
      } else {
        detail::keep_other_training(options_.checkpoint, protocol_, options_.notice);
      }
    }
    if (epoch() >= options_.epochs) guarded([&] { finish(); });
  }

  /// Draws order and labels. One that has ended goes on with its last ones, which change nothing any more.
  detail::EpochStart start_epoch() {
    if (running_) {
      optimizers_.set_learning_rate(schedule_(epoch()));
      sampler_.start_epoch(epoch());
      if (options_.label_flips > 0 && (options_.flip_each_epoch || !flipped_)) {
        const data::LabelFlips flips{options_.label_flips, options_.seed, options_.flip_each_epoch};
        labels_ = data::flipped_labels(clean_labels_, data_.dataset->classes, flips, epoch());
        flipped_ = true;
      }
    }
    const std::int64_t in_range = std::clamp<std::int64_t>(epoch(), 0, std::max<std::int64_t>(options_.epochs - 1, 0));
    return {options_.seed, epoch() * sampler_.batches(), optimizers_.rates(),
            model_.epoch_numbers(in_range, options_.epochs)};
  }

  /// Takes the losses of an epoch's steps; `fetch` puts what they made into model and optimizer.
  void end_epoch(std::span<const double> losses, const std::function<void()>& fetch) {
    guarded([&] {
      const double loss = mean_of(losses);
      if (!std::isfinite(loss)) throw_diverged_loss(losses, loss);
      outcome_.record.losses.push_back(loss);
      const bool last = epoch() == options_.epochs;
      const bool stopped = !last && options_.stop && options_.stop();
      const bool keep =
          !options_.checkpoint.empty() && !last && (stopped || epoch() % options_.checkpoint_interval == 0);
      if (keep || last || stopped) fetch();
      if (keep || last) check_weights();
      if (keep) detail::save_checkpoint(options_.checkpoint, protocol_, model_, optimizers_, outcome_.record.losses);
      if (options_.progress) options_.progress({epoch(), options_.epochs, loss, seconds_since(begin_)});
      if (last || stopped) finish();
    });
    if (outcome_.divergence) fetch();
  }

 private:
  std::int64_t epoch() const { return static_cast<std::int64_t>(outcome_.record.losses.size()); }

  template <typename Work>
  void guarded(const Work& work) {
    try {
      work();
    } catch (const TrainingDiverged& error) {
      outcome_.divergence = error;
      running_ = false;
    }
  }

  void finish() {
    running_ = false;
    outcome_.record.complete = epoch() == options_.epochs;
    if (outcome_.record.complete && !options_.checkpoint.empty()) remove_checkpoint();
    if (outcome_.record.complete) add_warnings();
    outcome_.record.steps = epoch() * sampler_.batches();
    outcome_.record.seconds = seconds_since(begin_);
  }

  void warn(std::string note) {
    if (!note.empty()) outcome_.record.warnings.push_back(std::move(note));
  }

  void add_warnings() {
    warn(detail::describe_constant_columns(data_.normalization));
    if (epoch() == 0) return;
    const double shares = detail::loss_of_shares(labels_, data_.dataset->classes);
    const detail::LearningCheck check = evaluate(labels_, shares);
    if (check.constant()) warn(detail::describe_constant_prediction(*data_.dataset, check.predicted()));
    if (doubtful(shares)) warn(detail::describe_nothing_learned(check.mean_loss(), shares));
    warn(detail::describe_growth(start_, detail::largest_weight(model_.state())));
  }

  /// The last epoch's loss is one of changing weights, and with dropout: if it is well below, there is nothing to
  /// check.
  bool doubtful(double shares) const { return outcome_.record.losses.back() > 0.9 * shares; }

  /// On the training samples: all of them where there is doubt, else until two classes have been predicted.
  detail::LearningCheck evaluate(const std::vector<std::int32_t>& labels, double shares) {
    detail::OutputsPlan plan(model_, device_, dtype_);
    detail::LearningCheck check(data_.dataset->classes);
    const std::int64_t samples = data_.dataset->size();
    const Tensor rows = detail::counting_rows(samples, device_);
    for (std::int64_t begin = 0; begin < samples && (check.constant() || doubtful(shares));) {
      const std::int64_t end = std::min<std::int64_t>(samples, begin + 256);
      check.add(logits_of(plan, rows.view().slice(0, begin, end)), labels.data() + begin);
      if (!check.finite())
        throw_diverged("the outputs on the training samples became NaN or infinite", epoch(), sampler_.batches());
      begin = end;
    }
    return check;
  }

  void remove_checkpoint() const {
    std::error_code ignored;
    std::filesystem::remove(options_.checkpoint, ignored);
  }

  Tensor gather(ConstView table, ConstView rows, DType dtype) const {
    Tensor out(table.shape().with(0, rows.count()), dtype, device_);
    kernels::gather_rows(device_, table, rows, out);
    return out;
  }

  double mean_of(std::span<const double> losses) const {
    double total = 0;
    for (std::size_t i = 0; i < losses.size(); ++i) {
      total += losses[i] * static_cast<double>(sampler_.batch(static_cast<std::int64_t>(i)).size());
    }
    return total / static_cast<double>(data_.dataset->size());
  }

  [[noreturn]] void throw_diverged(const std::string& what, std::int64_t in_epoch, std::int64_t step) const {
    const double rate = optimizers_.rates().front().learning_rate;
    throw TrainingDiverged(
        fmt::format("train: {} in epoch {}, step {} of {}, at a learning rate of {}; lower the learning rate, or "
                    "standardise the inputs",
                    what, in_epoch, step, sampler_.batches(), rate),
        in_epoch, step, rate);
  }

  [[noreturn]] void throw_diverged_loss(std::span<const double> losses, double loss) const {
    const auto first = std::find_if(losses.begin(), losses.end(), [](double value) { return !std::isfinite(value); });
    // Each may be finite and their sum not.
    const bool one = first != losses.end();
    const auto step = one ? first - losses.begin() + 1 : sampler_.batches();
    const bool undefined = std::isnan(one ? *first : loss);
    throw_diverged(fmt::format("the loss became {}", undefined ? "NaN" : "infinite"), epoch() + 1, step);
  }

  /// Of the epoch that has just ended: ReLUs can hide a weight that is no number from the loss.
  void check_weights() {
    for (const auto& parameter : model_.state().parameters) {
      if (kernels::all_finite(device_, parameter.value())) continue;
      throw_diverged(fmt::format("{} holds NaN or infinity", parameter.name), epoch(), sampler_.batches());
    }
  }

  std::vector<double> logits_of(detail::OutputsPlan& plan, ConstView rows) const {
    Tensor inputs;
    std::vector<Tensor> tables;
    std::vector<ConstView> features;
    if (inputs_) inputs = (*inputs_)(rows);
    for (const ConstView& table : data_.features) tables.push_back(gather(table, rows, dtype_));
    features.assign(tables.begin(), tables.end());
    const ConstView logits = plan(inputs.defined() ? ConstView(inputs) : ConstView(), features);
    Tensor values(logits.shape(), DType::f64, device_);
    kernels::cast(device_, logits, values);
    return values.to_vector<double>();
  }

  Trainable& model_;
  TrainingData data_, source_data_;
  const TrainingOptions& options_;
  Device device_;
  DType dtype_;
  detail::OptimizerSet optimizers_;
  optim::Schedule schedule_;
  data::BatchSampler sampler_;
  std::shared_ptr<const detail::InputGather> inputs_, source_inputs_;
  std::size_t numbers_;
  std::vector<std::int32_t> source_labels_;
  std::vector<std::int32_t> clean_labels_;
  std::vector<std::int32_t> labels_;  ///< with the present flips
  bool flipped_ = false;
  bool running_ = true;
  Clock::time_point begin_ = Clock::now();
  detail::Facts protocol_;
  detail::LargestWeight start_;
  ReplicaTraining outcome_;
};

bool alike_state(const layers::ModuleState& x, const layers::ModuleState& y) {
  const auto alike = [](const layers::NamedParameter& p, const layers::NamedParameter& q) {
    return p.name == q.name && p.value().shape() == q.value().shape() && p.value().dtype() == q.value().dtype() &&
           p.value().device() == q.value().device() && p.parameter->trainable == q.parameter->trainable;
  };
  return std::equal(x.parameters.begin(), x.parameters.end(), y.parameters.begin(), y.parameters.end(), alike) &&
         std::equal(x.buffers.begin(), x.buffers.end(), y.buffers.begin(), y.buffers.end(), alike);
}

bool alike_data(const TrainingData& x, const TrainingData& y) {
  return x.dataset->size() == y.dataset->size() && x.features.size() == y.features.size() &&
         x.dataset->has_labels() == y.dataset->has_labels();
}

/// Trainings that make their steps together.
class Trainings {
 public:
  explicit Trainings(std::span<const Replica> replicas) {
    for (const Replica& replica : replicas) {
      check(replica);
      const std::string difference = detail::difference_of_replicas(replicas.front(), replica);
      if (!difference.empty()) {
        throw ValueError(fmt::format("train_replicas: the replicas differ in {}", difference));
      }
      add(replica, replica.model->state().parameters.front().value().device());
    }
  }

  std::vector<ReplicaTraining> run() {
    for (Training& training : trainings_) training.prepare();
    if (running()) run_epochs();
    std::vector<ReplicaTraining> outcomes;
    for (const Training& training : trainings_) outcomes.push_back(training.outcome());
    return outcomes;
  }

  detail::TrainingStep make_step() const {
    std::vector<detail::StepReplica> replicas;
    for (const Training& training : trainings_) replicas.push_back(training.step());
    const Training& first = trainings_.front();
    const Device device = replicas.front().model->state().parameters.front().value().device();
    return {std::move(replicas), first.sampler().batches(), device, first.activations()};
  }

 private:
  static void check(const Replica& replica) {
    replica.options.validate();
    if (!replica.model) throw ValueError("train: there is no model");
    if (!replica.data.dataset) throw ValueError("train: there is no data set");
    replica.data.dataset->validate(true);
    if (const TrainingData* source = replica.data.source; source != nullptr) {
      if (source->dataset == nullptr || source->source != nullptr) {
        throw ValueError("train: the second data set is none, or has one of its own");
      }
      source->dataset->check();
      if (source->dataset->size() == 0) throw ValueError("train: the second data set has no samples");
      if (source->dataset->has_labels()) source->dataset->validate(false);
    }
    const layers::ModuleState state = replica.model->state();
    if (state.parameters.empty()) throw ValueError("train: the model has no parameters");
    check_features(state.parameters.front().value().device(), replica.data);
  }

  void add(const Replica& replica, const Device& device) {
    const Placed& target = place(replica, replica.data, device);
    const Placed* source = replica.data.source == nullptr ? nullptr : &place(replica, *replica.data.source, device);
    trainings_.emplace_back(replica, target, source, device);
  }

  /// What replicas have in common is placed once.
  const Placed& place(const Replica& replica, const TrainingData& data, const Device& device) {
    const std::uint64_t normalization = data.normalization.hash();
    const auto found = std::find_if(placed_.begin(), placed_.end(), [&](const Placed& placed) {
      return placed.given == data.dataset && placed.normalization == normalization;
    });
    if (found != placed_.end()) return *found;
    Placed& made = placed_.emplace_back(data.dataset, normalization, device);
    if (replica.model->wants_inputs()) {
      const DType dtype = replica.model->state().parameters.front().value().dtype();
      made.inputs = std::make_shared<const detail::InputGather>(*made.dataset, data.normalization, dtype, device);
    }
    return made;
  }

  bool running() const {
    return std::any_of(trainings_.begin(), trainings_.end(), [](const Training& t) { return t.running(); });
  }

  void run_epochs() {
    const data::BatchSampler& sampler = trainings_.front().sampler();
    detail::TrainingStep step = make_step();
    step.load();
    const auto batches = static_cast<std::size_t>(sampler.batches());
    while (running()) {
      start_epoch(step);
      for (std::int64_t i = 0; i < sampler.batches(); ++i) step.run(static_cast<std::int64_t>(sampler.batch(i).size()));
      const std::vector<double> losses = step.losses();
      for (std::size_t r = 0; r < trainings_.size(); ++r) {
        if (!trainings_[r].running()) continue;
        trainings_[r].end_epoch(std::span(losses).subspan(r * batches, batches), [&] { step.store(r); });
      }
    }
  }

  void start_epoch(detail::TrainingStep& step) {
    std::vector<detail::EpochStart> starts;
    std::vector<std::int64_t> orders, source_orders;
    std::vector<std::int32_t> labels, source_labels;
    for (Training& training : trainings_) {
      starts.push_back(training.start_epoch());
      orders.insert(orders.end(), training.sampler().order().begin(), training.sampler().order().end());
      labels.insert(labels.end(), training.labels().begin(), training.labels().end());
      if (!training.has_source()) continue;
      const std::vector<std::int64_t> beside = training.source_order();
      source_orders.insert(source_orders.end(), beside.begin(), beside.end());
      source_labels.insert(source_labels.end(), training.source_labels().begin(), training.source_labels().end());
    }
    step.set_order(orders);
    if (!source_orders.empty()) step.set_source_order(source_orders);
    if (source_labels != source_labels_) step.set_source_labels(source_labels_ = std::move(source_labels));
    if (labels != labels_) step.set_labels(labels_ = std::move(labels));
    step.start_epoch(starts);
  }

  std::list<Placed> placed_;
  std::deque<Training> trainings_;
  std::vector<std::int32_t> labels_, source_labels_;  ///< as the steps see them
};

void check_input(const layers::Network& network, const data::Dataset& dataset, const char* call) {
  dataset.check();
  const layers::Architecture& architecture = network.architecture();
  if (dataset.sample_shape() == architecture.input) return;
  throw ShapeError(fmt::format("{}: the samples of {} are {}, but {} takes {}; build the network for the data's shape",
                               call, dataset.name, dataset.sample_shape().to_string(), architecture.to_string(),
                               architecture.input.to_string()));
}

}  // namespace

std::string detail::difference_of_replicas(const Replica& first, const Replica& other) {
  const TrainingOptions &a = first.options, &b = other.options;
  const TrainingData *p = first.data.source, *q = other.data.source;
  const std::pair<bool, const char*> rules[] = {
      {a.batch_size == b.batch_size, "the batch size"},
      {a.optimizer == b.optimizer && a.momentum == b.momentum && a.nesterov == b.nesterov, "the optimizer's rule"},
      {a.precision == b.precision, "the precision"},
      {(a.l2sp_strength > 0) == (b.l2sp_strength > 0), "whether there is an L2-SP penalty"},
      {first.data.dataset->size() == other.data.dataset->size(), "the number of samples"},
      {first.data.features.size() == other.data.features.size(), "the number of frozen features"},
      {first.data.normalization.kind == other.data.normalization.kind, "the normalisation of the inputs"},
      {(p == nullptr) == (q == nullptr) && (p == nullptr || alike_data(*p, *q)), "the second data set"},
      {first.model->wants_inputs() == other.model->wants_inputs(), "what the models look at"},
      {alike_state(first.model->state(), other.model->state()), "the models' tensors or their device"}};
  for (const auto& [same, what] : rules) {
    if (!same) return what;
  }
  return {};
}

graph::PlanFacts detail::step_facts(const Replica& replica) {
  const std::int64_t samples = replica.data.dataset->size();
  return Trainings({&replica, 1}).make_step().plan(std::min(replica.options.batch_size, samples)).facts();
}

std::vector<ReplicaTraining> train_replicas(std::span<const Replica> replicas) {
  if (replicas.empty()) return {};
  return Trainings(replicas).run();
}

TrainingRecord train(Trainable& model, const TrainingData& data, const TrainingOptions& options) {
  const Replica alone{&model, data, options};
  const ReplicaTraining outcome = train_replicas({&alone, 1}).front();
  if (outcome.divergence) throw *outcome.divergence;
  return outcome.record;
}

TrainingRecord train(layers::Network& network, const data::Dataset& dataset,
                     const data::InputNormalization& normalization, const TrainingOptions& options) {
  check_input(network, dataset, "train");
  if (network.architecture().classes != dataset.classes) {
    throw ShapeError(fmt::format("train: {} has {} classes, {} has {}; reset the network's head",
                                 network.architecture().to_string(), network.architecture().classes, dataset.name,
                                 dataset.classes));
  }
  WholeNetwork model(network);
  return train(model, {&dataset, normalization, {}}, options);
}

Tensor predict(layers::Network& network, const data::Dataset& dataset, const data::InputNormalization& normalization,
               std::int64_t batch_size) {
  check_input(network, dataset, "predict");
  if (batch_size < 1) throw ValueError("predict: batch_size must be positive");
  const Device device = network.device();
  const detail::PlacedDataset placed(dataset, device);
  const detail::InputGather gather(*placed, normalization, network.dtype(), device);
  const std::int64_t samples = dataset.size();
  const Tensor rows = detail::counting_rows(samples, device);
  Tensor out({samples, network.architecture().classes}, DType::f32, device);
  WholeNetwork model(network);
  detail::OutputsPlan plan(model, device, network.dtype());
  for (std::int64_t begin = 0; begin < samples; begin += batch_size) {
    const std::int64_t end = std::min(samples, begin + batch_size);
    const Tensor inputs = gather(rows.view().slice(0, begin, end));
    kernels::cast(device, plan(inputs, {}), out.view().slice(0, begin, end));
  }
  return out;
}

}  // namespace rtl::transfer
