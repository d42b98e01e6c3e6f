// Label noise: symmetric flips, drawn once or anew in every epoch.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace rtl::data {

/// With `probability`, a label becomes one of the other classes - 1 labels, each equally likely.
struct LabelFlips {
  double probability = 0;
  std::uint64_t seed = 0;
  bool each_epoch = false;  ///< false: every epoch sees the same flips; true: drawn anew from (seed, epoch, sample)
};

/// The label that `sample` (its row in the data set) has in `epoch`: a pure function of its arguments.
std::int32_t flipped_label(std::int32_t label, std::int64_t classes, const LabelFlips& flips, std::int64_t sample,
                           std::int64_t epoch);

/// flipped_label of every row of a data set. Throws ValueError unless 0 <= probability <= 1, classes >= 2 (where the
/// probability is positive) and every label is in [0, classes).
std::vector<std::int32_t> flipped_labels(std::span<const std::int32_t> labels, std::int64_t classes,
                                         const LabelFlips& flips, std::int64_t epoch);

}  // namespace rtl::data
