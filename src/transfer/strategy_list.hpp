// The strategies of src/transfer/strategies.
#pragma once

#include <vector>

#include "rtl/transfer/strategy.hpp"

namespace rtl::transfer::recipes {

/// The list is made by CMake, in the order of the files' names.
const std::vector<const Strategy*>& all();

}  // namespace rtl::transfer::recipes
