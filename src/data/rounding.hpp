// Numbers that float32 holds too coarsely to be told apart.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "rtl/data/preprocessing.hpp"

namespace rtl::data {

/// A note that names the columns whose numbers float32 rounds by more than a hundredth of their deviation (root mean
/// squares of both), as it does with times in seconds; empty if there are none.
std::string rounding_note(const ColumnTable& table);
/// The same of rows [N, width], whose columns are called by their number, from 0.
std::string rounding_note(std::span<const double> rows, std::size_t width);

}  // namespace rtl::data
