// What the readers of text tables and of labels share: numbers, and labels that become classes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rtl/data/csv.hpp"

namespace rtl::data {

/// Without blanks and tabs at either end.
std::string_view trimmed(std::string_view text);

/// The number that is the whole text, if it is one: NaN and infinities included, and an infinity where it is too large.
/// `decimal` parts its fraction.
std::optional<double> parse_number(std::string_view text, char decimal = '.');

/// Digits alone, with or without a sign, without needless zeros.
bool is_whole(std::string_view text);

/// Empty, or one of the words in any case.
bool is_missing(std::string_view text, std::span<const std::string> words);

/// The text in quotes for an error, cut where it is long, without control characters.
std::string shown(std::string_view text);

/// A number in its shortest form.
std::string shortest(double number);

/// Labels of a file, and where each stands.
struct LabelTexts {
  std::string file;
  std::vector<std::string> labels;
  std::vector<std::int64_t> places;
  const char* place = "line";  ///< what `places` count
};

struct EncodedLabels {
  std::vector<std::int32_t> labels;
  std::vector<std::string> classes;
  std::vector<std::string> notes;
};

/// Labels as indices into `classes`, or where that is empty into those that occur: numbers ascending, text by its
/// bytes. A label that is none of `classes` but for a dot at its end is that class. A note says so, and if classes are
/// the same number, very many numbers, or nearly every row has its own class. Throws FormatError naming
/// file, place and label for an empty one, for one that is none of `classes`, for fractions (CsvLabels::detect, without
/// `classes`) and for texts (CsvLabels::number); ValueError if `classes` have one twice.
EncodedLabels encode_labels(const LabelTexts& texts, const std::vector<std::string>& classes, CsvLabels kind);

}  // namespace rtl::data
