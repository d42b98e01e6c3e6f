#include "rtl/data/load.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "data/loaders.hpp"
#include "rtl/core/error.hpp"
#include "rtl/data/split.hpp"

namespace rtl::data {
namespace {

using Loader = TrainTest (*)(const Spec&);
struct Kind {
  std::string_view name;
  Loader load;
};
constexpr Kind kinds[] = {{"idx", load_idx}, {"cifar10", load_cifar},     {"cifar100", load_cifar}, {"npy", load_npy},
                          {"csv", load_csv}, {"svmlight", load_svmlight}, {"glyphs", load_glyphs}};
constexpr const char* usage =
    "a data SPEC is KIND:PATH?option=value&option=value, with KIND one of idx:DIR, cifar10:DIR, cifar100:DIR, "
    "npy:X.npy,Y.npy, csv:FILE?label=NAME, svmlight:FILE, glyphs: (which needs no path)";

const Kind* find_kind(std::string_view name) {
  const auto* found = std::find_if(std::begin(kinds), std::end(kinds), [&](const Kind& k) { return k.name == name; });
  return found == std::end(kinds) ? nullptr : found;
}

void parse_options(const std::string& text, std::string_view list, std::map<std::string, std::string>& options) {
  for (std::size_t at = 0; at <= list.size();) {
    const std::string_view option = list.substr(at, list.find('&', at) - at);
    at += option.size() + 1;
    const auto equals = option.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      throw ValueError(fmt::format("SPEC '{}': '{}' is not option=value", text, option));
    }
    const std::string name(option.substr(0, equals));
    if (!options.emplace(name, option.substr(equals + 1)).second) {
      throw ValueError(fmt::format("SPEC '{}': the option '{}' is given twice", text, name));
    }
  }
}

Dataset moved(Dataset dataset, const Device& device) {
  if (!device.is_cuda()) return dataset;
  dataset.inputs = dataset.inputs.to(device);
  dataset.labels = dataset.labels.to(device);
  return dataset;
}

}  // namespace

Spec Spec::parse(const std::string& text) {
  Spec spec;
  const auto colon = text.find(':');
  spec.kind = text.substr(0, colon);
  if (colon == std::string::npos || find_kind(spec.kind) == nullptr) {
    throw ValueError(fmt::format("SPEC '{}': {}; {}", text,
                                 colon == std::string::npos ? "there is no ':'" : "unknown kind '" + spec.kind + "'",
                                 usage));
  }
  const auto question = text.find('?', colon);
  spec.path = text.substr(colon + 1, question == std::string::npos ? question : question - colon - 1);
  if (question != std::string::npos) parse_options(text, std::string_view(text).substr(question + 1), spec.options);
  const bool wants_path = spec.kind != "glyphs";
  if (spec.path.empty() == wants_path) {
    throw ValueError(
        fmt::format("SPEC '{}': {}; {}", text, wants_path ? "there is no path" : "glyphs takes no path", usage));
  }
  return spec;
}

std::string Spec::to_string() const {
  std::string text = kind + ":" + path;
  char separator = '?';
  for (const auto& [name, value] : options) {
    text.append(1, separator).append(name).append(1, '=').append(value);
    separator = '&';
  }
  return text;
}

TrainTest load(const std::string& text, const Device& device) {
  const Spec spec = Spec::parse(text);
  TrainTest parts = find_kind(spec.kind)->load(spec);
  parts.train.name = parts.test.name = text;
  return {moved(std::move(parts.train), device), moved(std::move(parts.test), device)};
}

Options::Options(const Spec& spec, std::initializer_list<std::string_view> known) : spec_(spec) {
  std::vector<std::string_view> all = {"split", "limit", "offset"};
  all.insert(all.end(), known.begin(), known.end());
  for (const auto& [name, value] : spec.options) {
    if (std::find(all.begin(), all.end(), name) == all.end()) {
      throw ValueError(fmt::format("SPEC '{}': {}: has no option '{}'; it has {}", spec.to_string(), spec.kind, name,
                                   fmt::join(all, ", ")));
    }
  }
}

void Options::fail(const std::string& name, const std::string& wanted) const {
  throw ValueError(fmt::format("SPEC '{}': {}={}: {}", spec_.to_string(), name, spec_.options.at(name), wanted));
}

std::string Options::text(const std::string& name, const std::string& fallback) const {
  const auto found = spec_.options.find(name);
  return found == spec_.options.end() ? fallback : found->second;
}

std::string Options::choice(const std::string& name, const std::string& fallback,
                            std::initializer_list<std::string_view> choices) const {
  std::string value = text(name, fallback);
  if (std::find(choices.begin(), choices.end(), value) == choices.end()) {
    fail(name, fmt::format("choose one of {}", fmt::join(choices, ", ")));
  }
  return value;
}

std::int64_t Options::integer(const std::string& name, std::int64_t fallback, std::int64_t least,
                              std::int64_t most) const {
  if (!has(name)) return fallback;
  const std::string value = text(name, "");
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc{} || end != value.data() + value.size() || number < least || number > most) {
    fail(name, fmt::format("give a whole number from {} to {}", least, most));
  }
  return number;
}

