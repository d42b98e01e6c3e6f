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
#include "transfer/learning.hpp"
#include "transfer/logits_plan.hpp"
#include "transfer/place.hpp"
#include "transfer/step.hpp"

namespace rtl::transfer {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::unique_ptr<optim::Optimizer> make_optimizer(const TrainingOptions& options, Trainable& model) {
  std::vector<optim::NamedStorage> parameters = detail::trained_parameters(model);
  const optim::Rates rates{.learning_rate = options.learning_rate,
                           .weight_decay = options.weight_decay,
                           .l2sp_strength = options.l2sp_strength};
  if (options.optimizer == OptimizerKind::sgd) {
    return std::make_unique<optim::Sgd>(std::move(parameters), rates,
                                        kernels::SgdRule{.momentum = options.momentum, .nesterov = options.nesterov});
  }
  return std::make_unique<optim::Adam>(std::move(parameters), rates,
                                       kernels::AdamRule{.decoupled = options.optimizer == OptimizerKind::adamw});
}

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

/// One training, alone or as a replica: what it draws, keeps and tells. The steps are made by its owner.
class Training {
 public:
  /// The data lies on `device`; `inputs` is null if the model wants none.
  Training(const Replica& replica, const TrainingData& data, std::shared_ptr<const detail::InputGather> inputs,
           const Device& device)
      : model_(*replica.model),
        data_(data),
        options_(replica.options),
        device_(device),
        dtype_(model_.state().parameters.front().value().dtype()),
        optimizer_(make_optimizer(options_, model_)),
        schedule_(make_schedule(options_)),
        sampler_(data_.dataset->size(), options_.batch_size, options_.seed, true, smallest_batch(model_)),
        inputs_(std::move(inputs)),
        clean_labels_(data_.dataset->labels.to_vector<std::int32_t>()),
        labels_(clean_labels_) {
    if (options_.l2sp_strength > 0) optimizer_->start_from_here();
    start_ = detail::largest_weight(model_.state());
    sampler_.start_epoch(0);
  }

