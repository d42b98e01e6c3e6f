#include "rtl/transfer/training.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <list>
#include <memory>
#include <utility>

#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/reduce.hpp"
#include "transfer/evaluation.hpp"
#include "transfer/fit_group.hpp"
#include "transfer/outputs_plan.hpp"
#include "transfer/place.hpp"
#include "transfer/step.hpp"
#include "transfer/training_run.hpp"

namespace rtl::transfer {
namespace {

void check_features(const Device& device, const TrainingData& data) {
  if (data.source != nullptr) check_features(device, *data.source);
  for (const kernels::StoredFeatures& features : data.features) {
    const ConstView& table = features.table;
    if (table.rank() != 2 || features.samples() != data.dataset->size()) {
      throw ShapeError(fmt::format("train: features {} of {} samples for {} samples; they must be [samples, features]",
                                   table.shape().to_string(), table.rank() > 0 ? features.samples() : 0,
                                   data.dataset->size()));
    }
    if (table.dtype() != DType::u8 && !kernels::all_finite(device, table)) {
      throw ValueError("train: the frozen features hold NaN or infinity; check the source and its input normalisation");
    }
  }
}

void check_loss(const Loss& loss, const data::Dataset& dataset) {
  const bool real = dataset.is_regression();
  if (loss.suits(real)) return;
  throw ValueError(fmt::format("train: loss is {}, but {} has {}, which take {}", to_string(loss.kind), dataset.name,
                               real ? "real targets" : "classes", real ? "squared or huber" : "cross-entropy or bce"));
}

void check_augmentation(const kernels::ImageAugmentation& augmentation, const data::Dataset& dataset) {
  if (!augmentation.any()) return;
  if (!dataset.has_images()) {
    throw ValueError(fmt::format("train: augment is {}, but {} has {}; only images can be augmented",
                                 to_string(augmentation), dataset.name, dataset.has_tokens() ? "tokens" : "vectors"));
  }
  const std::string fault = augmentation.fault(dataset.inputs.extent(1), dataset.inputs.extent(2));
  if (!fault.empty()) throw ValueError(fmt::format("train: augment is {}: {}", to_string(augmentation), fault));
}

bool alike_state(const layers::ModuleState& x, const layers::ModuleState& y) {
  const auto alike = [](const layers::NamedParameter& p, const layers::NamedParameter& q) {
    return p.name == q.name && p.value().shape() == q.value().shape() && p.value().dtype() == q.value().dtype() &&
           p.value().device() == q.value().device() && p.parameter->trainable == q.parameter->trainable;
  };
  return std::equal(x.parameters.begin(), x.parameters.end(), y.parameters.begin(), y.parameters.end(), alike) &&
         std::equal(x.buffers.begin(), x.buffers.end(), y.buffers.begin(), y.buffers.end(), alike);
}

/// Gathered by the same operations.
bool alike_features(const TrainingData& x, const TrainingData& y) {
  return std::equal(x.features.begin(), x.features.end(), y.features.begin(), y.features.end(),
                    [](const kernels::StoredFeatures& p, const kernels::StoredFeatures& q) {
                      return p.table.dtype() == q.table.dtype() && p.places.given() == q.places.given() &&
                             p.transform.given() == q.transform.given() && p.bound == q.bound;
                    });
}

bool alike_data(const TrainingData& x, const TrainingData& y) {
  return x.dataset->size() == y.dataset->size() && x.dataset->is_sparse() == y.dataset->is_sparse() &&
         alike_features(x, y) && x.dataset->has_labels() == y.dataset->has_labels() &&
         x.dataset->outputs() == y.dataset->outputs();
}

/// Replicas stack inputs that differ, which needs memory for all of them.
bool can_be_stacked(const TrainingData& x, const TrainingData& y) {
  const auto in_file = [](const TrainingData& data) { return data.dataset->inputs.in_file(); };
  return (x.dataset == y.dataset && x.normalization.hash() == y.normalization.hash()) || !(in_file(x) || in_file(y));
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
    for (detail::TrainingRun& training : trainings_) training.prepare();
    if (running()) run_epochs();
    std::vector<ReplicaTraining> outcomes;
    for (const detail::TrainingRun& training : trainings_) outcomes.push_back(training.outcome());
    return outcomes;
  }

  detail::TrainingStep make_step() const {
    std::vector<detail::StepReplica> replicas;
    for (const detail::TrainingRun& training : trainings_) replicas.push_back(training.step());
    const detail::TrainingRun& first = trainings_.front();
    const Device device = replicas.front().model->state().parameters.front().value().device();
    const std::int64_t batches = first.sampler().batches();
    std::size_t largest = 0;
    for (const std::int64_t i : {std::int64_t{0}, batches - 1}) {
      largest = std::max(largest, first.sampler().batch(i).size());
    }
    return {std::move(replicas), batches, static_cast<std::int64_t>(largest), device, first.activations()};
  }

