#include "layers/stored_network.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "core/joined.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::layers {
namespace {

/// The most of an axis: samples of three axes still have a count.
constexpr std::int64_t largest_axis = 1 << 20;
/// The most columns, which have a weight each in the file.
constexpr std::int64_t most_columns = std::int64_t{1} << 40;

/// "32,32,3" to extents.
std::vector<std::int64_t> parse_numbers(const std::string& path, const std::string& key, const std::string& text) {
  const std::int64_t most = text.find(',') == std::string::npos ? most_columns : largest_axis;
  std::vector<std::int64_t> numbers;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    std::int64_t number = 0;
    const auto [stop, fault] = std::from_chars(text.data() + begin, text.data() + end, number);
    if (fault != std::errc() || stop != text.data() + end || number < 1 || number > most || numbers.size() == 3) {
      throw FormatError(path,
                        fmt::format("its metadata has {} = '{}', which is no list of up to three sizes", key, text));
    }
    numbers.push_back(number);
    begin = end + 1;
  }
  return numbers;
}

/// Throws FormatError for a value that no trained network has.
void check_values(const std::string& path, const std::string& entry, const std::string& name, const Tensor& tensor) {
  const bool variance = name.ends_with("running_var");
  const auto check = [&]<typename T>(const std::vector<T>& values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto value = static_cast<double>(values[i]);
      const char* fault = !std::isfinite(value)     ? "which no trained network has"
                          : variance && value < 0.0 ? "a variance below zero"
                                                    : nullptr;
      if (fault == nullptr) continue;
      throw FormatError(path,
                        fmt::format("tensor '{}' has {} at position {}, {}; the training diverged, or the file is "
                                    "damaged",
                                    entry, value, i, fault));
    }
  };
  tensor.dtype() == DType::f64 ? check(tensor.to_vector<double>()) : check(tensor.to_vector<float>());
}

/// The architecture of the tensors behind the prefix, which has to be the one that the metadata name.
Fit fit_of(const io::SafetensorsFile& file, const std::string& prefix, const NetworkMetadata& said) {
  std::vector<io::TensorEntry> tensors;
  for (io::TensorEntry entry : file.tensors()) {
    if (!entry.name.starts_with(prefix)) continue;
    entry.name.erase(0, prefix.size());
    if (!is_input_statistic(entry.name)) tensors.push_back(std::move(entry));
  }
  Fit found = recognise(canonical_names(stored_tensors(tensors)), *said.architecture, &*said.input, *said.variant);
  const Architecture& architecture = found.architecture;
  const bool same = architecture.name == said.architecture && architecture.variant == said.variant &&
                    architecture.input == said.input && std::to_string(architecture.classes) == said.classes &&
                    std::to_string(architecture.vocabulary) == said.vocabulary.value_or("0");
  if (same) return found;
  throw FormatError(file.path(),
                    fmt::format("metadata \"{0}architecture\" and \"{0}classes\" say {1}:{2} of {3} classes, but the "
                                "tensors are those of {4} of {5}",
                                prefix, *said.architecture, *said.variant, *said.classes, architecture.to_string(),
                                architecture.classes));
}

}  // namespace

InputStatistics append_network(Network& network, const data::InputNormalization& normalization,
                               const std::string& prefix, io::Metadata& metadata, std::vector<io::NamedView>& tensors) {
  const Architecture& architecture = network.architecture();
  metadata[prefix + "architecture"] = architecture.name;
  metadata[prefix + "variant"] = architecture.variant;
  metadata[prefix + "input"] = joined(architecture.input.extents(), ",");
  metadata[prefix + "classes"] = std::to_string(architecture.classes);
  if (architecture.takes_tokens()) metadata[prefix + "vocabulary"] = std::to_string(architecture.vocabulary);
  metadata[prefix + "normalization"] = data::to_string(normalization);
  const ModuleState state = network.state();
  for (const NamedParameter& parameter : state.parameters) {
    tensors.emplace_back(prefix + parameter.name, parameter.value());
  }
  for (const NamedBuffer& buffer : state.buffers) tensors.emplace_back(prefix + buffer.name, buffer.value());
  InputStatistics statistics(normalization, Device::cpu(1).separate());
  statistics.append_to(tensors, prefix);
  return statistics;
}

NetworkMetadata read_network_metadata(const std::string& path, const io::Metadata& metadata,
                                      const std::string& prefix) {
  const auto text = [&](const char* key) -> std::optional<std::string> {
    const auto found = metadata.find(prefix + key);
    if (found == metadata.end()) return {};
    return found->second;
  };
  NetworkMetadata said{text("architecture"), text("variant"), text("classes"), text("vocabulary"), {}};
  if (const auto input = text("input")) said.input = Shape(parse_numbers(path, prefix + "input", *input));
  return said;
}

void fill(const StoredTensors& stored, const Fit& fit, Network& network,
          const std::function<bool(const std::string&)>& wanted) {
  const Device host = network.device().is_cuda() ? Device::cpu(1).separate() : network.device();
  std::vector<std::pair<Tensor, Tensor*>> ready;
  const auto read = [&](const std::string& name, Tensor& target) {
    if (!wanted(name)) return;
    const std::string& entry = fit.files.at(name);
    Tensor loaded = stored.load(entry, host);
    if (loaded.dtype() != target.dtype()) {
      Tensor converted(loaded.shape(), target.dtype(), host);
      kernels::cast(host, loaded, converted);
      loaded = std::move(converted);
    }
    check_values(stored.path, entry, name, loaded);
    ready.emplace_back(std::move(loaded), &target);
  };
  ModuleState state = network.state();
  for (const NamedParameter& parameter : state.parameters) read(parameter.name, parameter.value());
  for (const NamedBuffer& buffer : state.buffers) read(buffer.name, buffer.value());
  for (const auto& [values, target] : ready) copy_bytes(values, *target);
}

std::unique_ptr<Network> read_network(const io::SafetensorsFile& file, const std::string& prefix,
                                      const Device& device) {
  const NetworkMetadata said = read_network_metadata(file.path(), file.metadata(), prefix);
  const auto need = [&](bool given, const char* key) {
    if (!given) throw FormatError(file.path(), fmt::format("the metadata lack \"{}{}\"", prefix, key));
  };
  need(said.architecture.has_value(), "architecture");
  need(said.variant.has_value(), "variant");
  need(said.input.has_value(), "input");
  need(said.classes.has_value(), "classes");
  try {
    const Fit fit = fit_of(file, prefix, said);
    std::unique_ptr<Network> network = make_network(fit.architecture, device, 0);
    const auto load = [&](const std::string& name, const Device& host) { return file.load(prefix + name, host); };
    fill({file.path(), load}, fit, *network);
    return network;
  } catch (const ValueError& error) {
    throw FormatError(file.path(), error.what());
  }
}

}  // namespace rtl::layers
