// Tables of text: one row a line, fields between commas, semicolons, tabs, bars or blanks, or at fixed places.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "rtl/data/spec.hpp"

namespace rtl::data {

enum class CsvHeader : std::uint8_t {
  detect,   ///< decided from the file, see read_csv
  present,  ///< the first line names the columns
  absent,   ///< the first line is a row
};

/// What becomes of rows with a missing value.
enum class CsvMissing : std::uint8_t {
  keep,   ///< NaN in `values`; a missing label or target is an error
  error,  ///< FormatError, naming line and column
  drop,   ///< the row is left out, and counted in `left_out`
  impute  ///< as `keep`, but a row without label or target is left out, for these cannot be imputed
};

/// When two labels name one class.
enum class CsvLabels : std::uint8_t {
  detect,  ///< as `text`, but numbers that are not all whole are refused: they are no classes but measurements
  text,    ///< if they are the same text: 7, 007 and 7.0 are three classes
  number,  ///< if they are the same number, written shortest: 3, 3.0 and 3e0 are "3". All labels must be numbers
};

/// Where a field stands in every line of a file without delimiters.
struct CsvField {
  std::string name = {};                 ///< of its column; empty: as the first line or its number says
  std::int64_t first = 1, last = first;  ///< characters (code points) of the line, the first being 1
};

struct CsvOptions {
  /// Between fields; ' ' stands for one or more blanks or tabs; 0: found out, see read_csv.
  char delimiter = '\0';
  /// Fields at fixed places, in the order of the line and without overlaps, in place of those between delimiters.
  std::vector<CsvField> fields = {};
  CsvHeader header = CsvHeader::detect;
  /// The column of class labels; empty: there is none.
  std::string label = {};
  /// The columns of real targets, which are numbers; in this order, and not beside a label. Empty: there are none.
  std::vector<std::string> targets = {};
  /// The column of sample weights, numbers that are not negative; empty: there is none.
  std::string weights = {};
  /// Keeps no column but the label or the targets, whatever else the table holds.
  bool label_only = false;
  /// The columns to keep; they stay in the file's order. Empty: all but the label, the targets and `drop`.
  std::vector<std::string> columns = {};
  /// Columns to leave out; they may hold text.
  std::vector<std::string> drop = {};
  /// Columns whose values are texts, whatever they look like: the names of categories.
  std::vector<std::string> categories = {};
  /// Makes categories also of columns of which no value is a number. Otherwise a text is an error.
  bool detect_categories = false;
  /// The classes in the order of their indices, where the file alone does not say (another file of the same problem has
  /// more of them); empty: those that occur, whole numbers ascending, text in the order of its bytes.
  std::vector<std::string> classes = {};
  CsvLabels labels = CsvLabels::detect;
  /// Makes two classes of labels that are numbers, "<=N" and ">N".
  std::optional<double> above = {};
  CsvMissing missing = CsvMissing::keep;
  /// What counts as missing beside an empty field, in upper or lower case. A word that `classes` has is a label.
  std::vector<std::string> missing_words = {"?", "NA", "N/A", "NaN", "null", "<NA>", "#N/A"};
  /// Between a number's whole part and its fraction: '.' or ','.
  char decimal = '.';
  /// Longer lines, in bytes, are refused: they come from files that are no tables.
  std::size_t longest_line = std::size_t{1} << 24;
};

/// The options of a table in a SPEC of kind csv (or of another that has them): fields, label, above, target, weights,
/// columns, drop, categories, classes, labels, missing (error if it is not given), na, header, delimiter, decimal;
/// columns without a number are categories. With target=real the columns of label= are `targets`; with target=class
/// labels are texts, whatever they are. Throws ValueError for a decimal comma between commas, and for fields that are
/// none.
CsvOptions csv_options(const Spec& spec);

/// A column of texts.
struct CsvCategories {
  std::string name;
  std::size_t position = 0;         ///< among all kept columns, the first being 0
  std::vector<std::string> values;  ///< one a row; empty where it is missing
};

/// A row that was left out, and the first of its missing values.
struct CsvGap {
  std::int64_t line;   ///< in which the row begins
  std::string column;  ///< name of the column
  std::string text;    ///< what stands there: nothing, or a word that counts as missing
};

/// A table, on the host.
struct CsvTable {
  Tensor values;  ///< f64 [rows, columns], NaN where a value is missing; without label, target and dropped columns
  std::vector<std::string> columns;       ///< names of the columns of `values`; of a file without header their numbers
  std::vector<CsvCategories> categories;  ///< the columns of texts, in the file's order
  std::vector<std::int64_t> lines;        ///< line of the file in which each row begins, the first being 1
  std::vector<std::int32_t> labels;       ///< index into `classes` of each row; empty without a label column
  std::vector<std::string> classes;       ///< names of the classes
  char delimiter = ',';                   ///< what was used; 0 for fields at fixed places
  bool header = false;                    ///< whether there was one
  std::vector<CsvGap> left_out;           ///< rows with a missing value, where these are dropped
  Tensor targets;                         ///< f64 [rows, targets]; not defined without target columns
  std::vector<std::string> target_names;  ///< names of the columns of `targets`
  std::vector<double> weights;            ///< of each row; empty without a column of weights
  /// What a user should know: sentences on rows left out, on a first line that could have been read otherwise, on names
  /// that could mean two columns.
  std::vector<std::string> notes;

