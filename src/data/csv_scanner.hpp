// Takes records off the text of a table, one after the other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rtl/data/csv.hpp"

namespace rtl::data {

/// Copies look at the same text and go their own way.
class CsvScanner {
 public:
  /// Finds the delimiter where options have neither one nor fields. Throws FormatError for UTF-16 and
  /// for lines that end in CR alone.
  CsvScanner(const std::string& file, std::string_view text, const CsvOptions& options);

  char delimiter() const noexcept { return delimiter_; }
  /// Line in which the last record began.
  std::int64_t line() const noexcept { return line_; }
  /// The next record's fields; false at the end of the text. Blank lines are skipped; tabs that part fields
  /// make a record, of empty fields. Throws FormatError.
  bool next(std::vector<std::string>& fields);

 private:
  bool parts_evenly(char delimiter, char decimal) const;
  char detected(char decimal) const;
  bool is_delimiter(char c) const noexcept { return delimiter_ == ' ' ? c == ' ' || c == '\t' : c == delimiter_; }
  [[noreturn]] void fail(const std::string& fault) const;
  void check(char c) const;
  void skip_blanks();
  void take_line(std::vector<std::string>& fields);
  bool take_field(std::vector<std::string>& fields);
  std::string take_quoted();

  const std::string* file_;
  std::string_view rest_;
  const char* begin_ = nullptr;  ///< of the record
  std::vector<CsvField> places_;
  char delimiter_;
  std::size_t longest_;
  std::int64_t line_ = 1;
  std::int64_t next_line_ = 1;
};

}  // namespace rtl::data
