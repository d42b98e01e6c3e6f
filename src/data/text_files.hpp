// Files of texts, with their labels or without.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/text_table.hpp"

namespace rtl::data {

struct TextFileOptions {
  /// "detect", "first" or "last" (word of a line), "none"; of a table the name of a column, else none.
  std::string label = "detect";
  char separator = '\0';  ///< between label and text: a tab or a blank; 0: a tab where every line has one, else a blank
  std::string column = {};  ///< of the texts in a table; empty: the file is no table
};

struct TextFile {
  std::vector<std::string> texts;
  LabelTexts labels;               ///< none where there are none
  TextFileOptions options;         ///< with what was found out, for other files of the same data set
  std::vector<std::string> notes;  ///< what was found out
};

/// A file in memory: UTF-8, lines parted by LF alone (CR before it is dropped), blank lines left out; or a table with a
/// head line, if `column` names one. Throws FormatError, naming line and fault, for what is no UTF-8, an empty file, a
/// line without separator, labels that cannot be found out, and a column that there is not.
TextFile parse_text_file(const std::string& file, std::string_view content, const TextFileOptions& options);

/// The lines of a file that has texts or labels alone: a blank one is an empty text.
LabelTexts parse_text_lines(const std::string& file, std::string_view content);

}  // namespace rtl::data
