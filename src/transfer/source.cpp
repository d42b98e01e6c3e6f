#include "rtl/transfer/source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "rtl/io/hash.hpp"
#include "rtl/kernels/reduce.hpp"
#include "rtl/layers/frozen_network.hpp"
#include "rtl/layers/model.hpp"
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

/// Of what gives the features.
std::uint64_t hash_of(layers::Network& network, const std::string& layer) {
  const std::uint64_t weights = weights_hash(network);
  return layer.empty() ? weights : io::Hash64().add(weights).add(layer).value();
}

}  // namespace

struct FrozenSource::State {
  explicit State(const Device& where) : device(where) {}
  std::unique_ptr<layers::Network> network;
  std::unique_ptr<layers::FrozenNetwork> frozen;
  data::InputNormalization normalization;
  std::string name;
  std::string layer;
  Precision precision = Precision::f32;
  Device device;
  std::uint64_t fingerprint = 0;
  std::mutex mutex;

  using Run = void (layers::FrozenNetwork::*)(ConstView, View);
  Tensor run(const data::Dataset& dataset, std::int64_t batch_size, std::int64_t columns, Run function);
};

FrozenSource::FrozenSource(std::unique_ptr<layers::Network> network,
                           std::optional<data::InputNormalization> normalization, std::string name, Precision precision,
                           std::string layer) {
  if (!network) throw ValueError("FrozenSource: there is no network; build or load one first");
  const Device device = network->device();
  for (const auto& parameter : network->state().parameters) {
    if (kernels::all_finite(device, parameter.value())) continue;
    throw ValueError(fmt::format("FrozenSource: {} of {} holds NaN or infinity; train or download the source again",
                                 parameter.name, network->architecture().to_string()));
  }
  network->set_trainable(false);
  auto frozen = std::make_unique<layers::FrozenNetwork>(*network, precision, layer);
  const std::uint64_t fingerprint = hash_of(*network, layer);
  if (name.empty()) name = network->architecture().to_string();
  auto chosen = input_normalization(network->architecture(), std::move(normalization));
  state_ = std::make_shared<State>(device);
  state_->network = std::move(network);
  state_->frozen = std::move(frozen);
  state_->normalization = std::move(chosen);
  state_->name = std::move(name);
  state_->layer = std::move(layer);
  state_->precision = precision;
  state_->fingerprint = fingerprint;
}

const std::string& FrozenSource::name() const { return state_->name; }
const layers::Architecture& FrozenSource::architecture() const { return state_->network->architecture(); }
const data::InputNormalization& FrozenSource::normalization() const { return state_->normalization; }
Precision FrozenSource::precision() const { return state_->precision; }
const Device& FrozenSource::device() const { return state_->device; }
const std::string& FrozenSource::layer() const { return state_->layer; }
std::int64_t FrozenSource::feature_count() const { return state_->frozen->feature_count(); }
std::int64_t FrozenSource::classes() const { return layer().empty() ? architecture().classes : 0; }
std::int64_t FrozenSource::parameter_count() const { return state_->network->parameter_count(); }
std::uint64_t FrozenSource::fingerprint() const { return state_->fingerprint; }

std::uint64_t FrozenSource::current_hash() const {
  const std::lock_guard lock(state_->mutex);
  return hash_of(*state_->network, state_->layer);
}

Tensor FrozenSource::State::run(const data::Dataset& dataset, std::int64_t batch_size, std::int64_t columns,
                                Run function) {
  const layers::Architecture& architecture = network->architecture();
  dataset.check();
  if (dataset.sample_shape() != architecture.input) {
    throw ShapeError(
        fmt::format("FrozenSource: the samples of {} are {}, but {} takes {}; resize the data or take "
                    "another source",
                    dataset.name, dataset.sample_shape().to_string(), name, architecture.input.to_string()));
  }
  if (batch_size < 1) throw ValueError("FrozenSource: batch_size must be positive");
  const std::lock_guard lock(mutex);
  const detail::PlacedDataset placed(dataset, device);
  const detail::InputGather gather(*placed, normalization, DType::f32, device);
  const std::int64_t rows = dataset.size();
  const Tensor all_rows = detail::counting_rows(rows, device);
  Tensor out({rows, columns}, DType::f32, device);
  for (std::int64_t begin = 0; begin < rows; begin += batch_size) {
    const std::int64_t end = std::min(rows, begin + batch_size);
    const Tensor inputs = gather(all_rows.view().slice(0, begin, end), activation_dtype(precision, DType::f32));
    (frozen.get()->*function)(inputs, out.view().slice(0, begin, end));
  }
  if (!kernels::all_finite(device, out)) {
    throw ValueError(
        fmt::format("FrozenSource: {} gives NaN or infinity on {}; check that its input normalisation ({}) "
                    "is the one it was trained with",
                    name, dataset.name, data::to_string(normalization)));
  }
  return out;
}

Tensor FrozenSource::features(const data::Dataset& dataset, std::int64_t batch_size) const {
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
  const std::lock_guard lock(state_->mutex);
  auto copy = layers::clone(*state_->network, device);
  copy->set_trainable(true);
  return copy;
}

}  // namespace rtl::transfer