 private:
  void check(const Replica& replica) {
    replica.options.validate();
    if (!replica.model) throw ValueError("train: there is no model");
    if (!replica.data.dataset) throw ValueError("train: there is no data set");
    // All of it is read, which replicas that share it need once.
    if (std::ranges::find(validated_, replica.data.dataset) == validated_.end()) {
      replica.data.dataset->validate(true);
      validated_.push_back(replica.data.dataset);
    }
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
    if (replica.options.mixup > 0 && replica.data.dataset->has_tokens()) {
      throw ValueError(fmt::format("train: mixup is {}, but {} has tokens, which cannot be mixed",
                                   replica.options.mixup, replica.data.dataset->name));
    }
    check_loss(replica.options.loss, *replica.data.dataset);
    check_augmentation(replica.options.augment, *replica.data.dataset);
    for (const auto& [name, value] : {std::pair{"label_flips", replica.options.label_flips},
                                      std::pair{"label_smoothing", replica.options.label_smoothing}}) {
      if (value == 0 || !replica.data.dataset->is_regression()) continue;
      throw ValueError(fmt::format("train: {} is {}, but {} has real targets, not classes", name, value,
                                   replica.data.dataset->name));
    }
  }

  void add(const Replica& replica, const Device& device) {
    const detail::ResidentTrainingData& target = place(replica, replica.data, device);
    const detail::ResidentTrainingData* source =
        replica.data.source == nullptr ? nullptr : &place(replica, *replica.data.source, device);
    trainings_.emplace_back(replica, target, source, device);
  }

  /// What replicas have in common is placed once.
  const detail::ResidentTrainingData& place(const Replica& replica, const TrainingData& data, const Device& device) {
    const std::uint64_t normalization = data.normalization.hash();
    const auto found = std::find_if(placed_.begin(), placed_.end(), [&](const detail::ResidentTrainingData& placed) {
      return placed.given == data.dataset && placed.normalization == normalization;
    });
    if (found != placed_.end()) return *found;
    detail::ResidentTrainingData& made = placed_.emplace_back(data.dataset, normalization, device);
    if (replica.model->wants_inputs()) {
      const DType dtype = replica.model->state().parameters.front().value().dtype();
      made.inputs = std::make_shared<const detail::InputGather>(*made.dataset, data.normalization, dtype, device);
    }
    return made;
  }

  bool running() const {
    return std::any_of(trainings_.begin(), trainings_.end(), [](const detail::TrainingRun& t) { return t.running(); });
  }

  void run_epochs() {
    const data::BatchSampler& sampler = trainings_.front().sampler();
    detail::TrainingStep step = make_step();
    step.load();
    const auto batches = static_cast<std::size_t>(sampler.batches());
    const std::int64_t ahead = batches_ahead();
    while (running()) {
      start_epoch(step);
      read_ahead(0, ahead);
      for (std::int64_t i = 0; i < sampler.batches(); ++i) {
        if (ahead > 0) read_ahead(i + ahead, i + ahead + 1);
        step.run(static_cast<std::int64_t>(sampler.batch(i).size()));
      }
      const std::vector<double> losses = step.losses();
      for (std::size_t r = 0; r < trainings_.size(); ++r) {
        if (!trainings_[r].running()) continue;
        trainings_[r].end_epoch(std::span(losses).subspan(r * batches, batches), [&] { step.store(r); });
      }
    }
  }

  /// How many batches the system reads while a step works: enough to keep a disk busy; none of what lies in memory.
  std::int64_t batches_ahead() const {
    const auto reads = [](const detail::TrainingRun& training) { return training.reads_file(); };
    if (std::none_of(trainings_.begin(), trainings_.end(), reads)) return 0;
    constexpr std::int64_t bytes_ahead = std::int64_t{16} << 20, most = 64;
    const data::Dataset& samples = *placed_.front().dataset;
    const auto batch = static_cast<std::int64_t>(samples.input_bytes()) / trainings_.front().sampler().batches();
    return std::clamp<std::int64_t>(bytes_ahead / std::max<std::int64_t>(batch, 1), 1, most);
  }

  void read_ahead(std::int64_t begin, std::int64_t end) const {
    for (std::int64_t batch = begin; batch < std::min(end, trainings_.front().sampler().batches()); ++batch) {
      std::size_t first = 0;
      for (const detail::TrainingRun& training : trainings_) {
        const std::size_t samples = training.has_source() ? training.sampler().order().size() : 0;
        training.read_ahead(batch, std::span(source_orders_).subspan(first, samples));
        first += samples;
      }
    }
  }

