// What the readers of text tables share: numbers, and labels that become classes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rtl::data {

/// Without blanks and tabs at either end.
std::string_view trimmed(std::string_view text);

/// The number that is the whole text, if it is one: NaN and infinities included, and an infinity where it is too large.
std::optional<double> parse_number(std::string_view text);

/// Empty, "?", "NA", "N/A", "NaN", "null" in any case.
bool is_missing(std::string_view text);

/// The text in quotes for an error, cut where it is long, without control characters.
std::string shown(std::string_view text);

/// A label as classes are named: numbers in their shortest form.
std::string class_name(std::string_view label);

struct EncodedLabels {
  std::vector<std::int32_t> labels;
  std::vector<std::string> classes;
};

/// Labels, already class names, as indices into `classes`, or where that is empty into those that occur: numbers
/// ascending, text by its bytes. `lines` are for errors. Throws FormatError naming file, line and label if it is none
/// of `classes`; ValueError if these have one twice.
EncodedLabels encode_labels(const std::string& file, const std::vector<std::string>& labels,
                            const std::vector<std::int64_t>& lines, const std::vector<std::string>& classes);

}  // namespace rtl::data
