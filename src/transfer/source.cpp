#include "rtl/transfer/source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <utility>

#include "core/joined.hpp"
#include "rtl/io/hash.hpp"
#include "rtl/kernels/gather.hpp"
#include "rtl/kernels/reduce.hpp"
#include "rtl/layers/frozen_network.hpp"
#include "rtl/layers/model.hpp"
#include "transfer/evaluation.hpp"
#include "transfer/place.hpp"

namespace rtl::transfer {

data::Normalization default_normalization(const layers::Architecture& architecture) {
  if (architecture.input.rank() == 1) return data::Normalization::none;
  const layers::Model* model = layers::find_architecture(architecture.name);
  return model != nullptr ? model->images : data::Normalization::half;
}

namespace {

void add_tensor(io::Hash64& hash, const std::string& name, const Tensor& tensor) {
  hash.add(name).add(tensor.shape().to_string()).add(name_of(tensor.dtype()));
  hash.add(detail::HostBytes(tensor).bytes());
}

data::InputNormalization input_normalization(const layers::Architecture& architecture,
                                             std::optional<data::InputNormalization> asked) {
  using data::Normalization;
  if (!asked || asked->kind == Normalization::automatic) return default_normalization(architecture);
  const bool vectors = architecture.input.rank() == 1;
  if (asked->kind != Normalization::standardize) return vectors ? Normalization::none : *std::move(asked);
  const auto columns = static_cast<std::int64_t>(asked->mean.size());
  if (vectors && columns == architecture.input[0]) return *std::move(asked);
  throw ValueError(fmt::format("FrozenSource: numbers to standardise {} columns, but {} takes samples {}", columns,
                               architecture.to_string(), architecture.input.to_string()));
}

}  // namespace

std::uint64_t weights_hash(layers::Network& network) {
  io::Hash64 hash;
  hash.add(network.architecture().to_string());
  const layers::ModuleState state = network.state();
  for (const auto& parameter : state.parameters) add_tensor(hash, parameter.name, parameter.value());
  for (const auto& buffer : state.buffers) add_tensor(hash, buffer.name, buffer.value());
  return hash.value();
}

namespace {

/// How samples of another shape could be brought into the source's.
std::string remedy_for(const Shape& sample, const Shape& input) {
  const bool images = sample.rank() == 3 && input.rank() == 3 && input[0] == input[1];
  if (!images) return "bring the data into that form or take another source";
  std::vector<std::string> options;
  if (sample[0] != input[0] || sample[1] != input[1]) options.push_back(fmt::format("resize={}", input[0]));
  if (sample[2] != input[2] && (input[2] == 1 || input[2] == 3))
    options.emplace_back(input[2] == 3 ? "color=rgb" : "color=grey");
  return fmt::format("add {} to the data's SPEC or take another source", joined(options, "&"));
}

/// Of what gives the features.
std::uint64_t hash_of(layers::Network& network, const std::string& layer) {
  const std::uint64_t weights = weights_hash(network);
  return layer.empty() ? weights : io::Hash64().add(weights).add(layer).value();
}

}  // namespace

struct FrozenSource::State {
  explicit State(const Device& where) : device(where) {}
  std::unique_ptr<layers::Network> network;  ///< null for features alone
  std::unique_ptr<layers::FrozenNetwork> frozen;
  FeatureFunction function;
  layers::Architecture architecture;
  std::int64_t feature_count = 0;
  data::InputNormalization normalization;
  std::string name;
  std::string layer;
  std::optional<Task> task;
  std::unique_ptr<const FrozenSource> maker;
  data::FittedInputs maker_inputs;
  Precision precision = Precision::f32;
  Device device;
  std::uint64_t fingerprint = 0;
  std::mutex mutex;

