// Numbers that float32 holds too coarsely to be told apart.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "rtl/data/preprocessing.hpp"

namespace rtl::data {

/// Finds columns whose numbers float32 rounds by more than a hundredth of their deviation (root mean squares of both),
/// as it does with times in seconds.
class ColumnRounding {
 public:
  explicit ColumnRounding(std::size_t columns) : columns_(columns) {}

  /// The next row of a column.
  void add(std::size_t column, double number);
  /// The next rows [N, columns].
  void add_rows(std::span<const double> rows);
  bool is_coarse(std::size_t column) const;
  /// A note that names these columns, by their number from 0; empty if there are none.
  std::string note() const;

 private:
  struct Sums {
    double count = 0, mean = 0, squares = 0, errors = 0, first = 0;
    bool varies = false;
  };
  std::vector<Sums> columns_;
};

/// The note of a table's columns of numbers, by their names.
std::string rounding_note(const ColumnTable& table);

}  // namespace rtl::data
