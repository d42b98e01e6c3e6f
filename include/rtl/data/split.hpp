// Seeded choices of rows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace rtl::data {

/// `count` different rows of 0 .. size-1 in random order: the head of one permutation, so a smaller subset of the same
/// seed is a prefix of a larger one. Throws ValueError unless 0 <= count <= size.
std::vector<std::int64_t> random_subset(std::int64_t size, std::int64_t count, std::uint64_t seed);

struct Split {
  std::vector<std::int64_t> first;
  std::vector<std::int64_t> second;
};

/// Parts all rows: `second` gets round(fraction * size) of them. Both parts are in random order. Throws ValueError
/// unless 0 <= fraction <= 1.
Split random_split(std::int64_t size, double fraction, std::uint64_t seed);

/// Like random_split, for each class apart: `second` gets round(fraction * count) samples of every class (and at least
/// one of each class that has two or more, if 0 < fraction < 1). Both parts are in random order, classes mixed. Throws
/// ValueError for a label outside [0, classes).
Split stratified_split(std::span<const std::int32_t> labels, std::int64_t classes, double fraction, std::uint64_t seed);

/// `per_class` different rows of every class, in random order. Throws ValueError if a class has fewer.
std::vector<std::int64_t> balanced_subset(std::span<const std::int32_t> labels, std::int64_t classes,
                                          std::int64_t per_class, std::uint64_t seed);

/// `count` parts of all rows, for cross-validation, each in ascending order: every class is spread evenly, and sizes
/// differ by one at most. Throws ValueError unless 2 <= count <= the number of rows, or for a label outside [0,
/// classes).
std::vector<std::vector<std::int64_t>> stratified_folds(std::span<const std::int32_t> labels, std::int64_t classes,
                                                        std::int64_t count, std::uint64_t seed);
/// The same of rows without classes.
std::vector<std::vector<std::int64_t>> random_folds(std::int64_t size, std::int64_t count, std::uint64_t seed);

}  // namespace rtl::data
