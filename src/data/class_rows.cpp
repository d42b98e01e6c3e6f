#include "data/class_rows.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "rtl/core/error.hpp"

namespace rtl::data {

std::vector<std::vector<std::int64_t>> rows_by_class(const char* call, std::span<const std::int32_t> labels,
                                                     std::int64_t classes) {
  std::vector<std::vector<std::int64_t>> rows(static_cast<std::size_t>(std::max<std::int64_t>(classes, 0)));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0 || labels[i] >= classes) {
      throw ValueError(fmt::format("{}: sample {}: label {} out of range [0, {})", call, i, labels[i], classes));
    }
    rows[static_cast<std::size_t>(labels[i])].push_back(static_cast<std::int64_t>(i));
  }
  return rows;
}

}  // namespace rtl::data
