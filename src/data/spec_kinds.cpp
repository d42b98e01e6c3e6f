// The kinds of SPEC as --help prints them.
#include <fmt/format.h>

#include <algorithm>

#include "core/joined.hpp"
#include "data/format.hpp"
#include "rtl/core/error.hpp"

namespace rtl::data {
namespace {

/// Words in lines of at most `width`, the first line behind `indent`.
std::string wrapped(const std::string& text, std::size_t indent, std::size_t width) {
  std::string lines;
  std::size_t column = indent;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, end - at);
    if (column > indent && column + 1 + word.size() > width) {
      lines += "\n" + std::string(indent, ' ');
      column = indent;
    }
    if (column > indent) lines += ' ', ++column;
    lines += word;
    column += word.size();
    at = end + 1;
  }
  return lines;
}

}  // namespace

std::string SpecOption::values() const {
  if (type == SpecValue::choice) return joined(choices, "|");
  return type == SpecValue::list ? placeholder + ",.." : placeholder;
}

const SpecOption* SpecKind::option(const std::string& wanted) const {
  const auto found = std::find_if(options.begin(), options.end(), [&](const auto& o) { return o.name == wanted; });
  return found == options.end() ? nullptr : &*found;
}

const std::vector<SpecKind>& spec_kinds() {
  static const std::vector<SpecKind> kinds = [] {
    std::vector<SpecKind> all;
    for (const Format* format : formats::all()) all.push_back(format->kind);
    return all;
  }();
  return kinds;
}

const Format& format_of(const Spec& spec) {
  for (const Format* format : formats::all()) {
    if (format->kind.name == spec.kind) return *format;
  }
  throw ValueError(fmt::format("there is no kind '{}' of data set", spec.kind));
}

std::string spec_help() {
  constexpr std::size_t indent = 34, width = 110;
  std::string help = "A SPEC names a data set: KIND:PATH?option=value&option=value, in quotes for the shell.\n";
  for (const SpecKind& kind : spec_kinds()) {
    help += fmt::format("  {:<{}}{}\n", kind.form(), indent - 2, wrapped(kind.help, indent, width));
    for (const SpecOption& option : kind.options) {
      const std::string form = "    " + option.name + "=" + option.values();
      help +=
          form + (form.size() + 1 < indent ? std::string(indent - form.size(), ' ') : "\n" + std::string(indent, ' '));
      help += wrapped(option.help, indent, width) + "\n";
    }
  }
  return help +
         "Files may be plain or .gz. What a path or value cannot hold is written as in a URL: %3F is '?', %2C a "
         "comma, %26\n'&', %25 '%'.";
}

}  // namespace rtl::data
