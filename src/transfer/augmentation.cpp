// The text of an augmentation.
#include <fmt/format.h>

#include <vector>

#include "core/joined.hpp"
#include "rtl/transfer/training.hpp"

namespace rtl::transfer {
namespace {

/// An augmentation as options, of which each part of the text is one.
struct Parts {
  kernels::ImageAugmentation augmentation;

  void visit(OptionVisitor& option) {
    option("crop", augmentation.crop, Range::at_least(0), "pixels around the image");
    option("resized_crop", augmentation.resized_crop, Range::between(0, 1), "least share of the area");
    option("flip", augmentation.flip, "left to right");
    option("brightness", augmentation.brightness, Range::between(0, 1), "largest change of the factor");
    option("cutout", augmentation.cutout, Range::at_least(0), "side of the square");
  }
};

bool is_switch(const OptionInfo& part) { return !part.choices.empty(); }

/// What all parts look like.
std::string forms() {
  std::vector<std::string> all;
  for (const OptionInfo& part : describe_options<Parts>()) {
    all.push_back(is_switch(part) ? part.name : part.name + "=NUMBER");
  }
  return joined(all, ", ");
}

[[noreturn]] void refuse(const std::string& text, const std::string& fault) {
  throw ValueError(
      fmt::format("augment '{}': {}; it is none, or parts of these, with commas between: {}", text, fault, forms()));
}

/// The name of a part and its value; of a switch "yes".
std::pair<std::string, std::string> split(const std::string& text, const std::string& part) {
  const std::size_t equals = part.find('=');
  const std::string name = part.substr(0, equals);
  for (const OptionInfo& known : describe_options<Parts>()) {
    if (known.name != name) continue;
    if (is_switch(known) != (equals == std::string::npos)) {
      refuse(text, fmt::format("{} takes {}", name, is_switch(known) ? "no number" : "a number"));
    }
    return {name, is_switch(known) ? "yes" : part.substr(equals + 1)};
  }
  refuse(text, fmt::format("'{}' is unknown", part));
}

}  // namespace

std::string to_string(const kernels::ImageAugmentation& augmentation) {
  const OptionValues values = option_values(Parts{augmentation});
  std::vector<std::string> parts;
  for (const OptionInfo& part : describe_options<Parts>()) {
    const std::string& value = values.at(part.name);
    if (value != part.default_value) parts.push_back(is_switch(part) ? part.name : part.name + "=" + value);
  }
  return parts.empty() ? "none" : joined(parts, ",");
}

kernels::ImageAugmentation parse_augmentation(const std::string& text) {
  if (text == "none") return {};
  OptionValues values;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const auto [name, value] = split(text, text.substr(begin, end - begin));
    if (!values.emplace(name, value).second) refuse(text, name + " stands there twice");
    begin = end + 1;
  }
  try {
    return read_options<Parts>(values).augmentation;
  } catch (const ValueError& error) {
    refuse(text, error.what());
  }
}

}  // namespace rtl::transfer
