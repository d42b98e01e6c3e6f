// rtl inspect: tensors of a checkpoint, statistics of a data set.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <span>
#include <system_error>

#include "cli/commands.hpp"
#include "cli/data_argument.hpp"
#include "cli/json_report.hpp"
#include "cli/outputs.hpp"
#include "cli/table.hpp"
#include "data/text_vocabulary.hpp"
#include "io/json.hpp"
#include "rtl/data/load.hpp"
#include "rtl/data/preprocessing.hpp"
#include "rtl/data/text_encoder.hpp"
#include "rtl/io/file.hpp"
#include "rtl/io/file_kind.hpp"
#include "rtl/io/npy.hpp"
#include "rtl/io/safetensors.hpp"
#include "rtl/layers/checkpoint.hpp"

namespace rtl::cli {

namespace {

struct ValueStatistics {
  double mean = 0, deviation = 0, low = 0, high = 0;
  std::int64_t not_finite = 0;
};

template <typename T>
double as_double(T value) {
  if constexpr (std::is_same_v<T, bfloat16> || std::is_same_v<T, float16>) {
    return to_float(value);
  } else {
    return static_cast<double>(value);
  }
}

/// Of a tensor on the host.
template <typename T>
ValueStatistics statistics_of(const Tensor& tensor) {
  ValueStatistics result;
  result.low = INFINITY;
  result.high = -INFINITY;
  double squares = 0;
  std::int64_t count = 0;
  for (const T& element : std::span(tensor.data_as<T>(), static_cast<std::size_t>(tensor.count()))) {
    const double value = as_double(element);
    if (!std::isfinite(value)) {
      ++result.not_finite;
      continue;
    }
    ++count;
    const double step = value - result.mean;
    result.mean += step / static_cast<double>(count);
    squares += step * (value - result.mean);
    result.low = std::min(result.low, value);
    result.high = std::max(result.high, value);
  }
  if (count == 0) return {NAN, NAN, NAN, NAN, result.not_finite};
  result.deviation = std::sqrt(squares / static_cast<double>(count));
  return result;
}

/// Of all elements, zeros included, which come at once.
ValueStatistics statistics_of(const data::SparseRows& rows) {
  ValueStatistics result = statistics_of<float>(rows.values());
  const double count = rows.dense_bytes() / sizeof(float);
  const double there = static_cast<double>(rows.entries() - result.not_finite), absent = count - rows.entries();
  if (there == 0) return {0, 0, 0, 0, result.not_finite};
  if (absent == 0) return result;
  const double mean = result.mean * there / (there + absent);
  const double squares = there * (result.deviation * result.deviation + (result.mean - mean) * (result.mean - mean));
  result.deviation = std::sqrt((squares + absent * mean * mean) / (there + absent));
  result.mean = mean;
  result.low = std::min(result.low, 0.0);
  result.high = std::max(result.high, 0.0);
  return result;
}

ValueStatistics statistics_of(const Tensor& tensor) {
  switch (tensor.dtype()) {
    case DType::f32:
      return statistics_of<float>(tensor);
    case DType::f64:
      return statistics_of<double>(tensor);
    case DType::bf16:
      return statistics_of<bfloat16>(tensor);
    case DType::f16:
      return statistics_of<float16>(tensor);
    case DType::i32:
      return statistics_of<std::int32_t>(tensor);
    case DType::i64:
      return statistics_of<std::int64_t>(tensor);
    case DType::u8:
      return statistics_of<std::uint8_t>(tensor);
  }
  return {};
}

Json describe(const std::string& name, DType dtype, const Shape& shape, const ValueStatistics& statistics) {
  return {{"name", name},
          {"dtype", std::string(name_of(dtype))},
          {"shape", std::vector<std::int64_t>(shape.extents().begin(), shape.extents().end())},
          {"mean", statistics.mean},
          {"std", statistics.deviation},
          {"min", statistics.low},
          {"max", statistics.high},
          {"not_finite", statistics.not_finite}};
}

Json describe_tensor(const std::string& name, const Tensor& tensor) {
  return describe(name, tensor.dtype(), tensor.shape(), statistics_of(tensor));
}

void add_tensor(Json& json, const std::string& name, const Tensor& tensor) {
  json["tensors"].push_back(describe_tensor(name, tensor));
  json["values"] = json["values"].get<std::int64_t>() + tensor.count();
}

/// A tensor whose values are not read has no statistics.
void add_unread(Json& json, const io::UnreadTensor& unread) {
  const std::vector<std::int64_t> shape(unread.shape.extents().begin(), unread.shape.extents().end());
  json["tensors"].push_back({{"name", unread.name},
                             {"dtype", unread.dtype},
                             {"shape", shape},
                             {"mean", nullptr},
                             {"std", nullptr},
                             {"min", nullptr},
                             {"max", nullptr},
                             {"not_finite", 0}});
  json["values"] = json["values"].get<std::int64_t>() + unread.shape.count();
}

/// What the names and shapes of a checkpoint's tensors say about its architecture; empty if nothing fits.
std::string architecture_of(const io::SafetensorsFile& file) {
  try {
    const auto architecture = layers::recognise(file.tensors());
    const std::string head = architecture.classes == 0 ? "no head" : fmt::format("{} classes", architecture.classes);
    return fmt::format("{}, input {}, {}", architecture.to_string(), architecture.input.to_string(), head);
  } catch (const Error&) {
    return {};
  }
}

/// Arrays of text have a shape and some different values.
void add_text(Json& json, const std::string& name, const io::TextArray& array) {
  const std::set<std::string> different(array.values.begin(), array.values.end());
  const auto extents = array.shape.extents();
  json["tensors"].push_back({{"name", name},
                             {"dtype", "text"},
                             {"shape", std::vector<std::int64_t>(extents.begin(), extents.end())},
                             {"different", different.size()},
                             {"mean", nullptr},
                             {"std", nullptr},
                             {"min", different.empty() ? "" : *different.begin()},
                             {"max", different.empty() ? "" : *different.rbegin()},
                             {"not_finite", 0}});
  json["values"] = json["values"].get<std::int64_t>() + array.shape.count();
}

/// An array of a .npy file in memory.
void add_array(Json& json, const std::string& name, const io::Bytes& content, const std::string& file) {
  if (io::npy_holds_text(content, file)) return add_text(json, name, io::parse_npy_text(content, file));
  add_tensor(json, name, io::parse_npy(content, file, Device::cpu()));
}

bool is_npy(const std::string& name) { return name.ends_with(".npy") || name.ends_with(".npy.gz"); }

/// What makes inputs of texts, and the most frequent words of those that count them.
void add_encoder(Json& json, const data::TextEncoder& encoder) {
  constexpr std::size_t shown = 10;
  json["encoding"] = encoder.describe();
  if (!encoder.counts_words()) return;
  json["most_frequent"] = Json::array();
  for (const data::WeightedEntry& entry : data::most_frequent_entries(encoder, shown)) {
    json["most_frequent"].push_back({{"entry", entry.entry}, {"weight", entry.weight}});
  }
}

void add_fitted(Json& json, const data::FittedInputs& fitted) {
  if (fitted.images) json["images"] = fitted.images->describe();
  if (fitted.text) add_encoder(json, *fitted.text);
}

void print_fitted(const Json& json) {
  if (json.contains("images")) fmt::print("images: {}\n", json["images"].get<std::string>());
  if (!json.contains("encoding")) return;
  fmt::print("texts as {}\n", printable(json["encoding"].get<std::string>()));
  if (!json.contains("most_frequent")) return;
  std::string entries;
  for (const Json& entry : json["most_frequent"]) {
    entries += fmt::format("{}{} x {:.3f}", entries.empty() ? "" : ", ", printable(entry["entry"].get<std::string>()),
                           entry["weight"].get<double>());
  }
  fmt::print("most frequent, with weights: {}\n", entries);
}

Json inspect_file(const std::string& path) {
  const Device host = Device::cpu();
  Json json = {{"rtl", RTL_VERSION}, {"file", path}, {"values", std::int64_t{0}}, {"tensors", Json::array()}};
  if (path.ends_with(".safetensors")) {
    const io::SafetensorsFile file(path);
    json["metadata"] = file.metadata();
    json["content_hash"] = file.content_hash().empty() ? Json() : Json(file.content_hash());
    json["architecture"] = architecture_of(file);
    const data::FittedInputs fitted = data::FittedInputs::parse(path, file.metadata());
    if (fitted.columns) {
      json["inputs"] = {{"columns", fitted.columns->input_names()}, {"steps", fitted.columns->describe()}};
    }
    add_fitted(json, fitted);
    for (const auto& entry : file.tensors()) add_tensor(json, entry.name, file.load(entry.name, host));
    for (const auto& unread : file.unread()) add_unread(json, unread);
  } else if (is_npy(path)) {
    add_array(json, "", io::read_file_gz(path), path);
  } else if (path.ends_with(".npz")) {
    const io::NpzFile file(path);
    for (const auto& name : file.names()) add_array(json, name, file.content(name), fmt::format("{}:{}", path, name));
  } else {
    const io::MappedFile file(path);
    if (const std::string kind = io::foreign_kind(file.bytes(), path); !kind.empty()) throw FormatError(path, kind);
    throw FormatError(path,
                      "its name ends in none of .safetensors, .npy, .npy.gz and .npz; a data set is named by a "
                      "SPEC such as cifar10:DIR");
  }
  return json;
}

/// Of a statistic; where there is no finite value there is none.
std::string number_text(const Json& statistic) {
  const auto value = statistic.get<double>();
  return std::isnan(value) ? "–" : fmt::format("{:.4g}", value);
}

void print_columns(const std::vector<std::string>& columns) {
  constexpr std::size_t most = 20;
  if (columns.empty()) return;
  fmt::print("{} columns:", columns.size());
  for (std::size_t i = 0; i < std::min(columns.size(), most); ++i) {
    fmt::print("{} {}", i == 0 ? "" : ",", printable(columns[i]));
  }
  fmt::print("{}\n", columns.size() > most ? ", .." : "");
}

/// A tokenizer is as long as a book.
std::string shortened(const std::string& text) {
  constexpr std::size_t longest = 1000;
  if (text.size() <= longest) return text;
  return fmt::format("{}.. ({} bytes)", io::valid_utf8(text.substr(0, longest)),
                     grouped(static_cast<std::int64_t>(text.size())));
}

void print_file(const Json& json) {
  Table table({"tensor", "dtype", "shape", "mean", "std", "min", "max"});
  table.align_left(2);
  for (const auto& tensor : json["tensors"]) {
    const auto number = [&](const char* key) {
      if (tensor[key].is_string()) return printable(tensor[key].get<std::string>());
      if (tensor["dtype"] == "text") return std::string();
      return tensor[key].is_null() ? "not read" : number_text(tensor[key]);
    };
    std::string shape = tensor["shape"].dump();
    const auto bad = tensor["not_finite"].get<std::int64_t>();
    table.add({tensor["name"].get<std::string>(), tensor["dtype"].get<std::string>(), std::move(shape), number("mean"),
               number("std"), number("min"), bad == 0 ? number("max") : fmt::format("{} not finite", bad)});
  }
  fmt::print("{}\n{} tensors, {} values\n", table.to_string(), json["tensors"].size(),
             grouped(json["values"].get<std::int64_t>()));
  if (json.contains("architecture") && !json["architecture"].get<std::string>().empty()) {
    fmt::print("architecture: {}\n", json["architecture"].get<std::string>());
  }
  if (json.contains("content_hash") && json["content_hash"].is_string()) {
    fmt::print("content hash: {}, checked\n", json["content_hash"].get<std::string>());
  }
  if (json.contains("inputs")) {
    print_columns(json["inputs"]["columns"].get<std::vector<std::string>>());
    for (const Json& step : json["inputs"]["steps"]) {
      fmt::print("inputs: {}\n", printable(step.get<std::string>()));
    }
  }
  print_fitted(json);
  if (json.contains("metadata")) {
    const auto& fitted_keys = data::FittedInputs::keys();
    for (const auto& [key, value] : json["metadata"].items()) {
      if (std::find(fitted_keys.begin(), fitted_keys.end(), key) != fitted_keys.end()) continue;
      fmt::print("{}: {}\n", printable(key), shortened(printable(value.get<std::string>())));
    }
  }
}

/// Statistics of each output's targets.
Json describe_targets(const data::Dataset& part) {
  Json outputs = Json::array();
  const auto width = static_cast<std::size_t>(part.outputs());
  const std::vector<float> values = part.targets.to_vector<float>();
  for (std::size_t output = 0; output < width; ++output) {
    std::vector<float> column;
    for (std::size_t at = output; at < values.size(); at += width) column.push_back(values[at]);
    const auto count = static_cast<std::int64_t>(column.size());
    const bool named = !part.target_names.empty();
    outputs.push_back(describe_tensor(named ? part.target_names[output] : std::to_string(output),
                                      Tensor::from(column, {count}, Device::cpu())));
    outputs.back().erase("dtype");
    outputs.back().erase("shape");
  }
  return outputs;
}

Json describe_part(const data::Dataset& part) {
  const Shape sample = part.sample_shape();
  Json inputs = part.is_sparse() ? describe("inputs", DType::f32, {part.sparse.rows(), part.sparse.width()},
                                            statistics_of(part.sparse))
                                 : describe_tensor("inputs", part.inputs);
  inputs.erase("name");
  if (part.is_sparse()) inputs["not_zero"] = part.sparse.entries();
  Json json = {{"samples", part.size()},
               {"sample_shape", std::vector<std::int64_t>(sample.extents().begin(), sample.extents().end())},
               {"inputs", inputs}};
  if (part.has_labels()) {
    std::vector<std::int64_t> per_class(static_cast<std::size_t>(part.classes), 0);
    for (const auto label : part.labels.to_vector<std::int32_t>()) ++per_class.at(static_cast<std::size_t>(label));
    json["class_counts"] = per_class;
  }
  if (part.is_regression()) json["targets"] = describe_targets(part);
  return json;
}

Json inspect_data(const std::string& spec) {
  const auto parts = load_data(spec, Device::cpu());
  Json json = {{"rtl", RTL_VERSION},
               {"data", spec},
               {"task", parts.train.is_regression() ? "regression"
                        : parts.train.has_labels()  ? "classification"
                                                    : "none"},
               {"columns", parts.columns},
               {"notes", parts.notes},
               {"train", describe_part(parts.train)},
               {"test", describe_part(parts.test)}};
  if (parts.train.is_regression()) json["outputs"] = parts.train.outputs();
  add_fitted(json, parts.train.fitted);
  if (parts.train.has_labels()) {
    json["classes"] = parts.train.classes;
    json["class_names"] = parts.train.class_names;
  }
  return json;
}

/// How many samples the classes of a part have.
std::string class_balance(const Json& part) {
  const auto counts = part["class_counts"].get<std::vector<std::int64_t>>();
  if (counts.empty() || part["samples"] == 0) return "none";
  const auto [low, high] = std::minmax_element(counts.begin(), counts.end());
  return *low == *high ? fmt::format("{}", *low) : fmt::format("{} to {}", *low, *high);
}

void print_targets(const Json& json) {
  Table table({"part", "target", "mean", "std", "min", "max"});
  table.align_left(1);
  for (const char* part : {"train", "test"}) {
    for (const Json& target : json[part]["targets"]) {
      table.add({part, printable(target["name"].get<std::string>()), number_text(target["mean"]),
                 number_text(target["std"]), number_text(target["min"]), number_text(target["max"])});
    }
  }
  const auto outputs = json["outputs"].get<std::int64_t>();
  fmt::print("{}\n{} real {}\n", table.to_string(), outputs, outputs == 1 ? "target" : "targets");
}

void print_classes(const Json& json) {
  fmt::print("{} classes", json["classes"].get<std::int64_t>());
  const auto names = json["class_names"].get<std::vector<std::string>>();
  for (std::size_t i = 0; i < names.size(); ++i) fmt::print("{}{}", i == 0 ? ": " : ", ", printable(names[i]));
  fmt::print("\n");
}

void print_data(const Json& json) {
  const bool classes = json.contains("classes");
  std::vector<std::string> head = {"part", "samples", "sample", "dtype", "mean", "std", "min", "max"};
  if (classes) head.push_back("samples a class");
  Table table(head);
  for (const char* part : {"train", "test"}) {
    const Json& facts = json[part];
    const auto number = [&](const char* key) { return number_text(facts["inputs"][key]); };
    const auto samples = facts["samples"].get<std::int64_t>();
    std::vector<std::string> row = {part,
                                    samples == 0 ? "none" : grouped(samples),
                                    facts["sample_shape"].dump(),
                                    facts["inputs"]["dtype"].get<std::string>(),
                                    number("mean"),
                                    number("std"),
                                    number("min"),
                                    number("max")};
    if (classes) row.push_back(class_balance(facts));
    table.add(row);
  }
  fmt::print("{}\n", table.to_string());
  if (classes) print_classes(json);
  for (const char* part : {"train", "test"}) {
    const Json& inputs = json[part]["inputs"];
    if (!inputs.contains("not_zero")) continue;
    fmt::print("{}: sparse rows, {} elements are not zero\n", part, grouped(inputs["not_zero"].get<std::int64_t>()));
  }
  if (json.contains("outputs")) print_targets(json);
  if (json["task"] == "none") fmt::print("neither labels nor targets\n");
  print_fitted(json);
  print_columns(json["columns"].get<std::vector<std::string>>());
  for (const auto& note : json["notes"]) fmt::print("note: {}\n", printable(note.get<std::string>()));
}

bool is_tensor_file(const std::string& name) {
  return name.ends_with(".safetensors") || is_npy(name) || name.ends_with(".npz");
}

/// Throws UsageError for what looks like a SPEC but is none.
bool is_data_spec(const std::string& what) {
  std::error_code ignored;
  if (std::filesystem::exists(what, ignored) || what.find(':') == std::string::npos) return false;
  try {
    data::check_data_set(data::Spec::parse(what));
    return true;
  } catch (const ValueError& error) {
    const std::string before = what.substr(0, what.find(':'));
    const auto& kinds = data::spec_kinds();
    const bool is_kind = std::any_of(kinds.begin(), kinds.end(), [&](const auto& kind) { return kind.name == before; });
    if (!is_kind && is_tensor_file(what)) return false;
    throw UsageError(error.what());
  }
}

}  // namespace

void add_inspect_command(CLI::App& app) {
  auto* command = app.add_subcommand("inspect", "Tensors of a checkpoint, statistics of a data set");
  struct Arguments {
    std::string what;
    std::string json;
  };
  auto arguments = std::make_shared<Arguments>();
  command->add_option("FILE|SPEC", arguments->what, "a .safetensors, .npy or .npz file, or a data set")->required();
  command->add_option("--json", arguments->json, "write the same facts to FILE (- is standard output)");
  command->footer(data_help());
  command->callback([arguments] {
    const bool is_data = is_data_spec(arguments->what);
    check_outputs({{"--json", arguments->json}},
                  is_data ? data_files("FILE|SPEC", arguments->what) : FileArguments{{"FILE|SPEC", arguments->what}});
    const Json json = is_data ? inspect_data(arguments->what) : inspect_file(arguments->what);
    if (arguments->json != "-") is_data ? print_data(json) : print_file(json);
    write_json(arguments->json, json);
  });
}

}  // namespace rtl::cli
