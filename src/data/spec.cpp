#include "rtl/data/spec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>

#include "core/joined.hpp"
#include "rtl/core/error.hpp"

namespace rtl::data {
namespace {

std::string usage() {
  std::vector<std::string> forms;
  for (const SpecKind& kind : spec_kinds()) forms.push_back(kind.form());
  return fmt::format("a data SPEC is KIND:PATH?option=value&option=value, with KIND one of {} (which needs no path)",
                     joined(forms, ", "));
}

const SpecKind* find_kind(const std::string& name) {
  const auto& kinds = spec_kinds();
  const auto found = std::find_if(kinds.begin(), kinds.end(), [&](const SpecKind& kind) { return kind.name == name; });
  return found == kinds.end() ? nullptr : &*found;
}

bool exists(const std::string& path) {
  std::error_code error;
  return !path.empty() && path.find('\0') == std::string::npos && std::filesystem::exists(path, error);
}

/// The whole text as a number.
template <typename Number>
std::optional<Number> parsed(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return {};
  return number;
}

std::optional<unsigned char> hexadecimal(std::string_view digits) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (digits.size() != 2 || error != std::errc{} || end != digits.data() + 2) return {};
  return static_cast<unsigned char>(value);
}

std::vector<std::string> parted(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const auto comma = std::min(text.find(',', at), text.size());
    parts.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return parts;
}

/// What is wrong with a value; empty if it may stand there.
std::string fault_of(const SpecOption& option, const std::string& value) {
  if (value.empty() && option.empty) return {};
  switch (option.type) {
    case SpecValue::choice:
      if (std::find(option.choices.begin(), option.choices.end(), decode_percent(value)) != option.choices.end()) {
        return {};
      }
      return fmt::format("choose one of {}", joined(option.choices, ", "));
    case SpecValue::whole: {
      const auto number = parsed<std::int64_t>(value);
      const auto least = static_cast<std::int64_t>(option.least), most = static_cast<std::int64_t>(option.most);
      return number && *number >= least && *number <= most
                 ? std::string()
                 : fmt::format("give a whole number from {} to {}", least, most);
    }
    case SpecValue::number: {
      const auto number = parsed<double>(value);
      return number && *number >= option.least && *number <= option.most
                 ? std::string()
                 : fmt::format("give a number from {} to {}", option.least, option.most);
    }
    case SpecValue::text:
      return value.empty() ? fmt::format("give a {}", option.placeholder) : std::string();
    case SpecValue::list:
      for (const std::string& entry : parted(value)) {
        if (entry.empty()) return fmt::format("has an empty name; give {}", option.values());
      }
      return {};
  }
  return {};
}

/// A file whose name has a '?' is easily taken for a path with options.
std::string escape_hint(const std::string& text, std::size_t path_begin) {
  for (auto end = text.find('?', path_begin); end != std::string::npos;) {
    end = text.find('?', end + 1);
    std::string path = text.substr(path_begin, end == std::string::npos ? end : end - path_begin);
    if (!exists(path)) continue;
    for (std::size_t at = 0; (at = path.find('?', at)) != std::string::npos;) path.replace(at, 1, "%3F");
    return fmt::format("; a '?' in a file's name is written %3F: {}", path);
  }
  return {};
}

void parse_options(const std::string& text, const SpecKind& kind, std::string_view list, const std::string& hint,
                   std::map<std::string, std::string>& options) {
  for (std::size_t at = 0; at <= list.size();) {
    const std::string_view part = list.substr(at, list.find('&', at) - at);
    at += part.size() + 1;
    const auto equals = part.find('=');
    const std::string name(part.substr(0, equals));
    if (equals == std::string_view::npos || equals == 0) {
      throw ValueError(fmt::format("SPEC '{}': '{}' is not option=value{}", text, part, hint));
    }
    const SpecOption* option = kind.option(name);
    if (option == nullptr) {
      std::vector<std::string> names;
      for (const SpecOption& known : kind.options) names.push_back(known.name);
      throw ValueError(fmt::format("SPEC '{}': {}: has no option '{}'; it has {}{}", text, kind.name, name,
                                   joined(names, ", "), hint));
    }
    const std::string value(part.substr(equals + 1));
    if (const std::string fault = fault_of(*option, value); !fault.empty()) {
      throw ValueError(fmt::format("SPEC '{}': {}={}: {}", text, name, value, fault));
    }
    if (!options.emplace(name, value).second) {
      throw ValueError(fmt::format("SPEC '{}': the option '{}' is given twice", text, name));
    }
  }
}

}  // namespace

