// Samples whose inputs are made of columns: the parts are cut first, and prepared then by what is fitted to the
// training part.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "rtl/data/csv.hpp"
#include "rtl/data/load.hpp"
#include "rtl/data/preprocessing.hpp"

namespace rtl::data {

/// Inputs f32 [rows, 3] that stand for the rows of a table until the parts are known, however they are cut, aligned and
/// ordered ..
Tensor row_places(std::size_t table, std::int64_t rows, const Device& host);
/// .. and the rows that they stand for, and their table; of none the first.
std::vector<std::int64_t> places_in(const Tensor& inputs);
std::size_t table_in(const Tensor& inputs);

/// The steps that a SPEC asks for: of missing values, of categories where there are any, and those of prepare=.
std::vector<std::string> steps_of(const Spec& spec, const ColumnTable& training);

class ColumnParts {
 public:
  /// With `fitted` nothing is fitted.
  ColumnParts(const Spec& spec, const Preprocessing* fitted) : spec_(spec), fitted_(fitted) {}

  /// Keeps a file's columns. Returns the inputs (row_places) that stand for them until finish(). Throws FormatError for
  /// other columns than the file before had.
  Tensor add(ColumnTable table, const Device& host);
  /// What a CSV file is read with, so that it has the columns of `fitted`, or those of the files before. Notes columns
  /// that are taken by their order.
  CsvOptions reading(const std::string& file, CsvOptions options, std::vector<std::string>& notes) const;
  /// Puts a table's columns in the order of those of `fitted`, where it has them all.
  void order(ColumnTable& table) const;
  /// Whether there are files.
  bool empty() const { return tables_.empty(); }

  /// Gives the parts their inputs, the names of the columns, how they were prepared, and notes.
  void finish(TrainTest& parts, const Device& host) const;

 private:
  ColumnTable rows_of(const Dataset& part) const;

  const Spec& spec_;
  const Preprocessing* fitted_;
  std::vector<ColumnTable> tables_;
};

}  // namespace rtl::data
