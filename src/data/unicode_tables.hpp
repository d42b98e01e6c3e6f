// Tables of the Unicode character database.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace rtl::data::unicode {

struct Range {
  char32_t first, last;
};
/// Code points first, first + step, .., last; the image of the first, from which the others' are equally far.
struct Run {
  char32_t first, last, step, image;
};
/// A code point's canonical decomposition without nonspacing marks: one or two (second 0: one).
struct Base {
  char32_t code, first, second;
};

/// Ascending, without overlap. By general category: L, N, P, Mn, Mc and Me, and Cc, Cf and Co.
const std::vector<Range>& letters();
const std::vector<Range>& numbers();
const std::vector<Range>& punctuation();
const std::vector<Range>& nonspacing_marks();
const std::vector<Range>& spacing_marks();
const std::vector<Range>& controls();
/// Of each code point by itself; of two that one becomes, the first.
const std::vector<Run>& lower_cases();
/// Without Hangul syllables, which are decomposed by arithmetic.
const std::vector<Base>& bases();

/// Tables of what scripts/make-unicode-tables writes: numbers as differences.
std::vector<Range> decoded_ranges(std::span<const std::int32_t> numbers);
std::vector<Run> decoded_runs(std::span<const std::int32_t> numbers);
std::vector<Base> decoded_bases(std::span<const std::int32_t> numbers);

}  // namespace rtl::data::unicode