double Options::number(const std::string& name, double fallback, double least, double most) const {
  if (!has(name)) return fallback;
  const std::string value = text(name, "");
  double number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc{} || end != value.data() + value.size() || !(number >= least && number <= most)) {
    fail(name, fmt::format("give a number from {} to {}", least, most));
  }
  return number;
}

TrainTest assemble(const Spec& spec, const Options& options, const PartLoader& load_part) {
  const std::string split = options.choice("split", "", {"", "train", "test"});
  const std::int64_t offset = options.integer("offset", 0, 0, INT64_MAX);
  const std::int64_t limit = options.integer("limit", INT64_MAX, 1, INT64_MAX);
  const auto limited = [&](Dataset whole) {
    const std::int64_t size = whole.size();
    if (offset == 0 && limit >= size) return whole;
    if (offset >= size) {
      throw ValueError(
          fmt::format("SPEC '{}': offset={} leaves nothing of {} samples", spec.to_string(), offset, size));
    }
    return slice_rows(whole, offset, offset + std::min(limit, size - offset));
  };
  if (!split.empty()) {
    Dataset part = limited(load_part(split == "train" ? Part::train : Part::test));
    Dataset copy = part.clone();
    return {std::move(part), std::move(copy)};
  }
  TrainTest parts{limited(load_part(Part::train)), load_part(Part::test)};
  if (parts.train.sample_shape() != parts.test.sample_shape()) {
    throw FormatError(spec.path,
                      fmt::format("training samples are {}, test samples {}; they must have one shape",
                                  parts.train.sample_shape().to_string(), parts.test.sample_shape().to_string()));
  }
  return parts;
}

TrainTest assemble_files(const Spec& spec, const Options& options,
                         const std::function<Dataset(const std::string&, Part)>& read) {
  if (options.has("test")) {
    if (options.has("test_fraction") || options.has("seed")) {
      throw ValueError(fmt::format("SPEC '{}': test= names the test part; test_fraction and seed do not go with it",
                                   spec.to_string()));
    }
    const std::string test = options.text("test", "");
    return assemble(spec, options, [&](Part part) { return read(part == Part::train ? spec.path : test, part); });
  }
  constexpr double default_fraction = 0.2;
  const double fraction = options.number("test_fraction", default_fraction, 0, 1);
  const auto seed = static_cast<std::uint64_t>(options.integer("seed", 0, 0, INT64_MAX));
  const Dataset whole = read(spec.path, Part::train);
  Split split = stratified_split(whole.labels.to_vector<std::int32_t>(), whole.classes, fraction, seed);
  return assemble(spec, options, [&](Part part) {
    std::vector<std::int64_t>& rows = part == Part::train ? split.first : split.second;
    if (rows.empty()) {
      throw ValueError(
          fmt::format("SPEC '{}': test_fraction={} leaves the {} part empty; take another fraction or "
                      "split={}",
                      spec.to_string(), fraction, part == Part::train ? "training" : "test",
                      part == Part::train ? "test" : "train"));
    }
    std::sort(rows.begin(), rows.end());
    return whole.subset(rows);
  });
}

Dataset slice_rows(const Dataset& dataset, std::int64_t begin, std::int64_t end) {
  const auto copied = [&](const Tensor& from) {
    const ConstView rows = from.view().slice(0, begin, end);
    Tensor part(rows.shape(), rows.dtype(), from.device());
    copy_bytes(rows, part);
    return part;
  };
  return {copied(dataset.inputs), copied(dataset.labels), dataset.classes, dataset.class_names, dataset.name};
}

std::int64_t check_labels(const std::vector<std::int32_t>& labels, std::optional<std::int64_t> classes,
                          const std::string& file) {
  if (labels.empty()) throw FormatError(file, "holds no sample");
  std::int32_t highest = -1;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0 || (classes && labels[i] >= *classes)) {
      throw FormatError(file, fmt::format("sample {}: label {} out of range [0, {})", i, labels[i],
                                          classes ? std::to_string(*classes) : "classes"));
    }
    highest = std::max(highest, labels[i]);
  }
  if (classes) return *classes;
  // Labels without gaps tell the number of classes; one wild label would invent classes that nobody has.
  const std::size_t implied = static_cast<std::size_t>(highest) + 1;
  std::vector<bool> seen(std::min(implied, labels.size() + 1));
  for (const std::int32_t label : labels) {
    if (static_cast<std::size_t>(label) < seen.size()) seen[static_cast<std::size_t>(label)] = true;
  }
  const auto gap = std::find(seen.begin(), seen.end(), false);
  if (gap != seen.end()) {
    const auto at = std::max_element(labels.begin(), labels.end()) - labels.begin();
    throw FormatError(
        file, fmt::format("sample {}: label {} out of range: no sample has label {}; if there are such classes, "
                          "say so with the option classes=N",
                          at, highest, gap - seen.begin()));
  }
  return static_cast<std::int64_t>(implied);
}

std::vector<std::string> list_folder(const std::string& folder) {
  std::error_code error;
  std::vector<std::string> names;
  std::filesystem::directory_iterator entries(folder, error);
  if (error) throw IoError(folder, fmt::format("cannot be read as a folder: {}", error.message()));
  for (const auto& entry : entries) {
    if (entry.is_regular_file(error)) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace rtl::data
