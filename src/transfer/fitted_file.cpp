// Fitted models in safetensors files.
#include <fmt/format.h>

#include <charconv>
#include <list>
#include <utility>

#include "core/joined.hpp"
#include "io/json.hpp"
#include "layers/input_statistics.hpp"
#include "layers/recognise.hpp"
#include "rtl/io/safetensors.hpp"
#include "rtl/layers/checkpoint.hpp"
#include "transfer/model.hpp"

namespace rtl::transfer {
namespace {

using Model = Fitted::Model;

const char* const kind = "rtl fitted model 1";

std::string join(const Shape& shape) { return joined(shape.extents(), ","); }

std::string source_prefix(std::size_t k) { return fmt::format("source{}.", k); }

void describe(io::Metadata& metadata, const std::string& prefix, const layers::Architecture& architecture,
              const data::InputNormalization& normalization) {
  metadata[prefix + "architecture"] = architecture.name;
  metadata[prefix + "variant"] = architecture.variant;
  metadata[prefix + "input"] = join(architecture.input);
  metadata[prefix + "classes"] = std::to_string(architecture.classes);
  metadata[prefix + "normalization"] = data::to_string(normalization);
}

void add_network(std::vector<io::NamedView>& views, const std::string& prefix, layers::Network& network) {
  const layers::ModuleState state = network.state();
  for (const auto& parameter : state.parameters) views.emplace_back(prefix + parameter.name, parameter.value());
  for (const auto& buffer : state.buffers) views.emplace_back(prefix + buffer.name, buffer.value());
}

/// Reads metadata and tensors of one file, with errors that name it.
class Reader {
 public:
  Reader(const std::string& path, const Device& device) : file_(path), device_(device) {}

  bool is_fused() const { return file_.metadata().contains("kind") && file_.metadata().at("kind") == kind; }

  const std::string& text(const std::string& key) const {
    const auto found = file_.metadata().find(key);
    if (found == file_.metadata().end()) throw FormatError(file_.path(), "the metadata lack \"" + key + "\"");
    return found->second;
  }

  std::int64_t number(const std::string& key) const { return parse(text(key), key); }

  /// f32 where nothing is said.
  Precision precision(const std::string& prefix) const {
    const auto found = file_.metadata().find(prefix + "precision");
    if (found == file_.metadata().end()) return Precision::f32;
    try {
      return parse_precision(found->second);
    } catch (const ValueError& error) {
      throw FormatError(file_.path(), fmt::format("metadata \"{}precision\": {}", prefix, error.what()));
    }
  }

  Shape shape(const std::string& key) const {
    std::vector<std::int64_t> extents;
    std::string rest = text(key);
    while (!rest.empty()) {
      const std::size_t comma = rest.find(',');
      extents.push_back(parse(rest.substr(0, comma), key));
      rest = comma == std::string::npos ? std::string() : rest.substr(comma + 1);
    }
    if (extents.size() > Shape::max_rank) throw FormatError(file_.path(), "metadata \"" + key + "\" is no shape");
    try {
      return Shape(extents);
    } catch (const ShapeError& error) {
      throw FormatError(file_.path(), "metadata \"" + key + "\": " + error.what());
    }
  }

  data::InputNormalization normalization(const std::string& prefix) const {
    text(prefix + "normalization");
    return layers::read_normalization(file_, prefix).value_or(data::Normalization::none);
  }

  bool contains(const std::string& name) const { return file_.contains(name); }

  Tensor tensor(const std::string& name, const Shape& shape) const {
    const io::TensorEntry& entry = file_.entry(name);
    if (entry.shape != shape || entry.dtype != DType::f32) {
      throw FormatError(file_.path(), fmt::format("tensor {} is {} {}, expected f32 {}", name, name_of(entry.dtype),
                                                  entry.shape.to_string(), shape.to_string()));
    }
    return file_.load(name, device_);
  }

  std::unique_ptr<layers::Network> network(const std::string& prefix) const {
    const layers::Architecture architecture{text(prefix + "architecture"), text(prefix + "variant"),
                                            shape(prefix + "input"), number(prefix + "classes")};
    std::unique_ptr<layers::Network> network;
    try {
      check_sizes(prefix, architecture);
      network = layers::make_network(architecture, device_, 0);
    } catch (const ValueError& error) {
      throw FormatError(file_.path(), error.what());
    }
    const layers::ModuleState state = network->state();
    for (const auto& parameter : state.parameters) fill(prefix + parameter.name, parameter.value());
    for (const auto& buffer : state.buffers) fill(prefix + buffer.name, buffer.value());
    return network;
  }

