// Whether targets vary at all, without which neither their deviation nor R^2 is defined.
#pragma once

#include <cstddef>

namespace rtl::transfer::detail {

/// Whether every column of [N, width] has two different values. Exact: sums of squares about a rounded mean are not
/// zero for a column of one value.
template <typename Values>
bool all_vary(const Values& targets, std::size_t width) {
  for (std::size_t column = 0; column < width; ++column) {
    bool varies = false;
    for (std::size_t i = column; i < targets.size() && !varies; i += width) varies = targets[i] != targets[column];
    if (!varies) return false;
  }
  return true;
}

}  // namespace rtl::transfer::detail