  void start_epoch(detail::TrainingStep& step) {
    std::vector<detail::EpochStart> starts;
    std::vector<std::int64_t> orders;
    source_orders_.clear();
    std::vector<std::int32_t> labels, source_labels;
    std::vector<float> targets;
    detail::Mixture mixtures;
    for (detail::TrainingRun& training : trainings_) {
      starts.push_back(training.start_epoch());
      orders.insert(orders.end(), training.sampler().order().begin(), training.sampler().order().end());
      labels.insert(labels.end(), training.labels().begin(), training.labels().end());
      targets.insert(targets.end(), training.targets().begin(), training.targets().end());
      const detail::Mixture& own = training.mixture();
      mixtures.partners.insert(mixtures.partners.end(), own.partners.begin(), own.partners.end());
      mixtures.shares.insert(mixtures.shares.end(), own.shares.begin(), own.shares.end());
      if (!training.has_source()) continue;
      const std::vector<std::int64_t> beside = training.source_order();
      source_orders_.insert(source_orders_.end(), beside.begin(), beside.end());
      source_labels.insert(source_labels.end(), training.source_labels().begin(), training.source_labels().end());
    }
    step.set_order(orders);
    if (!mixtures.shares.empty()) step.set_mixture(mixtures);
    if (!source_orders_.empty()) step.set_source_order(source_orders_);
    if (source_labels != source_labels_) step.set_source_labels(source_labels_ = std::move(source_labels));
    if (labels != labels_) step.set_labels(labels_ = std::move(labels));
    if (targets != targets_) step.set_targets(targets_ = std::move(targets));
    step.start_epoch(starts);
  }

  std::vector<const data::Dataset*> validated_;
  std::list<detail::ResidentTrainingData> placed_;
  std::deque<detail::TrainingRun> trainings_;
  std::vector<std::int64_t> source_orders_;           ///< of the present epoch
  std::vector<std::int32_t> labels_, source_labels_;  ///< as the steps see them
  std::vector<float> targets_;
};

void check_input(const layers::Network& network, const data::Dataset& dataset, const char* call) {
  dataset.check();
  const layers::Architecture& architecture = network.architecture();
  if (detail::check_tokens(call, dataset, architecture) || dataset.sample_shape() == architecture.input) return;
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
      {a.clip_norm == b.clip_norm, "the clipping of gradients"},
      {a.loss == b.loss, "the loss"},
      {a.label_smoothing == b.label_smoothing, "the label smoothing"},
      {(a.mixup > 0) == (b.mixup > 0), "whether there is mixup"},
      {a.augment == b.augment, "the augmentation"},
      {a.ema == b.ema, "the average of the weights"},
      {a.precision == b.precision, "the precision"},
      {(a.l2sp_strength > 0) == (b.l2sp_strength > 0), "whether there is an L2-SP penalty"},
      {first.data.dataset->size() == other.data.dataset->size(), "the number of samples"},
      {first.data.dataset->is_sparse() == other.data.dataset->is_sparse(), "whether the inputs are sparse"},
      {alike_features(first.data, other.data), "the number or form of frozen features"},
      {first.data.normalization.kind == other.data.normalization.kind, "the normalisation of the inputs"},
      {(p == nullptr) == (q == nullptr) && (p == nullptr || alike_data(*p, *q)), "the second data set"},
      {first.model->wants_inputs() == other.model->wants_inputs(), "what the models look at"},
      {!first.model->wants_inputs() || can_be_stacked(first.data, other.data), "inputs that memory does not hold"},
      {p == nullptr || q == nullptr || can_be_stacked(*p, *q),
       "inputs of the second data set, which memory does not hold"},
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
  if (network.architecture().classes != dataset.outputs()) {
    throw ShapeError(fmt::format("train: {} has {} {}, {} has {}; reset the network's head",
                                 network.architecture().to_string(), network.architecture().classes,
                                 dataset.is_regression() ? "outputs" : "classes", dataset.name, dataset.outputs()));
  }
  WholeNetwork model(network);
  return train(model, {&dataset, normalization, {}}, options);
}

Tensor predict(layers::Network& network, const data::Dataset& dataset, const data::InputNormalization& normalization,
               std::int64_t batch_size) {
  check_input(network, dataset, "predict");
  if (batch_size < 1) throw ValueError("predict: batch_size must be positive");
  const Device device = network.device();
  WholeNetwork model(network);
  detail::OutputsPlan plan(model, device, network.dtype());
  return detail::evaluate({.samples = dataset,
                           .normalization = normalization,
                           .device = device,
                           .parameters = network.dtype(),
                           .activations = network.dtype(),
                           .batch_size = batch_size},
                          network.architecture().classes, [&](ConstView inputs, View out, std::int64_t) {
                            kernels::cast(device, plan(inputs, {}), out);
                          });
}

}  // namespace rtl::transfer
