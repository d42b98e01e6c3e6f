#include "layers/model_parts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/joined.hpp"
#include "layers/model.hpp"

namespace rtl::layers {

std::vector<std::int64_t> parse_widths(const Architecture& architecture, const std::string& text) {
  std::vector<std::int64_t> widths;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find_first_of("-,", begin), text.size());
    std::int64_t width = 0;
    const auto [stop, fault] = std::from_chars(text.data() + begin, text.data() + end, width);
    if (fault != std::errc() || stop != text.data() + end || width < 1 || width > (1 << 20)) {
      throw ValueError(fmt::format("make_network: '{}' is no architecture; there is {}", architecture.to_string(),
                                   architecture_named(architecture.name).description()));
    }
    widths.push_back(width);
    begin = end + 1;
  }
  return widths;
}

void check_images(const Architecture& architecture, std::int64_t smallest) {
  const Shape& input = architecture.input;
  if (input.rank() != 3 || input[0] < smallest || input[1] < smallest || input[2] < 1) {
    throw ValueError(fmt::format("{} takes images [H, W, C] of at least {} by {} pixels, not {}",
                                 architecture.to_string(), smallest, smallest, input.to_string()));
  }
}

std::string too_few_elements(const CheckpointTensors& tensors, std::int64_t parameters) {
  std::int64_t elements = 0;
  for (const auto& [name, shape] : tensors.shapes) elements += shape.count();
  if (elements >= parameters / 2) return {};
  return fmt::format("its tensors have {} elements, the trunk has {} parameters", elements, parameters);
}

std::vector<Shape> weight_chain(const std::map<std::string, Shape>& shapes, const std::vector<std::string>& names,
                                std::string& fault) {
  std::vector<Shape> chain;
  for (const std::string& name : names) {
    const auto found = shapes.find(name + ".weight");
    if (found == shapes.end()) {
      fault = fmt::format("{}.weight is missing", name);
      return {};
    }
    const Shape& shape = found->second;
    const bool convolution = name.starts_with("conv");
    bool fits = shape.rank() == (convolution ? 4 : 2) && shape.count() > 0;
    if (fits && !chain.empty()) {
      fits = chain.back().rank() == shape.rank() ? shape[1] == chain.back()[0] : shape[1] % chain.back()[0] == 0;
    }
    if (!fits) {
      fault = fmt::format("{}.weight {} does not fit there", name, shape.to_string());
      return {};
    }
    chain.push_back(shape);
  }
  return chain;
}

std::vector<std::string> variant_words(const std::string& variant) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin <= variant.size();) {
    const std::size_t end = std::min(variant.find('-', begin), variant.size());
    words.push_back(variant.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

std::vector<std::int64_t> parse_sizes(const Architecture& architecture, const std::vector<std::string>& words,
                                      std::size_t count) {
  std::vector<std::int64_t> sizes = parse_widths(architecture, joined(words, "-"));
  if (sizes.size() == count) return sizes;
  throw ValueError(fmt::format("make_network: '{}' has {} sizes, not {}; there is {}", architecture.to_string(),
                               sizes.size(), count, architecture_named(architecture.name).description()));
}

void check_tokens(const Architecture& architecture) {
  const Shape& input = architecture.input;
  if (input.rank() == 1 && input[0] > 0) return;
  throw ValueError(
      fmt::format("{} takes sequences [T] of token ids, not {}", architecture.to_string(), input.to_string()));
}

Shape ShapeReader::read(const std::string& name, int rank) {
  std::vector<std::int64_t> ones(static_cast<std::size_t>(rank), 1);
  const Shape none{std::span<const std::int64_t>(ones)};
  if (!fault_.empty()) return none;
  const auto found = shapes_.find(name);
  if (found == shapes_.end()) {
    fault_ = fmt::format("{} is missing", name);
    return none;
  }
  const Shape& shape = found->second;
  if (shape.rank() == rank && shape.count() > 0) return shape;
  fault_ = fmt::format("{} {} does not fit there", name, shape.to_string());
  return none;
}

void ShapeReader::expect(const std::string& name, const Shape& shape) {
  const Shape found = read(name, shape.rank());
  if (fault_.empty() && found != shape) {
    fault_ = fmt::format("{} is {}, not {}", name, found.to_string(), shape.to_string());
  }
}

std::int64_t ShapeReader::count(const std::string& before, const std::string& behind) const {
  std::int64_t found = 0;
  while (shapes_.contains(before + std::to_string(found) + behind)) ++found;
  return found;
}

}  // namespace rtl::layers