std::string decode_percent(const std::string& text) {
  std::string plain;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto code = text[at] == '%' ? hexadecimal(std::string_view(text).substr(at + 1, 2)) : std::nullopt;
    plain += code ? static_cast<char>(*code) : text[at];
    if (code) at += 2;
  }
  return plain;
}

std::string decode_path(const std::string& path) { return exists(path) ? path : decode_percent(path); }

Spec Spec::parse(const std::string& text) {
  Spec spec;
  const auto colon = text.find(':');
  spec.kind = text.substr(0, colon);
  const SpecKind* kind = find_kind(spec.kind);
  if (colon == std::string::npos || kind == nullptr) {
    throw ValueError(fmt::format("SPEC '{}': {}; {}", text,
                                 colon == std::string::npos ? "there is no ':'" : "unknown kind '" + spec.kind + "'",
                                 usage()));
  }
  const auto question = text.find('?', colon);
  spec.path = text.substr(colon + 1, question == std::string::npos ? question : question - colon - 1);
  if (question != std::string::npos) {
    parse_options(text, *kind, std::string_view(text).substr(question + 1), escape_hint(text, colon + 1), spec.options);
  }
  const bool wants_path = !kind->path.empty();
  if (spec.path.empty() == wants_path) {
    throw ValueError(fmt::format("SPEC '{}': {}; {}", text,
                                 wants_path ? "there is no path" : spec.kind + " takes no path", usage()));
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

std::string Spec::file() const { return decode_path(path); }

std::vector<SpecFile> Spec::files(const std::string& option) const {
  if (option.empty() ? path.empty() : !has(option)) return {};
  const std::string& written = option.empty() ? path : options.at(option);
  if (kind != "npy" || exists(written)) return {{decode_path(written), false}};
  std::vector<SpecFile> files;
  for (const std::string& entry : parted(written)) {
    const bool prefixed = entry.starts_with("csv:") || entry.starts_with("npy:");
    const std::string file = decode_path(prefixed ? entry.substr(4) : entry);
    const bool named = !prefixed && (file.ends_with(".csv") || file.ends_with(".csv.gz"));
    files.push_back({file, named || (prefixed && entry.front() == 'c')});
  }
  return files;
}

std::string Spec::text(const std::string& name, const std::string& fallback) const {
  const auto found = options.find(name);
  return found == options.end() ? fallback : decode_percent(found->second);
}

std::vector<std::string> Spec::list(const std::string& name) const {
  const auto found = options.find(name);
  if (found == options.end() || found->second.empty()) return {};
  std::vector<std::string> entries = parted(found->second);
  std::transform(entries.begin(), entries.end(), entries.begin(), decode_percent);
  return entries;
}

std::int64_t Spec::whole(const std::string& name, std::int64_t fallback) const {
  if (!has(name)) return fallback;
  if (const auto number = parsed<std::int64_t>(options.at(name))) return *number;
  throw ValueError(fmt::format("SPEC '{}': {} is no whole number", to_string(), name));
}

double Spec::number(const std::string& name, double fallback) const {
  if (!has(name)) return fallback;
  if (const auto number = parsed<double>(options.at(name))) return *number;
  throw ValueError(fmt::format("SPEC '{}': {} is no number", to_string(), name));
}

namespace {

/// Whether files of npy: are two arrays, or an archive that holds both.
bool hold_labels(const Spec& spec, const std::vector<SpecFile>& files) {
  if (files.size() == 2) return true;
  return files.front().path.ends_with(".npz") && !(spec.has("y") && spec.options.at("y").empty());
}

/// What is wrong with the files and labels of npy:; empty if nothing is.
std::string fault_of_arrays(const Spec& spec) {
  const std::vector<SpecFile> train = spec.files(), test = spec.files("test");
  for (const auto* files : {&train, &test}) {
    const auto empty = [](const SpecFile& file) { return file.path.empty(); };
    if (files->size() > 2 || std::any_of(files->begin(), files->end(), empty)) {
      return "give two files, X.npy,Y.npy (a comma in a name is written %2C), X.npy alone where there are no labels, "
             "or "
             "one FILE.npz";
    }
  }
  const bool labels = hold_labels(spec, train);
  if (!test.empty() && hold_labels(spec, test) != labels) {
    return fmt::format("the {} part has labels and the other has none; give X.npy,Y.npy for both",
                       labels ? "training" : "test");
  }
  if (spec.has("y") && spec.options.at("y").empty() && labels) {
    return "y= says that there are no labels, but a second file holds them";
  }
  if (spec.has("label") && spec.options.at("label").empty()) return "label= is empty; give X.npy alone for no labels";
  constexpr std::int64_t most_classes = 1'000'000;
  const auto count = parsed<std::int64_t>(spec.text("classes", "1,"));
  if (count && (*count < 1 || *count > most_classes)) return "classes=N: give a whole number from 1 to 1000000";
  return {};
}

/// Options that say how labels are read need labels, and some of them classes.
std::string fault_of_targets(const Spec& spec) {
  bool labels = true;
  if (spec.kind == "csv") labels = !spec.options.at("label").empty();
  if (spec.kind == "npy") labels = hold_labels(spec, spec.files());
  for (const char* option : {"target", "classes", "labels"}) {
    if (!labels && spec.has(option)) {
      return fmt::format("there are no labels for {}=; {} names them", option,
                         spec.kind == "csv" ? "label=COLUMN" : "npy:X.npy,Y.npy");
    }
  }
  if (spec.kind == "npy" && !labels && spec.has("label")) return "there is no second file for label=: npy:X.npy,Y.csv";
  for (const char* option : {"classes", "labels"}) {
    if (spec.text("target") == "real" && spec.has(option)) {
      return fmt::format("{}= is for classes, and target=real for numbers", option);
    }
  }
  return {};
}

}  // namespace

void check_data_set(const Spec& spec) {
  const auto fail = [&](const std::string& fault) {
    throw ValueError(fmt::format("SPEC '{}': {}", spec.to_string(), fault));
  };
  if (spec.kind == "csv" && !spec.has("label")) {
    fail(
        "say which column holds the classes or targets: csv:FILE?label=NAME (or its number), or label= if there is "
        "none");
  }
  if (spec.kind == "npy") {
    if (const std::string fault = fault_of_arrays(spec); !fault.empty()) fail(fault);
  }
  if (spec.kind == "npy" || spec.kind == "csv" || spec.kind == "svmlight") {
    if (const std::string fault = fault_of_targets(spec); !fault.empty()) fail(fault);
  }
  if (spec.kind == "glyphs" && spec.has("shift") && spec.text("domain") == "source") {
    fail("shift is how the target differs; domain=source has none");
  }
  if (spec.kind != "glyphs" && spec.has("test") && (spec.has("test_fraction") || spec.has("seed"))) {
    fail("test= names the test part; test_fraction and seed do not go with it");
  }
  if (spec.text("decimal") == "comma" && spec.text("delimiter") == "comma") {
    fail("a comma cannot part both fields and fractions");
  }
}

}  // namespace rtl::data