  using Run = void (layers::FrozenNetwork::*)(ConstView, View);
  Tensor run(const data::Dataset& dataset, std::int64_t batch_size, std::int64_t columns, Run method);
  void run_sequences(const data::Dataset& dataset, std::int64_t batch_size, Tensor& out, Run method);
  Tensor call(const data::Dataset& dataset);
};

FrozenSource::FrozenSource(std::unique_ptr<layers::Network> network,
                           std::optional<data::InputNormalization> normalization, std::string name, Precision precision,
                           std::string layer, std::optional<Task> task) {
  if (!network) throw ValueError("FrozenSource: there is no network; build or load one first");
  const Device device = network->device();
  for (const auto& parameter : network->state().parameters) {
    if (kernels::all_finite(device, parameter.value())) continue;
    throw ValueError(fmt::format("FrozenSource: {} of {} holds NaN or infinity; train or download the source again",
                                 parameter.name, network->architecture().to_string()));
  }
  const std::int64_t head = network->architecture().classes;
  if (task && task->outputs != head) {
    throw ValueError(fmt::format("FrozenSource: {} has {} outputs, and its task {}",
                                 network->architecture().to_string(), head, task->outputs));
  }
  network->set_trainable(false);
  auto frozen = std::make_unique<layers::FrozenNetwork>(*network, precision, layer);
  const std::uint64_t fingerprint = hash_of(*network, layer);
  if (name.empty()) name = network->architecture().to_string();
  auto chosen = input_normalization(network->architecture(), std::move(normalization));
  state_ = std::make_shared<State>(device);
  state_->architecture = network->architecture();
  state_->feature_count = frozen->feature_count();
  state_->network = std::move(network);
  state_->frozen = std::move(frozen);
  state_->normalization = std::move(chosen);
  state_->name = std::move(name);
  state_->layer = std::move(layer);
  state_->precision = precision;
  state_->task = std::move(task);
  state_->fingerprint = fingerprint;
}

FrozenSource FrozenSource::of_features(std::string name, std::int64_t feature_count, FeatureFunction features,
                                       std::uint64_t identity) {
  if (name.empty() || feature_count < 1 || !features) {
    throw ValueError(fmt::format("FrozenSource: '{}' with {} features; give a name, features and their number", name,
                                 feature_count));
  }
  static std::atomic<std::uint64_t> made = 0;
  FrozenSource source;
  source.state_ = std::make_shared<State>(Device::cpu(1).separate());
  source.state_->function = std::move(features);
  source.state_->architecture.name = "features";
  source.state_->feature_count = feature_count;
  source.state_->normalization = data::Normalization::none;
  io::Hash64 hash;
  hash.add(std::string("features")).add(static_cast<std::uint64_t>(feature_count));
  hash.add(identity != 0 ? identity : ++made).add(identity != 0 ? name : std::string("of this process"));
  source.state_->fingerprint = hash.value();
  source.state_->name = std::move(name);
  return source;
}

FrozenSource FrozenSource::of_matrices(std::string name, const std::vector<Precomputed>& matrices) {
  if (matrices.empty()) throw ValueError("FrozenSource: there are no features");
  std::map<std::uint64_t, std::shared_ptr<const Tensor>> tables;
  const std::int64_t width = matrices.front().features.rank() == 2 ? matrices.front().features.extent(1) : 0;
  io::Hash64 content;
  for (const auto& [dataset, features] : matrices) {
    const bool fits = features.rank() == 2 && features.dtype() == DType::f32 && features.extent(1) == width;
    if (!fits || features.extent(0) != dataset->size()) {
      throw ShapeError(
          fmt::format("FrozenSource: {}: features {} {} for {} samples; they must be f32 [samples, features]", name,
                      rtl::name_of(features.dtype()), features.shape().to_string(), dataset->size()));
    }
    Tensor copy(features.shape(), DType::f32, Device::cpu(1).separate());
    copy_bytes(features, copy);
    content.add(detail::HostBytes(copy).bytes());
    tables[dataset->input_hash()] = std::make_shared<const Tensor>(std::move(copy));
  }
  const auto find = [name, tables = std::move(tables)](const data::Dataset& dataset) {
    const auto found = tables.find(dataset.input_hash());
    if (found != tables.end() && found->second->extent(0) == dataset.size()) return found->second->clone();
    throw ValueError(
        fmt::format("{}: there are no precomputed features of {}; they are known for the data sets that "
                    "they were given for alone",
                    name, dataset.name));
  };
  return of_features(std::move(name), width, find, content.value());
}

void FrozenSource::set_maker(const FrozenSource& network, data::FittedInputs inputs) {
  if (has_network() || !network.has_network() || network.feature_count() != feature_count()) {
    throw ValueError(fmt::format("FrozenSource: {} with {} features cannot have been made by {} with {}", name(),
                                 feature_count(), network.name(), network.feature_count()));
  }
  state_->maker = std::make_unique<const FrozenSource>(network);
  state_->maker_inputs = std::move(inputs);
}
const FrozenSource* FrozenSource::maker() const { return state_->maker.get(); }
const data::FittedInputs& FrozenSource::maker_inputs() const { return state_->maker_inputs; }

bool FrozenSource::has_network() const { return state_->network != nullptr; }
const std::string& FrozenSource::name() const { return state_->name; }
const layers::Architecture& FrozenSource::architecture() const { return state_->architecture; }
const data::InputNormalization& FrozenSource::normalization() const { return state_->normalization; }
Precision FrozenSource::precision() const { return state_->precision; }
const Device& FrozenSource::device() const { return state_->device; }
const std::string& FrozenSource::layer() const { return state_->layer; }
std::int64_t FrozenSource::feature_count() const { return state_->feature_count; }
std::int64_t FrozenSource::classes() const { return layer().empty() ? architecture().classes : 0; }
const std::optional<Task>& FrozenSource::task() const { return state_->task; }
std::int64_t FrozenSource::parameter_count() const { return has_network() ? state_->network->parameter_count() : 0; }
std::uint64_t FrozenSource::fingerprint() const { return state_->fingerprint; }

std::uint64_t FrozenSource::current_hash() const {
  if (!has_network()) return fingerprint();
  const std::lock_guard lock(state_->mutex);
  return hash_of(*state_->network, state_->layer);
}

Tensor FrozenSource::State::run(const data::Dataset& dataset, std::int64_t batch_size, std::int64_t columns,
                                Run method) {
  const layers::Architecture& architecture = network->architecture();
  dataset.check();
  const bool tokens = detail::check_tokens("FrozenSource", dataset, architecture);
  if (!tokens && dataset.sample_shape() != architecture.input) {
    throw ShapeError(fmt::format("FrozenSource: the samples of {} are {}, but {} takes {}; {}", dataset.name,
                                 dataset.sample_shape().to_string(), name, architecture.input.to_string(),
                                 remedy_for(dataset.sample_shape(), architecture.input)));
  }
  if (batch_size < 1) throw ValueError("FrozenSource: batch_size must be positive");
  const std::lock_guard lock(mutex);
  Tensor out;
  if (tokens) {
    out = Tensor({dataset.size(), columns}, DType::f32, device);
    run_sequences(dataset, batch_size, out, method);
  } else {
    out = detail::evaluate(
        {.samples = dataset,
         .normalization = normalization,
         .device = device,
         .activations = activation_dtype(precision, DType::f32),
         .batch_size = batch_size},
        columns, [&](ConstView inputs, View features, std::int64_t) { (frozen.get()->*method)(inputs, features); });
  }
  if (!kernels::all_finite(device, out)) {
    throw ValueError(
        fmt::format("FrozenSource: {} gives NaN or infinity on {}; check that its input normalisation ({}) "
                    "is the one it was trained with",
                    name, dataset.name, data::to_string(normalization)));
  }
  return out;
}

/// Sequences of about equal lengths together, so that little is padding; on a GPU of more, since each length is a plan
/// of many launches. What a sequence is padded to depends on its
/// own length alone, and so do its features.
void FrozenSource::State::run_sequences(const data::Dataset& dataset, std::int64_t batch_size, Tensor& out,
                                        Run method) {
  const std::size_t step = device.is_cuda() ? 8 : 2;
  const layers::Model* const model = layers::find_architecture(architecture.name);
  const bool whole = model != nullptr && model->sees_padding;
  const std::vector<std::int32_t> tokens = dataset.inputs.to_vector<std::int32_t>();
  const auto longest = static_cast<std::size_t>(dataset.inputs.extent(1));
  std::map<std::size_t, std::vector<std::int64_t>> by_length;
  for (std::int64_t row = 0; row < dataset.size(); ++row) {
    const auto begin = tokens.begin() + row * static_cast<std::ptrdiff_t>(longest);
    const auto length =
        static_cast<std::size_t>(std::find(begin, begin + static_cast<std::ptrdiff_t>(longest), -1) - begin);
    const std::size_t padded = std::max<std::size_t>(1, (length + step - 1) / step) * step;
    by_length[whole ? longest : std::min(longest, padded)].push_back(row);
  }
  std::vector<std::int64_t> places(static_cast<std::size_t>(dataset.size()));
  Tensor sorted(out.shape(), DType::f32, device);
  std::int64_t done = 0;
  for (const auto& [length, rows] : by_length) {
    for (std::size_t begin = 0; begin < rows.size(); begin += static_cast<std::size_t>(batch_size)) {
      const std::size_t end = std::min(rows.size(), begin + static_cast<std::size_t>(batch_size));
      std::vector<std::int32_t> batch;
      for (std::size_t i = begin; i < end; ++i) {
        const auto first = tokens.begin() + rows[i] * static_cast<std::ptrdiff_t>(longest);
        batch.insert(batch.end(), first, first + static_cast<std::ptrdiff_t>(length));
        places[static_cast<std::size_t>(rows[i])] = done + static_cast<std::int64_t>(i - begin);
      }
      const auto count = static_cast<std::int64_t>(end - begin);
      const Tensor inputs = Tensor::from(batch, {count, static_cast<std::int64_t>(length)}, device);
      (frozen.get()->*method)(inputs, sorted.view().slice(0, done, done + count));
      done += count;
    }
  }
  kernels::gather_rows(device, sorted, Tensor::from(places, {dataset.size()}, device), out);
}

/// What the function gives, checked.
Tensor FrozenSource::State::call(const data::Dataset& dataset) {
  dataset.check();
  const std::lock_guard lock(mutex);
  Tensor features = function(dataset);
  if (features.shape() != Shape{dataset.size(), feature_count} || features.dtype() != DType::f32) {
    throw ShapeError(fmt::format("FrozenSource: {} gives {} {} for {} samples of {}, not f32 [{}, {}]", name,
                                 rtl::name_of(features.dtype()), features.shape().to_string(), dataset.size(),
                                 dataset.name, dataset.size(), feature_count));
  }
  if (!kernels::all_finite(features.device(), features)) {
    throw ValueError(fmt::format("FrozenSource: {} gives NaN or infinity on {}", name, dataset.name));
  }
  return features;
}

Tensor FrozenSource::features(const data::Dataset& dataset, std::int64_t batch_size) const {
  if (!has_network()) return state_->call(dataset);
  return state_->run(dataset, batch_size, feature_count(), &layers::FrozenNetwork::features);
}

Tensor FrozenSource::logits(const data::Dataset& dataset, std::int64_t batch_size) const {
  if (classes() == 0) {
    if (!layer().empty()) {
      throw ValueError(
          fmt::format("{}: its features are those of layer {}, which its head does not take; for logits "
                      "load it without a layer",
                      name(), layer()));
    }
    throw ValueError(
        fmt::format("{} has no head, so it gives features and no logits; probe and refine take it as it is, "
                    "and fine-tune gives it a new head",
                    name()));
  }
  return state_->run(dataset, batch_size, classes(), &layers::FrozenNetwork::logits);
}

std::unique_ptr<layers::Network> FrozenSource::copy_network(const Device& device) const {
  if (!has_network()) {
    throw ValueError(
        fmt::format("{} is features alone: there is no network to train; probe and refine take it", name()));
  }
  const std::lock_guard lock(state_->mutex);
  auto copy = layers::clone(*state_->network, device);
  copy->set_trainable(true);
  return copy;
}

}  // namespace rtl::transfer
