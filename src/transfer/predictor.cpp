#include "rtl/transfer/predictor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <utility>

#include "rtl/io/safetensors.hpp"
#include "rtl/layers/checkpoint.hpp"
#include "rtl/transfer/archive.hpp"
#include "rtl/transfer/predictors.hpp"
#include "transfer/features.hpp"
#include "transfer/predictor_kinds.hpp"
#include "transfer/task_text.hpp"

namespace rtl::transfer {
namespace {

const char* const kind = "rtl predictor 1";
const char* const root = "model";

struct Added {
  std::mutex mutex;
  std::deque<PredictorKind> kinds;
};

Added& added() {
  static Added all;
  return all;
}

/// A network alone is an ordinary checkpoint, which other programs read too.
Fitted load_checkpoint(const std::string& path, const Device& device) {
  layers::LoadedNetwork loaded = layers::load_network(path, device);
  const auto strategy = loaded.metadata.find("strategy");
  const auto described = loaded.metadata.find(detail::task_key);
  Task task{.outputs = loaded.network->architecture().classes};
  if (described != loaded.metadata.end()) task = detail::decode_task(path, described->second, task.outputs);
  auto normalization = loaded.normalization.value_or(default_normalization(loaded.network->architecture()));
  Fitted fitted(strategy == loaded.metadata.end() ? "scratch" : strategy->second, std::move(task),
                std::make_unique<NetworkPredictor>(std::move(loaded.network), std::move(normalization)));
  fitted.set_inputs(std::move(loaded.inputs));
  return fitted;
}

/// Sequences of tokens may be shorter.
bool fits(const Shape& sample, const data::Dataset& dataset) {
  if (!dataset.has_tokens()) return sample == dataset.sample_shape();
  return sample.rank() == 1 && dataset.inputs.extent(1) <= sample[0];
}

}  // namespace

const PredictorKind* detail::find_predictor_kind(const std::string& name) {
  for (const PredictorKind* kind : predictors::all()) {
    if (kind->name == name) return kind;
  }
  const std::lock_guard lock(added().mutex);
  for (const PredictorKind& kind : added().kinds) {
    if (kind.name == name) return &kind;
  }
  return nullptr;
}

void register_predictor(const PredictorKind& kind) {
  if (const PredictorKind* known = detail::find_predictor_kind(kind.name); known != nullptr) {
    if (known->read == kind.read) return;
    throw ValueError(fmt::format("register_predictor: there is another kind \"{}\"", kind.name));
  }
  const std::lock_guard lock(added().mutex);
  added().kinds.push_back(kind);
}

Fitted::Fitted(std::string strategy, Task task, std::unique_ptr<Predictor> predictor, TrainingRecord record)
    : strategy_(std::move(strategy)),
      task_(std::move(task)),
      predictor_(std::move(predictor)),
      record_(std::move(record)) {
  if (!predictor_) throw ValueError(fmt::format("{}: there is no predictor", strategy_));
}
Fitted::Fitted(Fitted&&) noexcept = default;
Fitted& Fitted::operator=(Fitted&&) noexcept = default;
Fitted::~Fitted() = default;

Tensor Fitted::outputs(const data::Dataset& dataset, const FeatureLookup& features) const {
  dataset.check();
  if (const std::optional<Shape> sample = predictor_->sample(); sample && !fits(*sample, dataset)) {
    throw ShapeError(fmt::format("Fitted::outputs: the samples of {} are {}, the model was fitted to {}", dataset.name,
                                 dataset.sample_shape().to_string(), sample->to_string()));
  }
  return in_units(task_, predictor_->predict(dataset, features));
}

Tensor Fitted::outputs(const data::Dataset& dataset, FeatureCache* cache) const {
  return outputs(dataset, detail::features_of(dataset, cache));
}

Tensor Fitted::outputs(ConstView inputs) const {
  data::Dataset dataset;
  dataset.inputs = Tensor(inputs.shape(), inputs.dtype(), inputs.device());
  if (dataset.has_tokens()) dataset.vocabulary = 1;  // the network's, which is larger, is looked up in
  copy_bytes(inputs, dataset.inputs);
  dataset.name = "inputs";
  return outputs(dataset);
}

std::vector<BlockInfluence> Fitted::block_influence(const data::Dataset& dataset, FeatureCache* cache) const {
  dataset.check();
  return predictor_->influence(task_, dataset, detail::features_of(dataset, cache));
}

void Fitted::save(const std::string& path) const {
  if (auto* alone = dynamic_cast<NetworkPredictor*>(predictor_.get()); alone != nullptr) {
    io::Metadata facts{{"strategy", strategy_}, {detail::task_key, detail::encode_task(task_)}};
    facts.merge(inputs_.entries());
    layers::save_network(path, alone->network(), alone->normalization(), facts);
    return;
  }
  ArchiveWriter archive;
  archive.text("kind", kind);
  archive.text("strategy", strategy_);
  archive.text(detail::task_key, detail::encode_task(task_));
  for (const auto& [key, text] : inputs_.entries()) archive.text(key, text);
  archive.predictor(root, *predictor_);
  archive.save(path);
}

Fitted Fitted::load(const std::string& path, const Device& device) {
  const ArchiveReader archive(path, device);
  if (!archive.has("kind")) return load_checkpoint(path, device);
  if (archive.text("kind") != kind) {
    archive.fail(fmt::format("it holds '{}', not '{}'", archive.text("kind"), kind));
  }
  std::unique_ptr<Predictor> predictor = archive.predictor(root);
  Task task = detail::decode_task(path, archive.text(detail::task_key), predictor->outputs_count());
  Fitted fitted(archive.text("strategy"), std::move(task), std::move(predictor));
  std::map<std::string, std::string> entries;
  for (const std::string& key : data::FittedInputs::keys()) {
    if (archive.has(key)) entries[key] = archive.text(key);
  }
  fitted.set_inputs(data::FittedInputs::parse(path, entries));
  return fitted;
}

}  // namespace rtl::transfer
