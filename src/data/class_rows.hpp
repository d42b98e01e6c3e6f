// Which rows each class has.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace rtl::data {

/// Ascending rows of each class. Throws ValueError, in the name of `call`, for a label outside [0, classes).
std::vector<std::vector<std::int64_t>> rows_by_class(const char* call, std::span<const std::int32_t> labels,
                                                     std::int64_t classes);

}  // namespace rtl::data
