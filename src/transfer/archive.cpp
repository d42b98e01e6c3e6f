#include "rtl/transfer/archive.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "core/joined.hpp"
#include "io/json.hpp"
#include "layers/stored_network.hpp"
#include "transfer/predictor_kinds.hpp"

namespace rtl::transfer {
namespace {

const char* const kind_key = "predictor";
constexpr std::ptrdiff_t deepest = 32;
/// What made features that a predictor looks at, of other inputs.
const char* const maker_part = "made_by";
const char* const maker_inputs_part = "made_of";

}  // namespace

/// What all parts write to.
struct ArchiveWriter::Contents {
  io::Metadata metadata;
  std::vector<io::NamedView> views;
  std::list<Tensor> kept;
  std::list<layers::InputStatistics> statistics;
  std::list<std::unique_ptr<layers::Network>> networks;
};

ArchiveWriter::ArchiveWriter() : contents_(std::make_shared<Contents>()) {}
ArchiveWriter::ArchiveWriter(std::shared_ptr<Contents> contents, std::string prefix)
    : contents_(std::move(contents)), prefix_(std::move(prefix)) {}

ArchiveWriter ArchiveWriter::part(std::string_view name) const { return {contents_, name_of(name) + "."}; }

void ArchiveWriter::text(std::string_view key, std::string_view value) {
  contents_->metadata[name_of(key)] = io::valid_utf8(std::string(value));
}

void ArchiveWriter::number(std::string_view key, double value) { text(key, fmt::format("{}", value)); }
void ArchiveWriter::integer(std::string_view key, std::int64_t value) { text(key, std::to_string(value)); }
void ArchiveWriter::shape(std::string_view key, const Shape& shape) { text(key, joined(shape.extents(), ",")); }

void ArchiveWriter::tensor(std::string_view name, const Tensor& tensor) {
  contents_->views.emplace_back(name_of(name), tensor.view());
}

void ArchiveWriter::store(std::string_view name, Tensor tensor) {
  contents_->kept.push_back(std::move(tensor));
  this->tensor(name, contents_->kept.back());
}

void ArchiveWriter::network(std::string_view name, layers::Network& network,
                            const data::InputNormalization& normalization) {
  contents_->statistics.push_back(
      layers::append_network(network, normalization, name_of(name) + ".", contents_->metadata, contents_->views));
}

void ArchiveWriter::source(std::string_view name, const FrozenSource& source) {
  if (!source.has_network()) {
    ArchiveWriter inside = part(name);
    inside.text("name", source.name());
    inside.integer("features", source.feature_count());
    if (source.maker() == nullptr) return;
    inside.source(maker_part, *source.maker());
    for (const auto& [key, text] : source.maker_inputs().entries()) inside.part(maker_inputs_part).text(key, text);
    return;
  }
  contents_->networks.push_back(source.copy_network(source.device()));
  network(name, *contents_->networks.back(), source.normalization());
  ArchiveWriter inside = part(name);
  inside.text("name", source.name());
  inside.text("precision", to_string(source.precision()));
  inside.text("layer", source.layer());
}

void ArchiveWriter::predictor(std::string_view name, Predictor& predictor) {
  ArchiveWriter inside = part(name);
  inside.text(kind_key, predictor.kind());
  predictor.write(inside);
}

void ArchiveWriter::save(const std::string& path) const {
  io::write_safetensors(path, contents_->views, contents_->metadata);
}

ArchiveReader::ArchiveReader(const std::string& path, Device device)
    : file_(std::make_shared<const io::SafetensorsFile>(path)), device_(std::move(device)) {}
ArchiveReader::ArchiveReader(std::shared_ptr<const io::SafetensorsFile> file, Device device, std::string prefix)
    : file_(std::move(file)), device_(std::move(device)), prefix_(std::move(prefix)) {}

ArchiveReader ArchiveReader::part(std::string_view name) const { return {file_, device_, name_of(name) + "."}; }

bool ArchiveReader::has(std::string_view key) const { return file_->metadata().contains(name_of(key)); }
bool ArchiveReader::has_tensor(std::string_view name) const { return file_->contains(name_of(name)); }

void ArchiveReader::fail(const std::string& fault) const { throw FormatError(path(), fault); }

const std::string& ArchiveReader::text(std::string_view key) const {
  const auto found = file_->metadata().find(name_of(key));
  if (found == file_->metadata().end()) fail(fmt::format("the metadata lack \"{}\"", name_of(key)));
  return found->second;
}

double ArchiveReader::number(std::string_view key) const {
  const std::string& given = text(key);
  double value = 0;
  const auto [rest, error] = std::from_chars(given.data(), given.data() + given.size(), value);
  if (error == std::errc() && rest == given.data() + given.size() && std::isfinite(value)) return value;
  fail(fmt::format("metadata \"{}\" holds \"{}\", not a number", name_of(key), given));
}

std::int64_t ArchiveReader::integer(std::string_view key) const {
  const std::string& given = text(key);
  std::int64_t value = 0;
  const auto [rest, error] = std::from_chars(given.data(), given.data() + given.size(), value);
  if (error == std::errc() && rest == given.data() + given.size() && value >= 0) return value;
  fail(fmt::format("metadata \"{}\" holds \"{}\", not a number", name_of(key), given));
}

Shape ArchiveReader::shape(std::string_view key) const {
  std::vector<std::int64_t> extents;
  std::string_view rest = text(key);
  while (!rest.empty()) {
    const std::string_view number = rest.substr(0, rest.find(','));
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
    if (error != std::errc() || end != number.data() + number.size() || value < 0 ||
        extents.size() == Shape::max_rank) {
      fail(fmt::format("metadata \"{}\" is no shape", name_of(key)));
    }
    extents.push_back(value);
    rest = number.size() == rest.size() ? std::string_view() : rest.substr(number.size() + 1);
  }
  try {
    return Shape(extents);
  } catch (const ShapeError& error) {
    fail(fmt::format("metadata \"{}\": {}", name_of(key), error.what()));
  }
}

Tensor ArchiveReader::tensor(std::string_view name, const Shape& shape) const {
  const io::TensorEntry& entry = file_->entry(name_of(name));
  if (entry.shape != shape || entry.dtype != DType::f32) {
    fail(fmt::format("tensor {} is {} {}, expected f32 {}", name_of(name), rtl::name_of(entry.dtype),
                     entry.shape.to_string(), shape.to_string()));
  }
  return file_->load(name_of(name), device_);
}

std::vector<double> ArchiveReader::numbers(std::string_view name) const {
  if (!has_tensor(name)) return {};
  const io::TensorEntry& entry = file_->entry(name_of(name));
  if (entry.shape.rank() != 1 || entry.dtype != DType::f64) {
    fail(fmt::format("tensor {} is {} {}, expected f64 of one axis", name_of(name), rtl::name_of(entry.dtype),
                     entry.shape.to_string()));
  }
  return file_->load(name_of(name), Device::cpu(1).separate()).to_vector<double>();
}

data::InputNormalization ArchiveReader::normalization(std::string_view name) const {
  const ArchiveReader inside = part(name);
  inside.text("normalization");
  return layers::read_normalization(*file_, inside.prefix_).value_or(data::Normalization::none);
}

std::unique_ptr<layers::Network> ArchiveReader::network(std::string_view name) const {
  return layers::read_network(*file_, name_of(name) + ".", device_);
}

FrozenSource ArchiveReader::source(std::string_view name) const {
  const ArchiveReader inside = part(name);
  try {
    if (inside.has("features")) {
      const std::string& source = inside.text("name");
      FrozenSource features =
          FrozenSource::of_features(source, inside.integer("features"), [source](const data::Dataset&) -> Tensor {
            throw ValueError(
                fmt::format("the model looks at the features '{}', which are not part of its file: give them "
                            "for the samples to predict",
                            source));
          });
      if (!inside.part(maker_part).has("name")) return features;
      const ArchiveReader kept = inside.part(maker_inputs_part);
      std::map<std::string, std::string> entries;
      for (const std::string& key : data::FittedInputs::keys()) {
        if (kept.has(key)) entries[key] = kept.text(key);
      }
      features.set_maker(inside.source(maker_part), data::FittedInputs::parse(path(), entries));
      return features;
    }
    const Precision precision = parse_precision(inside.text("precision"));
    return FrozenSource(network(name), normalization(name), inside.text("name"), precision, inside.text("layer"));
  } catch (const ValueError& error) {
    fail(fmt::format("{}: {}", name_of(name), error.what()));
  }
}

std::unique_ptr<Predictor> ArchiveReader::predictor(std::string_view name) const {
  const ArchiveReader inside = part(name);
  if (std::count(inside.prefix_.begin(), inside.prefix_.end(), '.') > deepest) {
    fail(fmt::format("predictors lie within each other more than {} deep", deepest));
  }
  const std::string& kind = inside.text(kind_key);
  const PredictorKind* found = detail::find_predictor_kind(kind);
  if (found == nullptr) {
    fail(
        fmt::format("\"{}\" is a predictor of the kind \"{}\", which this program does not have; a kind of your own "
                    "is made known by register_predictor",
                    name_of(name), kind));
  }
  return found->read(inside);
}

}  // namespace rtl::transfer
