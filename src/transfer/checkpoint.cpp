#include "transfer/checkpoint.hpp"

#include <fmt/format.h>

#include <utility>

#include "rtl/io/file.hpp"
#include "rtl/io/hash.hpp"
#include "rtl/io/safetensors.hpp"
#include "transfer/option_facts.hpp"
#include "transfer/place.hpp"

namespace rtl::transfer::detail {
namespace {

const char* const kind = "rtl training checkpoint 2";

/// Every tensor of a model with its name in the file.
std::vector<std::pair<std::string, Tensor*>> model_tensors(Trainable& model) {
  std::vector<std::pair<std::string, Tensor*>> tensors;
  const layers::ModuleState state = model.state();
  for (const auto& parameter : state.parameters) {
    tensors.emplace_back("parameter." + parameter.name, &parameter.value());
  }
  for (const auto& buffer : state.buffers) tensors.emplace_back("buffer." + buffer.name, &buffer.value());
  return tensors;
}

/// The protocol of the training that a file belongs to. Throws FormatError for damage, ValueError for a file that is
/// intact and no training's.
Facts protocol_in(const io::SafetensorsFile& file) {
  const auto found = file.metadata().find("kind");
  if (found == file.metadata().end() || found->second != kind) {
    throw ValueError(
        fmt::format("{}: is no unfinished training; it is kept: move it, or name another file for the "
                    "training's state",
                    file.path()));
  }
  const auto protocol = file.metadata().find("protocol");
  if (file.content_hash().empty() || protocol == file.metadata().end()) {
    throw FormatError(file.path(), "is damaged: it lacks what a training's checkpoint has");
  }
  const io::Json json = io::parse_json(file.path(), protocol->second, "the protocol");
  return io::decode_json(file.path(), [&] { return facts_from(json); });
}

/// Throws ValueError unless the file is this training's.
void check_protocol(const io::SafetensorsFile& file, const Facts& protocol) {
  const std::string different = differences(protocol, protocol_in(file));
  if (different.empty()) return;
  throw ValueError(
      fmt::format("{}: it is another training's, which is kept: {}. Go on with that one's options, move "
                  "the file, or name another",
                  file.path(), different));
}

void tell_damaged(const FormatError& error, const std::function<void(const std::string&)>& notice) {
  if (notice) notice(fmt::format("{}; it is not used, and the training starts from its beginning", error.what()));
}

/// Refuses tensors that are not the model's, before any is changed.
void check_tensors(const io::SafetensorsFile& file, const std::vector<std::pair<std::string, Tensor*>>& tensors) {
  for (const auto& [name, tensor] : tensors) {
    const io::TensorEntry& entry = file.entry(name);
    if (entry.shape != tensor->shape() || entry.dtype != tensor->dtype()) {
      throw FormatError(file.path(), fmt::format("tensor '{}' is not the model's", name));
    }
  }
  if (file.entry("losses").dtype != DType::f64) throw FormatError(file.path(), "the losses are not f64");
}

/// A state that is not this optimizer's, in a file of this training, is damage.
void load_optimizers(const std::string& path, OptimizerSet& optimizers, const std::vector<optim::NamedTensor>& state) {
  try {
    optimizers.load_state(state);
  } catch (const ValueError& error) {
    throw FormatError(path, error.what());
  } catch (const ShapeError& error) {
    throw FormatError(path, error.what());
  } catch (const DTypeError& error) {
    throw FormatError(path, error.what());
  }
}

}  // namespace

Facts training_protocol(Trainable& model, const TrainingData& data, const TrainingOptions& options) {
  const Device device = model.state().parameters.front().value().device();
  Facts facts = machine_facts(device.kind(), device.threads());
  facts.push_back({"seed", std::to_string(options.seed)});
  const Facts chosen = facts_of(options);
  facts.insert(facts.end(), chosen.begin(), chosen.end());
  io::Hash64 content;
  content.add(data.dataset->input_hash()).add(data.normalization.hash());
  if (data.dataset->weights.defined()) content.add(HostBytes(data.dataset->weights).bytes());
  const bool real = data.dataset->is_regression();
  content.add(HostBytes(real ? data.dataset->targets : data.dataset->labels).bytes());
  facts.push_back(
      content_fact("data", content.value(), fmt::format("{} ({} samples)", data.dataset->name, data.dataset->size())));
  const std::string description = model.description();
  if (!description.empty()) facts.push_back({"objective", description});
  if (data.source != nullptr) {
    const data::Dataset& source = *data.source->dataset;
    io::Hash64 hash;
    hash.add(source.input_hash()).add(data.source->normalization.hash());
    if (source.has_labels()) hash.add(HostBytes(source.labels).bytes());
    facts.push_back(
        content_fact("source's data", hash.value(), fmt::format("{} ({} samples)", source.name, source.size())));
  }
  for (std::size_t k = 0; k < data.features.size(); ++k) {
    // As a model sees them, however they are stored.
    const Tensor features = gathered(data.features[k], device);
    const std::string shape = features.shape().to_string();
    facts.push_back(content_fact(fmt::format("frozen features {}", k + 1),
                                 io::Hash64().add(shape).add(HostBytes(features).bytes()).value(), shape));
  }
  io::Hash64 weights;
  std::int64_t count = 0;
  for (const auto& [name, tensor] : model_tensors(model)) {
    weights.add(name).add(tensor->shape().to_string()).add(HostBytes(*tensor).bytes());
    count += tensor->count();
  }
  for (const auto& parameter : model.state().parameters) {
    if (!parameter.parameter->trainable) weights.add("frozen " + parameter.name);
  }
  facts.push_back(content_fact("model and initial weights", weights.value(), fmt::format("{} numbers", count)));
  return facts;
}

void save_checkpoint(const std::string& path, const Facts& protocol, Trainable& model, const OptimizerSet& optimizers,
                     const std::vector<double>& losses) {
  std::vector<io::NamedView> views;
  for (const auto& [name, tensor] : model_tensors(model)) views.emplace_back(name, *tensor);
  const std::vector<optim::NamedTensor> optimizer_state = optimizers.state();
  for (const auto& entry : optimizer_state) views.emplace_back("optimizer." + entry.name, entry.tensor);
  const Tensor loss_tensor =
      Tensor::from(losses, {static_cast<std::int64_t>(losses.size())}, Device::cpu(1).separate());
  views.emplace_back("losses", loss_tensor);
  io::write_safetensors(path, views, {{"kind", kind}, {"protocol", to_json(protocol).dump()}});
}

void keep_other_training(const std::string& path, const Facts& protocol,
                         const std::function<void(const std::string&)>& notice) {
  if (!io::file_exists(path)) return;
  try {
    check_protocol(io::SafetensorsFile(path), protocol);
    if (notice) {
      notice(
          fmt::format("{}: keeps this training, begun before; it was not asked to resume, starts from its "
                      "beginning and replaces the file",
                      path));
    }
  } catch (const FormatError& error) {
    tell_damaged(error, notice);
  }
}

std::vector<double> load_checkpoint(const std::string& path, const Facts& protocol, Trainable& model,
                                    OptimizerSet& optimizers, const std::function<void(const std::string&)>& notice) {
  if (!io::file_exists(path)) return {};
  try {
    const io::SafetensorsFile file(path);
    check_protocol(file, protocol);
    const auto tensors = model_tensors(model);
    check_tensors(file, tensors);
    const Device host = Device::cpu(1).separate();
    std::vector<optim::NamedTensor> optimizer_state;
    const std::string prefix = "optimizer.";
    for (const auto& entry : file.tensors()) {
      if (!entry.name.starts_with(prefix)) continue;
      optimizer_state.push_back({entry.name.substr(prefix.size()), file.load(entry.name, host)});
    }
    std::vector<double> losses = file.load("losses", host).to_vector<double>();
    load_optimizers(path, optimizers, optimizer_state);
    for (const auto& [name, tensor] : tensors) copy_bytes(file.load(name, host), *tensor);
    return losses;
  } catch (const FormatError& error) {
    tell_damaged(error, notice);
    return {};
  }
}

}  // namespace rtl::transfer::detail