 private:
  /// The sizes are those of the tensors, so that metadata cannot ask for more memory than the file has.
  void check_sizes(const std::string& prefix, const layers::Architecture& architecture) const {
    std::vector<io::TensorEntry> tensors;
    for (io::TensorEntry entry : file_.tensors()) {
      if (!entry.name.starts_with(prefix)) continue;
      entry.name.erase(0, prefix.size());
      if (!entry.name.starts_with("feature_") && !entry.name.starts_with("input.")) tensors.push_back(std::move(entry));
    }
    const layers::CheckpointNames names = layers::canonical_names(layers::stored_tensors(tensors));
    const layers::Architecture found = layers::recognise(names, architecture.name, &architecture.input).architecture;
    if (found == architecture) return;
    throw FormatError(
        file_.path(),
        fmt::format("metadata \"{0}architecture\" and \"{0}classes\" say {1} of {2} classes, "
                    "but the tensors are those of {3} of {4}",
                    prefix, architecture.to_string(), architecture.classes, found.to_string(), found.classes));
  }

  void fill(const std::string& name, Tensor& to) const { copy_bytes(tensor(name, to.shape()), to); }

  std::int64_t parse(const std::string& text, const std::string& key) const {
    std::int64_t value = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (result.ec != std::errc() || result.ptr != text.data() + text.size() || value < 0) {
      throw FormatError(file_.path(), "metadata \"" + key + "\" holds \"" + text + "\", not a number");
    }
    return value;
  }

  io::SafetensorsFile file_;
  Device device_;
};

Fitted load_network(const std::string& path, const Device& device) {
  layers::LoadedNetwork loaded = layers::load_network(path, device);
  auto model = std::make_unique<Model>(device);
  const auto strategy = loaded.metadata.find("strategy");
  model->strategy = strategy == loaded.metadata.end() ? "scratch" : strategy->second;
  model->classes = loaded.network->architecture().classes;
  model->sample = loaded.network->architecture().input;
  model->normalization = loaded.normalization.value_or(default_normalization(loaded.network->architecture()));
  model->network = std::move(loaded.network);
  return Fitted(std::move(model));
}

}  // namespace

void Fitted::save(const std::string& path) const {
  Model& model = *model_;
  if (!model.fused()) {
    layers::save_network(path, *model.network, model.normalization, {{"strategy", model.strategy}});
    return;
  }
  io::Metadata metadata{{"kind", kind},
                        {"strategy", model.strategy},
                        {"classes", std::to_string(model.classes)},
                        {"sample", join(model.sample)},
                        {"sources", std::to_string(model.blocks.size())}};
  std::vector<io::NamedView> views{{"head.weight", model.weight.value()}, {"head.bias", model.bias.value()}};
  std::list<layers::InputStatistics> statistics;
  if (model.network) {
    describe(metadata, "h.", model.network->architecture(), model.normalization);
    add_network(views, "h.", *model.network);
    statistics.emplace_back(model.normalization, model.device);
    statistics.back().append_to(views, "h.");
  }
  std::vector<std::unique_ptr<layers::Network>> copies;
  for (std::size_t k = 0; k < model.blocks.size(); ++k) {
    const FrozenBlock& block = model.blocks[k];
    const std::string prefix = source_prefix(k);
    describe(metadata, prefix, block.source.architecture(), block.source.normalization());
    metadata[prefix + "name"] = io::valid_utf8(block.source.name());
    if (block.source.precision() != Precision::f32)
      metadata[prefix + "precision"] = to_string(block.source.precision());
    copies.push_back(block.source.copy_network(model.device));
    add_network(views, prefix, *copies.back());
    statistics.emplace_back(block.source.normalization(), model.device);
    statistics.back().append_to(views, prefix);
    if (!block.shift.defined()) continue;
    views.emplace_back(prefix + "feature_shift", block.shift);
    views.emplace_back(prefix + "feature_factor", block.factor);
  }
  io::write_safetensors(path, views, metadata);
}

Fitted Fitted::load(const std::string& path, const Device& device) {
  const Reader reader(path, device);
  if (!reader.is_fused()) return load_network(path, device);
  auto model = std::make_unique<Model>(device);
  model->strategy = reader.text("strategy");
  model->classes = reader.number("classes");
  model->sample = reader.shape("sample");
  std::int64_t columns = 0;
  if (model->strategy == "refine") {
    model->network = reader.network("h.");
    model->normalization = reader.normalization("h.");
    columns += model->network->feature_count();
  }
  const auto count = static_cast<std::size_t>(reader.number("sources"));
  for (std::size_t k = 0; k < count; ++k) {
    const std::string prefix = source_prefix(k);
    const FrozenSource source(reader.network(prefix), reader.normalization(prefix), reader.text(prefix + "name"),
                              reader.precision(prefix));
    const std::int64_t width = source.feature_count();
    FrozenBlock block{source, {}, {}};
    if (reader.contains(prefix + "feature_shift")) {
      block.shift = reader.tensor(prefix + "feature_shift", {width});
      block.factor = reader.tensor(prefix + "feature_factor", {width});
    }
    columns += width;
    model->blocks.push_back(std::move(block));
  }
  model->set_head(reader.tensor("head.weight", {model->classes, columns}),
                  reader.tensor("head.bias", {model->classes}));
  return Fitted(std::move(model));
}

}  // namespace rtl::transfer
