#include "rtl/layers/checkpoint.hpp"

#include <fmt/format.h>

#include <fnmatch.h>

#include <algorithm>
#include <utility>

#include "core/joined.hpp"
#include "layers/checkpoint_file.hpp"
#include "layers/model_config.hpp"
#include "layers/recognise.hpp"
#include "layers/stored_network.hpp"
#include "rtl/io/safetensors.hpp"

namespace rtl::layers {
namespace {

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
  const NetworkMetadata said = read_network_metadata(file.path(), metadata, "");
  const auto colon = hint.find(':');
  std::string name = hint.substr(0, colon), variant = colon == std::string::npos ? "" : hint.substr(colon + 1);
  if (said.architecture) {
    name = *said.architecture;
    variant = said.variant.value_or("");
  }
  Fit found;
  try {
    const ModelConfig config = said.architecture ? ModelConfig{} : model_config_beside(file.path());
    found = recognise(names, name, said.input ? &*said.input : nullptr, variant, config);
    config.check(found.architecture.name);
  } catch (const ValueError& error) {
    throw FormatError(file.path(), error.what());
  }
  if (!said.input && sample && sample->rank() == 3 && found.architecture.input.rank() == 3) {
    found = fit_of_size(names, std::move(found), *sample);
  }
  const Architecture& architecture = found.architecture;
  const bool fits = hint.empty() || hint == architecture.to_string() || hint == architecture.name;
  if (!fits) throw FormatError(file.path(), fmt::format("it holds {}, not {}", architecture.to_string(), hint));
  if (architecture.classes == 0 && said.classes.value_or("0") != "0") {
    throw FormatError(file.path(), fmt::format("its metadata has {} classes, but its head is missing", *said.classes));
  }
  return found;
}

StoredTensors tensors_of(const CheckpointFile& file) {
  return {file.path(), [&file](const std::string& name, const Device& host) { return file.load(name, host); }};
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
  io::Metadata metadata = extra;
  std::vector<io::NamedView> tensors;
  const InputStatistics statistics = append_network(network, normalization, "", metadata, tensors);
  io::write_safetensors(path, tensors, metadata);
}

LoadedNetwork load_network(const std::string& path, const Device& device, const std::optional<std::string>& hint,
                           DType dtype, const std::optional<Shape>& sample) {
  const CheckpointFile file(path);
  LoadedNetwork loaded;
  const CheckpointNames names = names_of(file);
  const Fit fit = fit_of(file, names, hint.value_or(""), sample);
  loaded.network = make_network(fit.architecture, device, 0, dtype);
  fill(tensors_of(file), fit, *loaded.network);
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
  fill(tensors_of(file), found, network,
       [&](const std::string& name) { return found.files.contains(name) && matches(name); });
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
  layers::fill(layers::tensors_of(file), fit, network);
}

void load_safetensors(const std::string& path, const std::unique_ptr<layers::Network>& network) {
  load_safetensors(path, *network);
}

}  // namespace rtl::io
