#include "rtl/data/split.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "data/class_rows.hpp"
#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"

namespace rtl::data {
namespace {

/// Philox streams of the choices here, so that one seed gives unrelated choices.
constexpr std::uint64_t subset_stream = 0x73756273;
constexpr std::uint64_t split_stream = 0x73706c69;
constexpr std::uint64_t mixing_stream = 0x6d697869;
constexpr std::uint64_t fold_stream = 0x666f6c64;

void check_fraction(const char* call, double fraction) {
  if (!(fraction >= 0 && fraction <= 1)) {
    throw ValueError(fmt::format("{}: the fraction {} is not in [0, 1]", call, fraction));
  }
}

/// Random order, from a stream of its own.
void shuffle(std::vector<std::int64_t>& rows, std::uint64_t seed, std::uint64_t stream) {
  const std::vector<std::int64_t> order =
      RandomSequence(seed, stream).permutation(static_cast<std::int64_t>(rows.size()));
  std::vector<std::int64_t> shuffled;
  shuffled.reserve(rows.size());
  for (const std::int64_t i : order) shuffled.push_back(rows[static_cast<std::size_t>(i)]);
  rows = std::move(shuffled);
}

}  // namespace

std::vector<std::int64_t> random_subset(std::int64_t size, std::int64_t count, std::uint64_t seed) {
  if (count < 0 || count > size) {
    throw ValueError(fmt::format("random_subset: {} of {} rows cannot be chosen without replacement", count, size));
  }
  // Fisher-Yates from the front: the first rows do not depend on how many follow.
  std::vector<std::int64_t> rows(static_cast<std::size_t>(size));
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::int64_t>(i);
  RandomSequence random(seed, subset_stream);
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    std::swap(rows[i], rows[i + random.below(rows.size() - i)]);
  }
  rows.resize(static_cast<std::size_t>(count));
  return rows;
}

Split random_split(std::int64_t size, double fraction, std::uint64_t seed) {
  check_fraction("random_split", fraction);
  if (size < 0) throw ValueError(fmt::format("random_split: the size {} is negative", size));
  std::vector<std::int64_t> rows = RandomSequence(seed, split_stream).permutation(size);
  const auto second = static_cast<std::ptrdiff_t>(std::llround(fraction * static_cast<double>(size)));
  return {{rows.begin() + second, rows.end()}, {rows.begin(), rows.begin() + second}};
}

Split stratified_split(std::span<const std::int32_t> labels, std::int64_t classes, double fraction,
                       std::uint64_t seed) {
  check_fraction("stratified_split", fraction);
  Split split;
  std::uint64_t label = 0;
  for (std::vector<std::int64_t>& rows : rows_by_class("stratified_split", labels, classes)) {
    shuffle(rows, seed, mix(split_stream, label++));
    auto second = static_cast<std::ptrdiff_t>(std::llround(fraction * static_cast<double>(rows.size())));
    if (fraction > 0 && fraction < 1 && rows.size() >= 2) {
      second = std::clamp<std::ptrdiff_t>(second, 1, static_cast<std::ptrdiff_t>(rows.size()) - 1);
    }
    split.second.insert(split.second.end(), rows.begin(), rows.begin() + second);
    split.first.insert(split.first.end(), rows.begin() + second, rows.end());
  }
  shuffle(split.first, seed, mixing_stream);
  shuffle(split.second, seed, mixing_stream + 1);
  return split;
}

std::vector<std::int64_t> balanced_subset(std::span<const std::int32_t> labels, std::int64_t classes,
                                          std::int64_t per_class, std::uint64_t seed) {
  std::vector<std::int64_t> chosen;
  std::uint64_t label = 0;
  for (std::vector<std::int64_t>& rows : rows_by_class("balanced_subset", labels, classes)) {
    if (per_class < 0 || static_cast<std::size_t>(per_class) > rows.size()) {
      throw ValueError(fmt::format("balanced_subset: {} samples of class {} are asked for, there are {}", per_class,
                                   label, rows.size()));
    }
    shuffle(rows, seed, mix(subset_stream, label++));
    chosen.insert(chosen.end(), rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(per_class));
  }
  shuffle(chosen, seed, mixing_stream);
  return chosen;
}

std::vector<std::vector<std::int64_t>> stratified_folds(std::span<const std::int32_t> labels, std::int64_t classes,
                                                        std::int64_t count, std::uint64_t seed) {
  if (count < 2 || static_cast<std::size_t>(count) > labels.size()) {
    throw ValueError(fmt::format("stratified_folds: {} folds of {} rows", count, labels.size()));
  }
  std::vector<std::vector<std::int64_t>> folds(static_cast<std::size_t>(count));
  std::uint64_t label = 0;
  std::size_t next = 0;
  for (std::vector<std::int64_t>& rows : rows_by_class("stratified_folds", labels, classes)) {
    shuffle(rows, seed, mix(fold_stream, label++));
    for (const std::int64_t row : rows) folds[next++ % folds.size()].push_back(row);
  }
  for (std::vector<std::int64_t>& fold : folds) std::sort(fold.begin(), fold.end());
  return folds;
}

std::vector<std::vector<std::int64_t>> random_folds(std::int64_t size, std::int64_t count, std::uint64_t seed) {
  return stratified_folds(std::vector<std::int32_t>(static_cast<std::size_t>(std::max<std::int64_t>(size, 0))), 1,
                          count, seed);
}

}  // namespace rtl::data
