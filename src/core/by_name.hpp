// Choices by name.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <utility>

namespace rtl {

inline bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// What the table has for a name, `otherwise` if it has none.
template <typename T>
T by_name(std::string_view name, std::initializer_list<std::pair<std::string_view, T>> table, T otherwise) {
  for (const auto& [known, value] : table) {
    if (known == name) return value;
  }
  return otherwise;
}

}  // namespace rtl
