// Targets that are classes: each becomes a column of 1 where it applies and 0 elsewhere.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cli/array_argument.hpp"

namespace rtl::cli {

/// Of a tensor of f32 or f64 on the host.
std::vector<double> doubles_of(const Tensor& values);

/// Values become one column a class; labels are indices into `array.classes`.
void encode_classes(Array& array, const std::vector<std::int32_t>& labels);

/// Classes of a column of whole numbers. Throws FormatError for fractions and for several columns.
void encode_numbers(Array& array);

/// Whether the whole numbers of targets, of which rows are shown a block after the other, could be classes.
class WholeNumbers {
 public:
  explicit WholeNumbers(std::int64_t columns) : columns_(static_cast<std::size_t>(columns)) {}
  /// Rows [n, columns], row-major.
  void add(const std::vector<double>& rows);
  /// That they could be, and are taken as values; empty if they could not.
  std::string note() const;

 private:
  struct Column {
    bool whole = true;  ///< and not too many different ones for classes
    std::set<double> different;
  };
  /// How many classes they could be, of which some repeat; else 0.
  std::size_t classes_of(const Column& column) const;

  std::vector<Column> columns_;
  std::size_t rows_ = 0;
};

/// "3 classes: fir, oak, yew".
std::string listed_classes(const std::vector<std::string>& names);

/// The classes of a .npy file of text; nothing if it holds numbers. Throws FormatError for shapes other than [N] and
/// [N, 1], for empty texts, for numbers with fractions written as text unless `kind` says they are classes, and where
/// it says they are values.
std::optional<Array> read_text_array(const std::string& file, TargetKind kind);

/// Gives class targets the columns of `classes`, which have all of its own.
void expand_classes(Array& targets, const std::vector<std::string>& classes);

}  // namespace rtl::cli
