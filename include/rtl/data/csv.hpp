// Tables of text: one row a line, fields between commas, semicolons or tabs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "rtl/core/tensor.hpp"

namespace rtl::data {

enum class CsvHeader : std::uint8_t {
  detect,  ///< the first line names the columns if it has text and no number
  present,
  absent,
};

struct CsvOptions {
  /// Between fields; 0: a semicolon if the first line has one (outside quotes), else a tab, else a comma.
  char delimiter = '\0';
  CsvHeader header = CsvHeader::detect;
  /// The column of class labels, text or numbers, by name or number (1 is the first); empty: there is none.
  std::string label = {};
  /// The columns to keep, by name or number; they stay in the file's order. Empty: all but the label and `drop`.
  std::vector<std::string> columns = {};
  /// Columns to leave out, by name or number; they may hold text.
  std::vector<std::string> drop = {};
  /// The classes in the order of their indices, where the file alone does not say (another file of the same problem has
  /// more of them); empty: those that occur, numbers ascending, text in the order of its bytes.
  std::vector<std::string> classes = {};
  /// Longer lines, in bytes, are refused: they come from files that are no tables.
  std::size_t longest_line = std::size_t{1} << 24;
};

/// A table, on the host.
struct CsvTable {
  Tensor values;  ///< f64 [rows, columns], NaN where a value is missing; without label and dropped columns
  std::vector<std::string> columns;  ///< names of the columns of `values`; of a file without header their numbers
  std::vector<std::int64_t> lines;   ///< line of the file in which each row begins, the first being 1
  std::vector<std::int32_t> labels;  ///< index into `classes` of each row; empty without a label column
  /// Names of the classes. Labels that are numbers are compared as numbers and written shortest: 3, 3.0 and 3e0 are
  /// "3".
  std::vector<std::string> classes;
  char delimiter = ',';  ///< what was used
  bool header = false;   ///< whether there was one

  std::int64_t rows() const { return static_cast<std::int64_t>(lines.size()); }
  /// Position in `columns` of a name (or number, as in CsvOptions). Throws ValueError, listing the names.
  std::int64_t column(const std::string& name) const;
};

/// Reads a file, plain or .gz, whole.
///
/// Blanks around fields are dropped, and so are blank lines, CR before the line's end, and a byte order mark. A field
/// may stand in double quotes and then hold delimiters, line ends and, doubled, quotes. Missing values are empty
/// fields, "?", "NA", "N/A", "NaN" and "null" in any case. Numbers are those of C without hexadecimal; infinities are
/// refused.
///
/// Throws IoError if the file cannot be read; FormatError, naming file, line and fault, for a damaged .gz, an empty
/// file, one without a row or a column of numbers, a line with more or fewer fields than the first, a quote that is not
/// closed, a zero byte, a line longer than allowed, two columns of one name, text where a number is expected (it names
/// the column), a missing label, and a label that is none of `classes`; ValueError for a label or drop column that is
/// not there for classes without a label column, and for a delimiter that
/// is a quote or a line end.
CsvTable read_csv(const std::string& path, const CsvOptions& options = {});

}  // namespace rtl::data
