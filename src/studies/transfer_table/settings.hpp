// The table's settings: which source helps with which target, and from how many rows. No data is looked at here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rtl::studies::transfer_table {

/// What is done to a source so that it is of no use, or badly scaled.
enum class Stress : std::uint8_t {
  none,
  random_labels,  ///< trained on the source's rows with permuted labels
  permuted,       ///< its features' rows permuted
  noise_512,      ///< max(0, standard normal) instead of features
  noise_2560,
  times_100,
};
/// Empty for none; "random labels", "rows permuted", ..
std::string to_string(Stress stress);

struct Setting {
  std::string family, source, target;
  std::int64_t rows = 0;  ///< of the target, to train on
  bool regression = false;
  Stress stress = Stress::none;
  bool kept = false;  ///< kept aside

  /// What settings are summed up by: the family, or "useless" where the source is.
  std::string group() const { return stress == Stress::none ? family : "useless"; }
  /// Settings that differ in their rows alone have one.
  std::string pair() const;
  std::string name() const;
};

/// wine, wine-classes, heart, amazon, sentences, office, digits, cifar100, cortex, housing, pretrained-images,
/// pretrained-texts, useless.
std::vector<std::string> groups();

/// All settings, or with `quick` a few of the small tables. A third of each group's pairs, rounded, is kept aside, with
/// all their numbers of rows, by a seed that is fixed here.
std::vector<Setting> settings(bool quick);

}  // namespace rtl::studies::transfer_table