  std::int64_t rows() const { return static_cast<std::int64_t>(lines.size()); }
  /// Position in `columns` of a name (or number, as in CsvOptions). Throws ValueError, listing the names.
  std::int64_t column(const std::string& name) const;
};

/// "1 of 7 rows was left out: line 4, kind is empty"; `rows` are all, also those left out. Of many gaps the first are
/// named.
std::string describe_left_out(const std::vector<CsvGap>& gaps, std::int64_t rows);

/// Reads a file, plain or .gz, whole.
///
/// Fields. Blanks around fields are dropped, and so are blank lines (a line of tabs between empty fields is none), CR
/// before the line's end, and a byte order mark. A field may stand in double quotes and then hold delimiters, line ends
/// and, doubled, quotes. Numbers are those of C without hexadecimal; infinities are refused. The delimiter, where none
/// is given, is the first of semicolon, tab, comma, bar and blanks that parts the first lines into equally many fields
/// (a comma does not count with a decimal comma). Lines that end in CR alone are refused, and text that is no UTF-8.
///
/// With CsvOptions::fields lines end in LF or CRLF and are UTF-8, quotes are characters like others, what stands
/// outside of the fields is not looked at, and a field behind a line's end is empty. Names that they have go before
/// those of a first line.
///
/// Header. The first line is taken for one if it has text and no number. If it has numbers, they must be whole and all
/// different, and the columns below must tell that they are names: text stands above numbers, an unnamed first column
/// counts the rows, the names are 0, 1, 2, .. as pandas gives them, or no value below is a whole number, or the numbers
/// are far out of their columns' range. Where that is not certain, `notes` says what was assumed. A first line with a
/// text that is a value of its column below is a row.
///
/// Columns are given by name or by number (1 is the first): a name goes first, but a column without a name has its
/// number for a name before all others; #1 is always the number. Where a given name is also the number of another
/// column, `notes` says so. Columns of the same name are refused unless they are left out or given by number; the
/// second is then called "x.1".
///
/// A first column without name (or called "Unnamed: 0") with another whole number in each row is an index, which
/// programs write along: it is refused unless `drop`, `columns` or `label` names it.
///
/// The values lie on device.host().
///
/// Throws IoError if the file cannot be read; FormatError, naming file, line and fault, for a damaged .gz, UTF-16, an
/// empty file, one without a row or a column of numbers, a line with more or fewer fields than the first, a quote that
/// is not closed, a zero byte, a line longer than allowed, two columns of one name, an index column, text where a
/// number is expected (it names the column), a missing label or value where these are not kept or dropped, labels that
/// are no classes, and a label that is none of `classes`, and with `fields` for bytes that are no UTF-8 and for tabs
/// and other control characters; ValueError for a column that is not there or ambiguous, for one that is both target
/// and feature, for classes without a label column, for a label beside targets, for a delimiter that is a quote, a line
/// end or the decimal mark, and for fields that are empty, out of the order of the line, too far (2^24), of one name,
/// or beside a delimiter.
CsvTable read_csv(const std::string& path, const CsvOptions& options = {}, const Device& device = Device::cpu());

}  // namespace rtl::data
