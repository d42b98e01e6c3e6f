// A table of text for people.
#pragma once

#include <string>
#include <vector>

namespace rtl::cli {

/// Columns are as wide as their widest cell; the first is aligned left, the others right.
class Table {
 public:
  explicit Table(std::vector<std::string> header);
  /// Cells are made printable().
  void add(std::vector<std::string> row);
  /// Columns aligned left though they are not the first (by index).
  void align_left(std::size_t column);
  /// Header, a rule, the rows; every line ends in a newline.
  std::string to_string() const;
  /// The same as a table of Markdown.
  std::string to_markdown() const;

 private:
  std::vector<std::vector<std::string>> rows_;
  std::vector<bool> left_;
};

/// The text with control characters, which could steer a terminal, as \x1b and the like.
std::string printable(const std::string& text);
/// Number of characters of UTF-8 text (code points).
std::size_t display_width(const std::string& text) noexcept;
/// "12,528,298".
std::string grouped(long long number);

}  // namespace rtl::cli
