// Arguments that name a matrix of numbers, or classes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>
#include "cli/command_line_classes.hpp"

#include "rtl/core/tensor.hpp"
#include "rtl/data/csv.hpp"
#include "rtl/data/preprocessing.hpp"

namespace rtl::cli {

/// What --help says of such arguments.
inline constexpr const char* array_help = "a matrix: FILE.npy, FILE.csv or FILE.svmlight, with the options below";

/// The forms and options of such arguments, the last part of --help.
std::string matrix_help();

/// What the numbers of targets are.
enum class TargetKind : std::uint8_t {
  detect,   ///< text is classes; whole numbers are values, and a note says so
  values,   ///< numbers to be predicted
  classes,  ///< different texts or numbers are classes
};

/// Of the words of --targets-are.
TargetKind parse_target_kind(const std::string& text);
void add_targets_are(CLI::App& command, std::string& value);

/// A file's matrix, on the host.
struct Array {
  std::string option;                     ///< "--features"
  std::string file;                       ///< its name alone
  Tensor values;                          ///< [rows, columns]: f32 as it is, anything else as f64; of classes 1 or 0
  std::vector<std::string> classes = {};  ///< names of the columns of `values` if the file has classes
  std::int64_t all_rows = 0;              ///< with those that were left out
  std::vector<std::int64_t> places = {};  ///< of the rows among all rows; empty: none was left out
  std::vector<data::CsvGap> left_out = {};
  std::vector<std::string> notes = {};  ///< what a user should know before anything is computed
  /// How the columns of a table became those of `values`; null where they are as they were read.
  std::shared_ptr<const data::Preprocessing> preprocessing = {};

  std::int64_t rows() const { return values.extent(0); }
  std::int64_t columns() const { return values.extent(1); }
};

/// Reads a matrix. Options are those of the SPEC's kind but the ones that part data sets or name classes: csv has
/// columns, drop, categories, header, delimiter, decimal, missing, na, prepare and label (left out), svmlight features,
/// first_index and dense_mib, and all of them limit and offset. Columns are prepared by what is fitted to the rows that
/// are read, or by `fitted`. Throws UsageError naming `option` for what is no such argument;
/// IoError; FormatError naming the file for other kinds of file, other ranks, an empty matrix, and values that are
/// missing, NaN or infinite.
Array read_array(const std::string& option, const std::string& argument, const data::Preprocessing* fitted = nullptr);

/// The same of targets: of svmlight the targets, of csv the column label=, if given, as classes, and so of npy an array
/// of text.
Array read_targets(const std::string& option, const std::string& argument, TargetKind kind);

/// Targets of other rows of the same problem: values if there are no `classes`, else some of these classes, in columns
/// for all of them. Throws FormatError for a class that is not among them; `fitted_file` is where they come from.
Array read_targets(const std::string& option, const std::string& argument, const std::vector<std::string>& classes,
                   const std::string& fitted_file);

/// read_array as [rows, columns]. Throws FormatError naming the file if it has another shape; `reason` is where the
/// wanted one comes from.
Array read_array(const std::string& option, const std::string& argument, std::int64_t rows, std::int64_t columns,
                 const std::string& reason);

/// Keeps the rows that none of the files left out; a note of the first says how many that costs, where no file's own
/// does. Throws FormatError, naming both, where numbers of rows differ.
void align_rows(std::vector<Array*> arrays);

/// Shows notes, and what was left out of each file, on standard error, and returns them.
std::vector<std::string> tell_notes(const std::vector<const Array*>& arrays);

/// The file of an argument, for checks of outputs. Throws UsageError.
std::string array_file(const std::string& option, const std::string& argument);

}  // namespace rtl::cli
