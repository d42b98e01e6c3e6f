#include "cli/number_checks.hpp"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdlib>
#include <optional>

namespace rtl::cli {

namespace {

std::optional<double> parse(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || end != text.c_str() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

}  // namespace

CLI::Validator at_least(int least) {
  const auto check = [least](const std::string& text) {
    const auto value = parse(text);
    return value && *value >= least ? std::string() : fmt::format("'{}' is no number from {} up", text, least);
  };
  return {check, fmt::format(">= {}", least), "at least"};
}

CLI::Validator between(int least, int most) {
  const auto check = [least, most](const std::string& text) {
    const auto value = parse(text);
    return value && *value >= least && *value <= most
               ? std::string()
               : fmt::format("'{}' is no number from {} to {}", text, least, most);
  };
  return {check, fmt::format("{} .. {}", least, most), "between"};
}

CLI::Validator above_zero() {
  const auto check = [](const std::string& text) {
    const auto value = parse(text);
    return value && *value > 0 ? std::string() : fmt::format("'{}' is no finite number above 0", text);
  };
  return {check, "> 0", "above zero"};
}

CLI::Validator share_below_one() {
  const auto check = [](const std::string& text) {
    const auto value = parse(text);
    return value && *value >= 0 && *value < 1 ? std::string() : fmt::format("'{}' is no number in [0, 1)", text);
  };
  return {check, "in [0, 1)", "share below one"};
}

}  // namespace rtl::cli
