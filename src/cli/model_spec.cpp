#include "cli/model_spec.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>
#include <system_error>

#include "cli/commands.hpp"
#include "cli/data_argument.hpp"
#include "cli/table.hpp"
#include "rtl/data/preprocessing.hpp"
#include "rtl/data/spec.hpp"
#include "rtl/layers/checkpoint.hpp"
#include "rtl/layers/model.hpp"
#include "transfer/task_text.hpp"

namespace rtl::cli {

namespace {

bool exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

/// Takes "NAME:" or "NAME:VARIANT:" off the front of `path` if NAME is an architecture.
std::optional<std::string> take_architecture(std::string& path) {
  const auto colon = path.find(':');
  if (colon == std::string::npos) return {};
  const std::string name = path.substr(0, colon);
  if (layers::find_architecture(name) == nullptr) return {};
  auto end = colon;
  const auto second = path.find(':', colon + 1);
  const std::string variant = second == std::string::npos ? "" : path.substr(colon + 1, second - colon - 1);
  if (!variant.empty() && variant.find_first_of("/.") == std::string::npos) end = second;
  std::string architecture = path.substr(0, end);
  path.erase(0, end + 1);
  return architecture;
}

/// One of the options behind the '?' of features.
void take_feature_option(ModelSpec& spec, const std::string& text, const std::string& option) {
  const auto equals = option.find('=');
  const std::string key = option.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : option.substr(equals + 1);
  const std::map<std::string, std::string*> members{{"test", &spec.test}, {"source", &spec.source}, {"x", &spec.array}};
  const auto member = members.find(key);
  if (member == members.end() || !member->second->empty() || value.empty()) {
    throw UsageError(
        fmt::format("'{}': '{}' is none of the options of features; these are test=FILE, source=FILE and x=NAME, each "
                    "once, with & between",
                    text, option));
  }
  *member->second = member->second == &spec.array ? value : data::decode_path(value);
}

/// One of the options behind the '?' of a model.
void take_option(ModelSpec& spec, const std::string& text, const std::string& option) {
  const auto equals = option.find('=');
  const std::string key = option.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : option.substr(equals + 1);
  if (key == "normalize" && !spec.normalization) {
    try {
      spec.normalization = data::parse_normalization(value);
    } catch (const ValueError& error) {
      throw UsageError(fmt::format("'{}': {}", text, error.what()));
    }
  } else if (key == "layer" && spec.layer.empty() && !value.empty()) {
    spec.layer = value;
  } else {
    throw UsageError(
        fmt::format("'{}': '{}' is none of a model's options; these are normalize={} and layer=NAME, each "
                    "once, with & between",
                    text, option, model_normalizations));
  }
}

}  // namespace

ModelSpec ModelSpec::parse(const std::string& text) {
  ModelSpec spec;
  const std::string prefix = "features:";
  const bool whole = exists(text) || (text.starts_with(prefix) && exists(text.substr(prefix.size())));
  const auto question = whole ? std::string::npos : text.find('?');
  spec.file = text.substr(0, question);
  const bool named = exists(spec.file);
  spec.features = !named && spec.file.starts_with(prefix);
  if (spec.features) spec.file.erase(0, prefix.size());
  if (!named && !spec.features) spec.architecture = take_architecture(spec.file);
  spec.file = data::decode_path(spec.file);
  if (spec.file.empty()) throw UsageError(fmt::format("'{}' names no file; write [ARCHITECTURE:]FILE", text));
  for (auto begin = question; begin < text.size();) {
    const auto end = std::min(text.find('&', begin + 1), text.size());
    (spec.features ? take_feature_option : take_option)(spec, text, text.substr(begin + 1, end - begin - 1));
    begin = end;
  }
  return spec;
}

std::vector<ModelSpec> parse_model_list(const std::string& option, const std::string& text) {
  std::vector<ModelSpec> specs;
  const std::vector<std::string> parts = exists(text) ? std::vector<std::string>{text} : split_list(option, text);
  std::transform(parts.begin(), parts.end(), std::back_inserter(specs), ModelSpec::parse);
  return specs;
}

std::string stem(const std::string& path) { return std::filesystem::path(path).stem().string(); }

namespace {

/// The file's own numbers are the only ones to standardise by.
std::optional<data::InputNormalization> chosen_normalization(const ModelSpec& spec,
                                                             const layers::LoadedNetwork& loaded) {
  using data::Normalization;
  const auto asked = spec.normalization.value_or(Normalization::automatic);
  if (asked == Normalization::automatic) return loaded.normalization;
  const bool vectors = loaded.network->architecture().input.rank() == 1;
  if (asked == Normalization::standardize) {
    if (loaded.normalization && loaded.normalization->kind == asked) return loaded.normalization;
    throw UsageError(
        fmt::format("{}: normalize=standardize needs the means and deviations of its training rows, which "
                    "the file does not have; standardise the data, or train it by `rtl pretrain`",
                    spec.file));
  }
  if (vectors && asked != Normalization::none) {
    throw UsageError(fmt::format("{}: it takes vectors, and normalize={} is for images; use none or standardize",
                                 spec.file, data::to_string(asked)));
  }
  return asked;
}

}  // namespace

transfer::FrozenSource load_source(const ModelSpec& spec, const Device& device, Precision precision,
                                   const std::optional<Shape>& sample) {
  if (spec.features) {
    throw UsageError(fmt::format("features:{} is no model; features are a --source of rtl transfer", spec.file));
  }
  auto loaded = layers::load_network(spec.file, device, spec.architecture, DType::f32, sample);
  for (const std::string& note : loaded.notes) fmt::print(stderr, "note: {}: {}\n", spec.file, printable(note));
  auto normalization = chosen_normalization(spec, loaded);  // before the network is moved away
  const std::string name = spec.layer.empty() ? stem(spec.file) : fmt::format("{} at {}", stem(spec.file), spec.layer);
  const std::int64_t outputs = loaded.network->architecture().classes;
  const auto described = loaded.metadata.find(transfer::detail::task_key);
  std::optional<transfer::Task> task;
  if (outputs > 0 && described != loaded.metadata.end()) {
    task = transfer::detail::decode_task(spec.file, described->second, outputs);
  }
  return transfer::FrozenSource(std::move(loaded.network), std::move(normalization), name, precision, spec.layer,
                                std::move(task));
}

namespace {

/// The form that all of the sources' images have. Colours that a source does not see are left to what stands beside it.
std::shared_ptr<const data::ImageForm> shared_form(const std::vector<data::FittedInputs>& sources) {
  std::shared_ptr<const data::ImageForm> shared;
  for (const data::FittedInputs& source : sources) {
    if (!source.images || (shared && *shared != *source.images)) return nullptr;
    shared = source.images;
  }
  if (!shared || shared->sample[2] != 1) return shared;
  data::ImageForm form = *shared;
  form.sample = {form.sample[0], form.sample[1], 0};
  return std::make_shared<const data::ImageForm>(std::move(form));
}

}  // namespace

namespace {

/// The columns that tables without steps name, if all sources that name some name the same.
std::shared_ptr<const data::Preprocessing> shared_names(const std::vector<data::FittedInputs>& sources) {
  std::shared_ptr<const data::Preprocessing> shared;
  for (const data::FittedInputs& source : sources) {
    if (!source.columns || source.columns->input_names().empty()) continue;
    if (shared && shared->input_names() != source.columns->input_names()) return nullptr;
    shared = source.columns;
  }
  return shared;
}

}  // namespace

data::FittedInputs fitted_inputs_of(const std::vector<ModelSpec>& sources) {
  data::FittedInputs shared;
  std::vector<data::FittedInputs> networks;
  std::string first;
  for (const ModelSpec& source : sources) {
    if (source.features) continue;
    data::FittedInputs own = fitted_inputs_of(source.file);
    networks.push_back(own);
    if (!shared.text) shared.text = std::move(own.text);
    if (!own.columns || own.columns->empty()) continue;
    if (shared.columns && own.columns->to_text() != shared.columns->to_text()) {
      throw UsageError(
          fmt::format("--source: the columns of {} and {} were prepared differently, so that no data suits both; give "
                      "one of them, or features of the other (rtl features)",
                      first, source.file));
    }
    if (!shared.columns) {
      first = source.file;
      for (const std::string& step : own.columns->describe()) {
        fmt::print(stderr, "rtl: note: the columns are prepared as for {}: {}\n", first, printable(step));
      }
    }
    shared.columns = std::move(own.columns);
  }
  if (!shared.columns) shared.columns = shared_names(networks);
  shared.images = shared_form(networks);
  return shared;
}

std::vector<std::string> split_list(const std::string& option, const std::string& text) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while (!text.empty() && begin <= text.size()) {
    const auto comma = std::min(text.find(',', begin), text.size());
    const auto first = text.find_first_not_of(' ', begin);
    if (first >= comma) throw UsageError(fmt::format("{}: '{}' has an empty entry", option, text));
    const auto last = text.find_last_not_of(' ', comma - 1);
    parts.push_back(text.substr(first, last - first + 1));
    begin = comma + 1;
  }
  return parts;
}

}  // namespace rtl::cli
