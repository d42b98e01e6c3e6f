#include "rtl/layers/checkpoint.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <utility>

#include "layers/recognise.hpp"
#include "rtl/io/safetensors.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::layers {
namespace {

/// A tensor of a file and where its values go.
struct Transfer {
  std::string entry;
  Tensor* target;
};

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

/// Sizes always come from the tensors, so that metadata cannot ask for more memory than the file has.
Architecture architecture_of(const io::SafetensorsFile& file, const std::string& hint) {
  const io::Metadata& metadata = file.metadata();
  const auto named = metadata.find("architecture");
  const auto sized = metadata.find("input");
  std::optional<Shape> input;
  if (sized != metadata.end()) input = Shape(parse_numbers(file.path(), "input", sized->second));
  Architecture architecture;
  try {
    architecture = recognise(file.tensors(), named == metadata.end() ? hint.substr(0, hint.find(':')) : named->second,
                             input ? &*input : nullptr);
  } catch (const ValueError& error) {
    throw FormatError(file.path(), error.what());
  }
  const bool fits = hint.empty() || hint == architecture.to_string() || hint == architecture.name;
  if (!fits) throw FormatError(file.path(), fmt::format("it holds {}, not {}", architecture.to_string(), hint));
  return architecture;
}

/// Pairs the file's tensors with the network's. Throws FormatError if one is missing, superfluous or of another shape.
std::vector<Transfer> match(const io::SafetensorsFile& file, Network& network) {
  std::map<std::string, const io::TensorEntry*> entries;
  for (const io::TensorEntry& entry : file.tensors()) {
    if (!is_counter(entry.name)) entries.emplace(canonical_name(entry.name), &entry);
  }
  const std::string architecture = network.architecture().to_string();
  std::vector<Transfer> transfers;
  const auto add = [&](const std::string& name, Tensor& target) {
    const auto found = entries.find(name);
    if (found == entries.end()) {
      throw FormatError(file.path(),
                        fmt::format("tensor '{}' {} of {} is missing", name, target.shape().to_string(), architecture));
    }
    const io::TensorEntry& entry = *found->second;
    if (entry.shape != target.shape() || !is_floating(entry.dtype)) {
      throw FormatError(file.path(), fmt::format("tensor '{}' is {} {}; {} needs {}, floating point", entry.name,
                                                 name_of(entry.dtype), entry.shape.to_string(), architecture,
                                                 target.shape().to_string()));
    }
    transfers.push_back({entry.name, &target});
    entries.erase(found);
  };
  ModuleState state = network.state();
  for (const NamedParameter& parameter : state.parameters) add(parameter.name, parameter.variable.value());
  for (const NamedBuffer& buffer : state.buffers) add(buffer.name, *buffer.tensor);
  if (!entries.empty()) {
    throw FormatError(file.path(),
                      fmt::format("tensor '{}' does not belong to {}", entries.begin()->first, architecture));
  }
  return transfers;
}

void fill(const io::SafetensorsFile& file, Network& network) {
  const Device host = Device::cpu();
  for (const Transfer& transfer : match(file, network)) {
    Tensor& target = *transfer.target;
    const Tensor loaded = file.load(transfer.entry, host);
    if (loaded.dtype() == target.dtype()) {
      copy_bytes(loaded, target);
    } else {
      Tensor converted(loaded.shape(), target.dtype(), host);
      kernels::cast(host, loaded, converted);
      copy_bytes(converted, target);
    }
  }
}

}  // namespace

void save_network(const std::string& path, Network& network, const std::string& normalization,
                  const std::map<std::string, std::string>& extra) {
  const Architecture& architecture = network.architecture();
  io::Metadata metadata = extra;
  metadata["architecture"] = architecture.name;
  metadata["variant"] = architecture.variant;
  metadata["input"] = fmt::format("{}", fmt::join(architecture.input.extents(), ","));
  metadata["classes"] = std::to_string(architecture.classes);
  metadata["normalization"] = normalization;
  std::vector<io::NamedView> tensors;
  const ModuleState state = network.state();
  for (const NamedParameter& parameter : state.parameters) {
    tensors.emplace_back(parameter.name, parameter.variable.value());
  }
  for (const NamedBuffer& buffer : state.buffers) tensors.emplace_back(buffer.name, *buffer.tensor);
  io::write_safetensors(path, tensors, metadata);
}

LoadedNetwork load_network(const std::string& path, const Device& device, const std::optional<std::string>& hint,
                           DType dtype) {
  const io::SafetensorsFile file(path);
  LoadedNetwork loaded;
  loaded.network = make_network(architecture_of(file, hint.value_or("")), device, 0, dtype);
  fill(file, *loaded.network);
  const auto normalization = file.metadata().find("normalization");
  if (normalization != file.metadata().end()) loaded.normalization = normalization->second;
  loaded.metadata = file.metadata();
  return loaded;
}

}  // namespace rtl::layers

namespace rtl::io {

void load_safetensors(const std::string& path, layers::Network& network) {
  layers::fill(SafetensorsFile(path), network);
}

void load_safetensors(const std::string& path, const std::unique_ptr<layers::Network>& network) {
  load_safetensors(path, *network);
}

}  // namespace rtl::io
