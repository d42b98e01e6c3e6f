#include "transfer/checkpoint.hpp"

#include <utility>

#include "rtl/io/file.hpp"
#include "rtl/io/hash.hpp"
#include "rtl/io/safetensors.hpp"
#include "transfer/place.hpp"

namespace rtl::transfer::detail {
namespace {

const char* const kind = "rtl training checkpoint 1";

/// Every tensor of a model with its name in the file.
std::vector<std::pair<std::string, Tensor*>> model_tensors(Trainable& model) {
  std::vector<std::pair<std::string, Tensor*>> tensors;
  const layers::ModuleState state = model.state();
  for (const auto& parameter : state.parameters) {
    tensors.emplace_back("parameter." + parameter.name, &parameter.variable.value());
  }
  for (const auto& buffer : state.buffers) tensors.emplace_back("buffer." + buffer.name, buffer.tensor);
  return tensors;
}

bool fits(const io::SafetensorsFile& file, std::uint64_t fingerprint,
          const std::vector<std::pair<std::string, Tensor*>>& tensors) {
  const io::Metadata& metadata = file.metadata();
  if (!metadata.contains("kind") || metadata.at("kind") != kind) return false;
  if (!metadata.contains("training") || metadata.at("training") != io::to_hex(fingerprint)) return false;
  for (const auto& [name, tensor] : tensors) {
    if (!file.contains(name) || file.entry(name).shape != tensor->shape() ||
        file.entry(name).dtype != tensor->dtype()) {
      return false;
    }
  }
  return file.contains("losses") && file.entry("losses").dtype == DType::f64;
}

}  // namespace

std::uint64_t training_fingerprint(Trainable& model, const TrainingData& data, const TrainingOptions& options) {
  io::Hash64 hash;
  hash.add(options.hash()).add(data.dataset->input_hash()).add(data::to_string(data.normalization));
  hash.add(HostBytes(data.dataset->labels).bytes());
  for (const ConstView& features : data.features) {
    Tensor copy(features.shape(), features.dtype(), model.state().parameters.front().variable.device());
    copy_bytes(features, copy);
    hash.add(features.shape().to_string()).add(HostBytes(copy).bytes());
  }
  for (const auto& [name, tensor] : model_tensors(model)) {
    hash.add(name).add(tensor->shape().to_string()).add(HostBytes(*tensor).bytes());
  }
  return hash.value();
}

void save_checkpoint(const std::string& path, std::uint64_t fingerprint, Trainable& model,
                     const optim::Optimizer& optimizer, const std::vector<double>& losses) {
  std::vector<io::NamedView> views;
  for (const auto& [name, tensor] : model_tensors(model)) views.emplace_back(name, *tensor);
  const std::vector<optim::NamedTensor> optimizer_state = optimizer.state();
  for (const auto& entry : optimizer_state) views.emplace_back("optimizer." + entry.name, entry.tensor);
  const Tensor loss_tensor =
      Tensor::from(losses, {static_cast<std::int64_t>(losses.size())}, Device::cpu(1).separate());
  views.emplace_back("losses", loss_tensor);
  io::write_safetensors(path, views, {{"kind", kind}, {"training", io::to_hex(fingerprint)}});
}

std::vector<double> load_checkpoint(const std::string& path, std::uint64_t fingerprint, Trainable& model,
                                    optim::Optimizer& optimizer) {
  if (!io::file_exists(path)) return {};
  try {
    const io::SafetensorsFile file(path);
    const auto tensors = model_tensors(model);
    if (!fits(file, fingerprint, tensors)) return {};
    const Device host = Device::cpu(1).separate();
    std::vector<optim::NamedTensor> optimizer_state;
    const std::string prefix = "optimizer.";
    for (const auto& entry : file.tensors()) {
      if (!entry.name.starts_with(prefix)) continue;
      optimizer_state.push_back({entry.name.substr(prefix.size()), file.load(entry.name, host)});
    }
    optimizer.load_state(optimizer_state);
    for (const auto& [name, tensor] : tensors) copy_bytes(file.load(name, host), *tensor);
    return file.load("losses", host).to_vector<double>();
  } catch (const Error&) {
    return {};  // damaged: the training starts from its beginning
  }
}

}  // namespace rtl::transfer::detail