  detail::StepReplica step() const { return {&model_, &data_, inputs_.get(), optimizer_.get()}; }
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
            detail::load_checkpoint(options_.checkpoint, protocol_, model_, *optimizer_, options_.notice);
      } else {
        detail::keep_other_training(options_.checkpoint, protocol_, options_.notice);
      }
    }
    if (epoch() >= options_.epochs) guarded([&] { finish(); });
  }

  /// Draws order and labels. One that has ended goes on with its last ones, which change nothing any more.
  detail::EpochStart start_epoch() {
    if (running_) {
      optimizer_->set_learning_rate(schedule_(epoch()));
      sampler_.start_epoch(epoch());
      if (options_.label_flips > 0 && (options_.flip_each_epoch || !flipped_)) {
        const data::LabelFlips flips{options_.label_flips, options_.seed, options_.flip_each_epoch};
        labels_ = data::flipped_labels(clean_labels_, data_.dataset->classes, flips, epoch());
        flipped_ = true;
      }
    }
    return {options_.seed, epoch() * sampler_.batches(), optimizer_->rates()};
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
      if (keep) detail::save_checkpoint(options_.checkpoint, protocol_, model_, *optimizer_, outcome_.record.losses);
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
    detail::LogitsPlan plan(model_, device_, dtype_);
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
    const double rate = optimizer_->rates().learning_rate;
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

  std::vector<double> logits_of(detail::LogitsPlan& plan, ConstView rows) const {
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
  TrainingData data_;
  const TrainingOptions& options_;
  Device device_;
  DType dtype_;
  std::unique_ptr<optim::Optimizer> optimizer_;
  optim::Schedule schedule_;
  data::BatchSampler sampler_;
  std::shared_ptr<const detail::InputGather> inputs_;
  std::vector<std::int32_t> clean_labels_;
  std::vector<std::int32_t> labels_;  ///< with the present flips
  bool flipped_ = false;
  bool running_ = true;
  Clock::time_point begin_ = Clock::now();
  detail::Facts protocol_;
  detail::LargestWeight start_;
  ReplicaTraining outcome_;
};

/// The same for two replicas: what must agree.
void check_alike(const Replica& first, const Replica& other) {
  const auto require = [](bool same, const char* what) {
    if (!same) throw ValueError(fmt::format("train_replicas: the replicas differ in {}", what));
  };
  const TrainingOptions &a = first.options, &b = other.options;
  require(a.batch_size == b.batch_size, "the batch size");
  require(a.optimizer == b.optimizer && a.momentum == b.momentum && a.nesterov == b.nesterov, "the optimizer's rule");
  require(a.precision == b.precision, "the precision");
  require((a.l2sp_strength > 0) == (b.l2sp_strength > 0), "whether there is an L2-SP penalty");
  require(first.data.dataset->size() == other.data.dataset->size(), "the number of samples");
  require(first.data.features.size() == other.data.features.size(), "the number of frozen features");
  require(first.data.normalization.kind == other.data.normalization.kind, "the normalisation of the inputs");
  require(first.model->wants_inputs() == other.model->wants_inputs(), "what the models look at");
  const layers::ModuleState x = first.model->state(), y = other.model->state();
  const auto alike = [](const layers::NamedParameter& p, const layers::NamedParameter& q) {
    return p.name == q.name && p.value().shape() == q.value().shape() && p.value().dtype() == q.value().dtype() &&
           p.value().device() == q.value().device() && p.parameter->trainable == q.parameter->trainable;
  };
  require(std::equal(x.parameters.begin(), x.parameters.end(), y.parameters.begin(), y.parameters.end(), alike) &&
              std::equal(x.buffers.begin(), x.buffers.end(), y.buffers.begin(), y.buffers.end(), alike),
          "the models' tensors or their device");
}

/// Trainings that make their steps together.
class Trainings {
 public:
  explicit Trainings(std::span<const Replica> replicas) {
    for (const Replica& replica : replicas) {
      check(replica);
      check_alike(replicas.front(), replica);
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
  /// A data set where the device can read it, and its inputs as one normalisation has them.
  struct Placed {
    Placed(const data::Dataset* from, std::uint64_t normalized, const Device& device)
        : given(from), normalization(normalized), dataset(*from, device) {}
    const data::Dataset* given;
    std::uint64_t normalization;
    detail::PlacedDataset dataset;
    std::shared_ptr<const detail::InputGather> inputs;
  };

  static void check(const Replica& replica) {
    replica.options.validate();
    if (!replica.model) throw ValueError("train: there is no model");
    if (!replica.data.dataset) throw ValueError("train: there is no data set");
    replica.data.dataset->validate(true);
    const layers::ModuleState state = replica.model->state();
    if (state.parameters.empty()) throw ValueError("train: the model has no parameters");
    check_features(state.parameters.front().value().device(), replica.data);
  }

  /// What replicas have in common is placed once.
  void add(const Replica& replica, const Device& device) {
    const std::uint64_t normalization = replica.data.normalization.hash();
    auto found = std::find_if(placed_.begin(), placed_.end(), [&](const Placed& placed) {
      return placed.given == replica.data.dataset && placed.normalization == normalization;
    });
    if (found == placed_.end()) {
      found = placed_.emplace(placed_.end(), replica.data.dataset, normalization, device);
      const DType dtype = replica.model->state().parameters.front().value().dtype();
      if (replica.model->wants_inputs()) {
        found->inputs =
            std::make_shared<const detail::InputGather>(*found->dataset, replica.data.normalization, dtype, device);
      }
    }
    TrainingData local = replica.data;
    local.dataset = &*found->dataset;
    trainings_.emplace_back(replica, local, found->inputs, device);
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
    std::vector<std::int64_t> orders;
    std::vector<std::int32_t> labels;
    for (Training& training : trainings_) {
      starts.push_back(training.start_epoch());
      orders.insert(orders.end(), training.sampler().order().begin(), training.sampler().order().end());
      labels.insert(labels.end(), training.labels().begin(), training.labels().end());
    }
    step.set_order(orders);
    if (labels != labels_) step.set_labels(labels_ = std::move(labels));
    step.start_epoch(starts);
  }

  std::list<Placed> placed_;
  std::deque<Training> trainings_;
  std::vector<std::int32_t> labels_;  ///< as the steps see them
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
  detail::LogitsPlan plan(model, device, network.dtype());
  for (std::int64_t begin = 0; begin < samples; begin += batch_size) {
    const std::int64_t end = std::min(samples, begin + batch_size);
    const Tensor inputs = gather(rows.view().slice(0, begin, end));
    kernels::cast(device, plan(inputs, {}), out.view().slice(0, begin, end));
  }
  return out;
}

}  // namespace rtl::transfer
