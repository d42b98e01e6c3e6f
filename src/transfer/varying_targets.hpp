// Whether targets vary at all, without which neither their deviation nor R^2 is defined.
#pragma once

#include <cstddef>

#include "rtl/data/dataset.hpp"

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

/// Throws ValueError, naming the data set, unless it is valid and its outputs can be scored: what trains asks before.
void check_scorable(const data::Dataset& test);

}  // namespace rtl::transfer::detail
