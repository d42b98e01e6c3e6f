#include "rtl/transfer/training.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>

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

/// One training from beginning to end.
class Training {
 public:
  Training(Trainable& model, const TrainingData& data, const TrainingOptions& options, const Device& device)
      : model_(model),
        data_(data),
        options_(options),
        device_(device),
        dtype_(model.state().parameters.front().value().dtype()),
        optimizer_(make_optimizer(options, model)),
        schedule_(make_schedule(options)),
        sampler_(data.dataset->size(), options.batch_size, options.seed, true, smallest_batch(model)) {
    if (model.wants_inputs()) inputs_.emplace(*data.dataset, data.normalization, dtype_, device);
    if (options_.l2sp_strength > 0) optimizer_->start_from_here();
    step_.emplace(model, data, inputs_ ? &*inputs_ : nullptr, *optimizer_, sampler_.batches(), device,
                  activation_dtype(options.precision, dtype_));
  }

  TrainingRecord run() {
    const auto start = Clock::now();
    prepare();
    while (epoch() < options_.epochs) {
      const double loss = run_epoch();
      record_.losses.push_back(loss);
      const bool last = epoch() == options_.epochs;
      const bool stopped = !last && options_.stop && options_.stop();
      const bool keep =
          !options_.checkpoint.empty() && !last && (stopped || epoch() % options_.checkpoint_interval == 0);
      if (keep || last) check_weights();
      if (keep) {
        detail::save_checkpoint(options_.checkpoint, protocol_, model_, *optimizer_, record_.losses);
      }
      if (options_.progress) options_.progress({epoch(), options_.epochs, loss, seconds_since(start)});
      if (stopped) break;
    }
    record_.complete = epoch() == options_.epochs;
    if (record_.complete && !options_.checkpoint.empty()) remove_checkpoint();
    if (record_.complete) add_warnings();
    record_.steps = epoch() * sampler_.batches();
    record_.seconds = seconds_since(start);
    return record_;
  }

 private:
  std::int64_t epoch() const { return static_cast<std::int64_t>(record_.losses.size()); }

  void prepare() {
    start_ = detail::largest_weight(model_.state());
    if (!options_.checkpoint.empty()) {
      protocol_ = detail::training_protocol(model_, data_, options_);
      if (options_.resume) {
        record_.losses = detail::load_checkpoint(options_.checkpoint, protocol_, model_, *optimizer_, options_.notice);
      } else {
        detail::keep_other_training(options_.checkpoint, protocol_, options_.notice);
      }
    }
    clean_labels_ = data_.dataset->labels.to_vector<std::int32_t>();
  }

  void warn(std::string note) {
    if (!note.empty()) record_.warnings.push_back(std::move(note));
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
  bool doubtful(double shares) const { return record_.losses.back() > 0.9 * shares; }

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

  /// The epoch's order and labels, on the device.
  void start_epoch() {
    sampler_.start_epoch(epoch());
    step_->set_order(sampler_.order());
    step_->start_epoch(options_.seed, epoch() * sampler_.batches());
    if (!labels_.empty() && !(options_.flip_each_epoch && options_.label_flips > 0)) return;
    const data::LabelFlips flips{options_.label_flips, options_.seed, options_.flip_each_epoch};
    labels_ = options_.label_flips > 0 ? data::flipped_labels(clean_labels_, data_.dataset->classes, flips, epoch())
                                       : clean_labels_;
    step_->set_labels(labels_);
  }

  Tensor gather(ConstView table, ConstView rows, DType dtype) const {
    Tensor out(table.shape().with(0, rows.count()), dtype, device_);
    kernels::gather_rows(device_, table, rows, out);
    return out;
  }

  double run_epoch() {
    optimizer_->set_learning_rate(schedule_(epoch()));
    start_epoch();
    for (std::int64_t index = 0; index < sampler_.batches(); ++index) step_->run(size_of_batch(index));
    const std::vector<double> losses = step_->losses();
    double total = 0;
    for (std::size_t i = 0; i < losses.size(); ++i) {
      total += losses[i] * static_cast<double>(size_of_batch(static_cast<std::int64_t>(i)));
    }
    const double loss = total / static_cast<double>(data_.dataset->size());
    if (!std::isfinite(loss)) throw_diverged_loss(losses, loss);
    return loss;
  }

  [[noreturn]] void throw_diverged(const std::string& what, std::int64_t in_epoch, std::int64_t step) const {
    const double rate = optimizer_->rates().learning_rate;
    throw TrainingDiverged(
        fmt::format("train: {} in epoch {}, step {} of {}, at a learning rate of {}; lower the learning rate, or "
                    "standardise the inputs",
                    what, in_epoch, step, sampler_.batches(), rate),
        in_epoch, step, rate);
  }

  [[noreturn]] void throw_diverged_loss(const std::vector<double>& losses, double loss) const {
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
    for (const Tensor& table : tables) features.emplace_back(table);
    const ConstView logits = plan(inputs.defined() ? ConstView(inputs) : ConstView(), features);
    Tensor values(logits.shape(), DType::f64, device_);
    kernels::cast(device_, logits, values);
    return values.to_vector<double>();
  }

  std::int64_t size_of_batch(std::int64_t index) { return static_cast<std::int64_t>(sampler_.batch(index).size()); }

  Trainable& model_;
  const TrainingData& data_;
  const TrainingOptions& options_;
  Device device_;
  DType dtype_;
  std::unique_ptr<optim::Optimizer> optimizer_;
  optim::Schedule schedule_;
  data::BatchSampler sampler_;
  std::optional<detail::InputGather> inputs_;
  std::vector<std::int32_t> clean_labels_;
  std::vector<std::int32_t> labels_;  ///< with the present flips
  std::optional<detail::TrainingStep> step_;
  detail::Facts protocol_;
  detail::LargestWeight start_;
  TrainingRecord record_;
};

/// A whole network as something to train.
class WholeNetwork final : public Trainable {
 public:
  explicit WholeNetwork(layers::Network& network) : network_(network) {}
  graph::Value logits(const Batch& batch, const layers::ForwardContext& context) override {
    return network_.forward(batch.inputs, context);
  }
  layers::ModuleState state() override { return network_.state(); }
  bool wants_inputs() const override { return true; }

 private:
  layers::Network& network_;
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

TrainingRecord train(Trainable& model, const TrainingData& data, const TrainingOptions& options) {
  options.validate();
  if (!data.dataset) throw ValueError("train: there is no data set");
  data.dataset->validate(true);
  const layers::ModuleState state = model.state();
  if (state.parameters.empty()) throw ValueError("train: the model has no parameters");
  const Device device = state.parameters.front().value().device();
  check_features(device, data);
  const detail::PlacedDataset placed(*data.dataset, device);
  TrainingData local = data;
  local.dataset = &*placed;
  return Training(model, local, options, device).run();
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
