// Fields at fixed places of a line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rtl/data/csv.hpp"

namespace rtl::data {

/// Fields written as [NAME:]FIRST-LAST, or [NAME:]PLACE of one character. Throws ValueError for what is none, and as
/// check_fields.
std::vector<CsvField> parse_fields(const std::vector<std::string>& entries);

/// Throws ValueError for a field that is empty, begins before the first character or goes too far, for one that does
/// not stand behind the field before it, and for two of one name.
void check_fields(const std::vector<CsvField>& fields);

/// Adds the text of each field, without blanks around it, of a line of UTF-8; nothing where the line is too short.
void cut_fields(std::string_view line, const std::vector<CsvField>& fields, std::vector<std::string>& texts);

/// "characters 9 to 16".
std::string place_of(const CsvField& field);

}  // namespace rtl::data
