#include "rtl/data/spec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>

#include "core/joined.hpp"
#include "data/format.hpp"
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
    case SpecValue::files:
      return value.empty() ? fmt::format("give a {}", option.placeholder) : std::string();
    case SpecValue::list:
      for (const std::string& entry : parted(value)) {
        if (entry.empty()) return fmt::format("has an empty name; give {}", option.values());
      }
      return {};
  }
  return {};
}

bool is_table(const std::string& file) { return file.ends_with(".csv") || file.ends_with(".csv.gz"); }

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
  const SpecKind* known = find_kind(kind);
  if (!option.empty()) {
    const SpecOption* described = known == nullptr ? nullptr : known->option(option);
    if (described == nullptr || described->type != SpecValue::files) return {};
  }
  if (known == nullptr || known->files < 2) return {{decode_path(written), false}};
  if (exists(written)) return {{written, is_table(written)}};
  std::vector<SpecFile> files;
  for (const std::string& entry : parted(written)) {
    const bool prefixed = entry.starts_with("csv:") || entry.starts_with("npy:");
    const std::string file = decode_path(prefixed ? entry.substr(4) : entry);
    files.push_back({file, prefixed ? entry.front() == 'c' : is_table(file)});
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

void check_data_set(const Spec& spec) {
  const Format& format = format_of(spec);
  std::string fault;
  for (const SpecOption& option : format.kind.options) {
    if (fault.empty() && !spec.has(option.name)) fault = option.required;
  }
  if (fault.empty() && format.fault != nullptr) fault = format.fault(spec);
  if (!fault.empty()) throw ValueError(fmt::format("SPEC '{}': {}", spec.to_string(), fault));
}

}  // namespace rtl::data
