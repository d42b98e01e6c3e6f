#include "core/joined.hpp"

#include <fmt/format.h>

namespace rtl {
namespace {

template <typename T>
std::string join(std::span<const T> parts, std::string_view separator) {
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) text += separator;
    text += fmt::format("{}", parts[i]);
  }
  return text;
}

}  // namespace

std::string joined(std::span<const std::string> parts, std::string_view separator) { return join(parts, separator); }
std::string joined(std::span<const std::string_view> parts, std::string_view separator) {
  return join(parts, separator);
}
std::string joined(std::span<const std::int64_t> numbers, std::string_view separator) {
  return join(numbers, separator);
}
std::string joined(std::span<const int> numbers, std::string_view separator) { return join(numbers, separator); }
std::string joined(std::span<const double> numbers, std::string_view separator) { return join(numbers, separator); }

}  // namespace rtl
