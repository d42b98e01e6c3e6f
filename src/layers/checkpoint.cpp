#include "rtl/layers/checkpoint.hpp"

#include <fmt/format.h>

#include <fnmatch.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <utility>

#include "core/joined.hpp"
#include "layers/checkpoint_file.hpp"
#include "layers/input_statistics.hpp"
#include "layers/recognise.hpp"
#include "rtl/io/safetensors.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::layers {
namespace {

/// "32,32,3" to extents.
std::vector<std::int64_t> parse_numbers(const std::string& path, const std::string& key, const std::string& text) {
  std::vector<std::int64_t> numbers;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    std::int64_t number = 0;
    const auto [stop, fault] = std::from_chars(text.data() + begin, text.data() + end, number);
    if (fault != std::errc() || stop != text.data() + end || number < 1 || number > (1 << 20) || numbers.size() == 3) {
      throw FormatError(path,
                        fmt::format("its metadata has {} = '{}', which is no list of up to three sizes", key, text));
    }
    numbers.push_back(number);
    begin = end + 1;
  }
  return numbers;
}

/// The names of a file's tensors, with the fault of two that are one.
CheckpointNames names_of(const CheckpointFile& file) {
  try {
    return canonical_names(stored_tensors(file.tensors(), file.unread()));
  } catch (const ValueError& error) {
    throw FormatError(file.path(), error.what());
  }
}

/// The same network for images of another height and width, if its tensors are the same there.
Fit fit_of_size(const CheckpointNames& names, Fit found, const Shape& sample) {
  Architecture resized = found.architecture;
  resized.input = {sample[0], sample[1], resized.input[2]};
  try {
    Fit fitted = fit(names, resized);
    return fitted.good() ? fitted : found;
  } catch (const ValueError&) {
    return found;  // too small for it
  }
}

/// Sizes always come from the tensors, so that metadata cannot ask for more memory than the file has.
Fit fit_of(const CheckpointFile& file, const CheckpointNames& names, const std::string& hint,
           const std::optional<Shape>& sample) {
  const io::Metadata& metadata = file.metadata();
  if (const auto kind = metadata.find("kind"); kind != metadata.end() && kind->second.starts_with("rtl ")) {
    throw FormatError(file.path(), fmt::format("it holds '{}', not one network", kind->second));
  }
  const auto named = metadata.find("architecture");
  const auto sized = metadata.find("input");
  std::optional<Shape> input;
  if (sized != metadata.end()) input = Shape(parse_numbers(file.path(), "input", sized->second));
  const auto colon = hint.find(':');
  std::string name = hint.substr(0, colon), variant = colon == std::string::npos ? "" : hint.substr(colon + 1);
  if (named != metadata.end()) {
    const auto said = metadata.find("variant");
    name = named->second;
    variant = said == metadata.end() ? "" : said->second;
  }
  Fit found;
  try {
    found = recognise(names, name, input ? &*input : nullptr, variant);
  } catch (const ValueError& error) {
    throw FormatError(file.path(), error.what());
  }
  if (!input && sample && sample->rank() == 3 && found.architecture.input.rank() == 3) {
    found = fit_of_size(names, std::move(found), *sample);
  }
  const Architecture& architecture = found.architecture;
  const bool fits = hint.empty() || hint == architecture.to_string() || hint == architecture.name;
  if (!fits) throw FormatError(file.path(), fmt::format("it holds {}, not {}", architecture.to_string(), hint));
  const auto classes = metadata.find("classes");
  if (architecture.classes == 0 && classes != metadata.end() && classes->second != "0") {
    throw FormatError(file.path(),
                      fmt::format("its metadata has {} classes, but its head is missing", classes->second));
  }
  return found;
}

/// Throws FormatError for a value that no trained network has.
void check_values(const CheckpointFile& file, const std::string& entry, const std::string& name, const Tensor& tensor) {
  const bool variance = name.ends_with("running_var");
  const auto check = [&]<typename T>(const std::vector<T>& values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto value = static_cast<double>(values[i]);
      const char* fault = !std::isfinite(value)     ? "which no trained network has"
                          : variance && value < 0.0 ? "a variance below zero"
                                                    : nullptr;
      if (fault == nullptr) continue;
      throw FormatError(file.path(),
                        fmt::format("tensor '{}' has {} at position {}, {}; the training diverged, or the file is "
                                    "damaged",
                                    entry, value, i, fault));
    }
  };
  tensor.dtype() == DType::f64 ? check(tensor.to_vector<double>()) : check(tensor.to_vector<float>());
}

/// Copies the file's tensors that `wanted` says yes to into the network, after all of them have been read and checked.
void fill(
    const CheckpointFile& file, const Fit& fit, Network& network,
    const std::function<bool(const std::string&)>& wanted = [](const std::string&) { return true; }) {
  const Device host = network.device().is_cuda() ? Device::cpu(1).separate() : network.device();
  std::vector<std::pair<Tensor, Tensor*>> ready;
  const auto read = [&](const std::string& name, Tensor& target) {
    if (!wanted(name)) return;
    const std::string& entry = fit.files.at(name);
    Tensor loaded = file.load(entry, host);
    if (loaded.dtype() != target.dtype()) {
      Tensor converted(loaded.shape(), target.dtype(), host);
      kernels::cast(host, loaded, converted);
      loaded = std::move(converted);
    }
    check_values(file, entry, name, loaded);
    ready.emplace_back(std::move(loaded), &target);
  };
  ModuleState state = network.state();
  for (const NamedParameter& parameter : state.parameters) read(parameter.name, parameter.value());
  for (const NamedBuffer& buffer : state.buffers) read(buffer.name, buffer.value());
  for (const auto& [values, target] : ready) copy_bytes(values, *target);
}

