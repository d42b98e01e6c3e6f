// Enumerations and their names.
#pragma once

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "core/joined.hpp"
#include "rtl/core/error.hpp"

namespace rtl::transfer::detail {

/// Throws ValueError for a value that the enumeration does not have.
template <std::size_t count, typename Enumeration>
std::string name_at(const std::array<std::string_view, count>& names, Enumeration value) {
  const auto index = static_cast<std::size_t>(value);
  if (index < count) return std::string(names[index]);
  throw ValueError(fmt::format("{} is no value of the enumeration of {}", index, joined(names, ", ")));
}

/// Throws ValueError that lists the names.
template <typename Enumeration, std::size_t count>
Enumeration parse_name(const std::array<std::string_view, count>& names, const std::string& text,
                       std::string_view what) {
  for (std::size_t i = 0; i < count; ++i) {
    if (names[i] == text) return static_cast<Enumeration>(i);
  }
  throw ValueError(fmt::format("there is no {} \"{}\"; use one of {}", what, text, joined(names, ", ")));
}

}  // namespace rtl::transfer::detail
