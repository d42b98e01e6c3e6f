#include "data/csv_kinds.hpp"

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "data/text_table.hpp"

namespace rtl::data {
namespace {

enum class Seen : std::uint8_t { nothing, texts, numbers };

/// Also what would be one with the other decimal mark, or where blanks part the fields: reading it tells the remedy.
bool may_be_number(const std::string& field) {
  const std::string_view text(field);
  return parse_number(text, '.') || parse_number(text, ',') || parse_number(text.substr(0, text.find_first_of(" \t")));
}

}  // namespace

std::vector<bool> text_columns(const CsvColumns& columns, const CsvOptions& options,
                               const std::vector<std::string>* first, CsvScanner rest) {
  std::vector<Seen> seen(columns.count(), Seen::nothing);
  std::vector<bool> texts(columns.count());
  for (std::size_t c = 0; c < texts.size(); ++c) {
    texts[c] = columns.kept(c) && columns.is_category(c);
    if (texts[c] || !columns.kept(c)) seen[c] = Seen::numbers;  // decided
  }
  if (!options.detect_categories) return texts;
  const auto look_at = [&](const std::vector<std::string>& fields) {
    for (std::size_t c = 0; c < seen.size(); ++c) {
      if (seen[c] == Seen::numbers || is_missing(fields[c], options.missing_words)) continue;
      seen[c] = may_be_number(fields[c]) ? Seen::numbers : Seen::texts;
    }
    return std::any_of(seen.begin(), seen.end(), [](Seen kind) { return kind != Seen::numbers; });
  };
  bool open = first == nullptr || look_at(*first);
  std::vector<std::string> fields;
  while (open && rest.next(fields) && fields.size() == seen.size()) open = look_at(fields);
  for (std::size_t c = 0; c < texts.size(); ++c) texts[c] = texts[c] || seen[c] == Seen::texts;
  return texts;
}

}  // namespace rtl::data