std::vector<std::string> notes_of(const CheckpointNames& names, const Fit& fit) {
  std::vector<std::string> notes = names.notes;
  if (!fit.left_out.empty()) notes.push_back(fmt::format("left out: {}", first_few(fit.left_out)));
  if (fit.architecture.classes == 0) notes.emplace_back("it has no head");
  return notes;
}

}  // namespace

void save_network(const std::string& path, Network& network, const data::InputNormalization& normalization,
                  const std::map<std::string, std::string>& extra) {
  const Architecture& architecture = network.architecture();
  io::Metadata metadata = extra;
  metadata["architecture"] = architecture.name;
  metadata["variant"] = architecture.variant;
  metadata["input"] = joined(architecture.input.extents(), ",");
  metadata["classes"] = std::to_string(architecture.classes);
  if (architecture.takes_tokens()) metadata["vocabulary"] = std::to_string(architecture.vocabulary);
  metadata["normalization"] = data::to_string(normalization);
  std::vector<io::NamedView> tensors;
  const ModuleState state = network.state();
  for (const NamedParameter& parameter : state.parameters) {
    tensors.emplace_back(parameter.name, parameter.value());
  }
  for (const NamedBuffer& buffer : state.buffers) tensors.emplace_back(buffer.name, buffer.value());
  const InputStatistics statistics(normalization, Device::cpu(1).separate());
  statistics.append_to(tensors, "");
  io::write_safetensors(path, tensors, metadata);
}

LoadedNetwork load_network(const std::string& path, const Device& device, const std::optional<std::string>& hint,
                           DType dtype, const std::optional<Shape>& sample) {
  const CheckpointFile file(path);
  LoadedNetwork loaded;
  const CheckpointNames names = names_of(file);
  const Fit fit = fit_of(file, names, hint.value_or(""), sample);
  loaded.network = make_network(fit.architecture, device, 0, dtype);
  fill(file, fit, *loaded.network);
  loaded.notes = notes_of(names, fit);
  StatisticNames statistics;
  for (const auto& [name, tensor] : names.input_statistics) statistics.emplace(name, tensor.name);
  if (const io::SafetensorsFile* single = file.single()) {
    loaded.normalization = read_normalization(*single, "", statistics);
  }
  const Shape& input = loaded.network->architecture().input;
  const bool standardised = loaded.normalization && loaded.normalization->kind == data::Normalization::standardize;
  const auto said = file.metadata().find("normalization");
  if (standardised && (said == file.metadata().end() || said->second.empty())) {
    loaded.notes.emplace_back("its inputs are standardised by the input.mean and input.deviation that it holds");
  }
  if (standardised && input != Shape{static_cast<std::int64_t>(loaded.normalization->mean.size())}) {
    throw FormatError(path, fmt::format("it has the means of {} columns, but its network takes samples {}",
                                        loaded.normalization->mean.size(), input.to_string()));
  }
  loaded.metadata = file.metadata();
  loaded.inputs = data::FittedInputs::parse(path, loaded.metadata);
  return loaded;
}

std::string PartialLoad::to_string() const {
  std::string text = fmt::format("{} tensors loaded", loaded.size());
  const auto add = [&](const char* what, const std::vector<std::string>& names) {
    if (!names.empty()) text += fmt::format("; {} {}: {}", names.size(), what, joined(names, ", "));
  };
  add("kept, by the patterns", kept);
  add("missing in the file", missing);
  add("of another shape", misshaped);
  add("unexpected in the file", unexpected);
  return text;
}

PartialLoad load_matching(const std::string& path, Network& network, const std::vector<std::string>& patterns) {
  const CheckpointFile file(path);
  const Fit found = fit(names_of(file), network.architecture());
  const auto matches = [&](const std::string& name) {
    return std::any_of(patterns.begin(), patterns.end(),
                       [&](const std::string& pattern) { return fnmatch(pattern.c_str(), name.c_str(), 0) == 0; });
  };
  PartialLoad report{.missing = found.missing, .misshaped = found.misshaped, .unexpected = found.unexpected};
  for (const auto& [name, entry] : found.files) (matches(name) ? report.loaded : report.kept).push_back(name);
  if (report.loaded.empty()) {
    throw FormatError(path, fmt::format("none of its tensors fits {} and the patterns {}: {}",
                                        network.architecture().to_string(), joined(patterns, ", "), found.faults()));
  }
  fill(file, found, network, [&](const std::string& name) { return found.files.contains(name) && matches(name); });
  return report;
}

}  // namespace rtl::layers

namespace rtl::io {

void load_safetensors(const std::string& path, layers::Network& network) {
  const layers::CheckpointFile file(path);
  const layers::Fit fit = layers::fit(layers::names_of(file), network.architecture());
  if (!fit.good()) {
    throw FormatError(
        path, fmt::format("its tensors are not those of {}: {}", network.architecture().to_string(), fit.faults()));
  }
  layers::fill(file, fit, network);
}

void load_safetensors(const std::string& path, const std::unique_ptr<layers::Network>& network) {
  load_safetensors(path, *network);
}

}  // namespace rtl::io
