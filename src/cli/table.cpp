#include "cli/table.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace rtl::cli {

std::size_t display_width(const std::string& text) noexcept {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0u) != 0x80u; }));
}

std::string printable(const std::string& text) {
  constexpr unsigned first_printable = 0x20, deletion = 0x7f, latin = 0xc2, above_controls = 0xa0;
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    // U+0080 to U+009F are control characters too: 0xc2 and one byte of that value.
    const bool wide = byte == latin && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < above_controls;
    if (wide) ++i;
    if (wide || byte < first_printable || byte == deletion) {
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i]));
    } else {
      result += text[i];
    }
  }
  return result;
}

std::string grouped(long long number) {
  const std::string digits = fmt::format("{}", number);
  const std::size_t sign = number < 0 ? 1 : 0;
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > sign && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

Table::Table(std::vector<std::string> header) : left_(header.size(), false) {
  left_.front() = true;
  rows_.push_back(std::move(header));
}

void Table::add(std::vector<std::string> row) {
  row.resize(left_.size());
  for (std::string& cell : row) cell = printable(cell);
  rows_.push_back(std::move(row));
}

void Table::align_left(std::size_t column) { left_.at(column) = true; }

std::string Table::to_markdown() const {
  std::string text;
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    text += "|";
    for (const std::string& cell : rows_[r]) {
      text += ' ';
      for (const char c : cell) {
        if (c == '|' || c == '<') text += '\\';
        text += c;
      }
      text += " |";
    }
    text += "\n";
    if (r > 0) continue;
    text += "|";
    for (const bool left : left_) text += left ? " --- |" : " ---: |";
    text += "\n";
  }
  return text;
}

std::string Table::to_string() const {
  std::vector<std::size_t> widths(left_.size(), 0);
  for (const auto& row : rows_) {
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], display_width(row[c]));
  }
  std::string text;
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    std::string line;
    for (std::size_t c = 0; c < widths.size(); ++c) {
      const std::string& cell = rows_[r][c];
      const std::string blanks(widths[c] - display_width(cell), ' ');
      if (c > 0) line += "  ";
      line += left_[c] ? cell + blanks : blanks + cell;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
    if (r == 0) {
      for (std::size_t c = 0; c < widths.size(); ++c) text.append(c > 0 ? "  " : "").append(widths[c], '-');
      text += "\n";
    }
  }
  return text;
}

}  // namespace rtl::cli
