// Training sets made worse, or fewer, as the stress tests of REFINE make those of their sources (Xu, Nakada, Zhang and
// Li 2025, arXiv 2505.11771): confused classes, imbalance, noise on the inputs, few rows. Label flips are in
// label_flips.hpp. All draws are pure functions of the seed and the data set; each function has draws of its own.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "rtl/data/dataset.hpp"

namespace rtl::data {

using ClassPairs = std::vector<std::pair<std::int32_t, std::int32_t>>;

/// Classes that confusion swaps: of 10 and of 100 classes those published for CIFAR-10 (3-5, 4-7, 1-9, 0-8) and
/// CIFAR-100 (47 pairs), by number; else 0-1, 2-3 and so on. Throws ValueError for fewer than two classes.
ClassPairs confusion_pairs(std::int64_t classes);

/// Each label of a paired class becomes its partner with this probability, drawn once. Throws ValueError for a
/// probability outside [0, 1], and for a class that is in two pairs, in one with itself, or negative.
std::vector<std::int32_t> confused_labels(std::span<const std::int32_t> labels, const ClassPairs& pairs,
                                          double probability, std::uint64_t seed);

/// Published numbers of samples of each class. Of 10 classes 3500, 3000, 1000, 700, 600, 450, 300, 200, 150 and 100 of
/// 10,000, as shares of the samples that there are, rounded, but 1 at least. Of 100 classes, for 50,000 samples: up to
/// 400 of classes 0 to 9 and 100 of each other class, in the order of the classes until there are 10,000, so that
/// classes 70 to 99 have none; for another number of samples in proportion. Throws ValueError for another number of
/// classes.
std::vector<std::int64_t> published_imbalance(std::span<const std::int32_t> labels, std::int64_t classes);

/// Rows with counts[c] samples of class c, in random order: without replacement where there are enough, else with.
/// Throws ValueError unless there is one count for each class, none negative and one positive, for a label out of
/// range, and for samples that are asked of a class without any; OutOfMemory before any are drawn.
std::vector<std::int64_t> imbalanced_rows(std::span<const std::int32_t> labels, std::int64_t classes,
                                          std::span<const std::int64_t> counts, std::uint64_t seed);

/// Exactly `count` rows in random order, of each class its share by largest remainders (the smaller class number where
/// they are equal), and at least one of each class that occurs if `count` allows. Throws ValueError unless 0 < count <=
/// samples, and for a label out of range.
std::vector<std::int64_t> stratified_subset(std::span<const std::int32_t> labels, std::int64_t classes,
                                            std::int64_t count, std::uint64_t seed);

/// Normal noise on every input: of vectors, `deviation` times the population deviation of the column; of images, as if
/// they were scaled to [-1, 1], that is 127.5 times `deviation`, rounded and cut off at 0 and 255 (the published noise
/// is added to floating-point images). Sparse rows become dense. Throws ValueError for a deviation that is negative or
/// not finite, for tokens, and for sparse rows that take more than 4 GiB dense.
Dataset with_input_noise(const Dataset& dataset, double deviation, std::uint64_t seed);

/// Several at once, in this order.
struct Stress {
  bool imbalance = false;                    ///< published_imbalance ..
  std::vector<std::int64_t> class_counts{};  ///< .. or these numbers of samples
  std::int64_t few = 0;                      ///< stratified_subset, of real targets random_subset; 0: all
  double confusion = 0;                      ///< confused_labels of confusion_pairs
  double input_noise = 0;                    ///< with_input_noise
  std::uint64_t seed = 0;

  bool any() const { return changes_inputs() || confusion > 0; }
  /// Whether rows or inputs change, so that what was computed of them does not fit any more.
  bool changes_inputs() const { return imbalance || few > 0 || input_noise > 0; }
};
/// A training set under stress. Throws ValueError where one of the functions does, and for imbalance or confusion of a
/// data set without labels.
Dataset stressed(const Dataset& train, const Stress& stress);

}  // namespace rtl::data
