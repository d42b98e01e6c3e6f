#include "data/csv_header.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/joined.hpp"
#include "data/text_table.hpp"
#include "rtl/core/error.hpp"

namespace rtl::data {
namespace {

/// What stands below a field of the first line.
struct Below {
  bool numbers = false;
  bool wholes = false;  ///< numbers without fraction
  bool texts = false;
  bool recurs = false;  ///< the first line's text
  bool counts = true;   ///< whole numbers, all different
  double low = INFINITY, high = -INFINITY;
  std::set<std::string> seen;

  void add(const std::string& field, const std::string& first, const CsvOptions& options) {
    recurs = recurs || (!field.empty() && field == first);
    counts = counts && is_whole(field) && seen.insert(field).second;
    if (is_missing(field, options.missing_words)) return;
    const auto number = parse_number(field, options.decimal);
    if (!number) {
      texts = true;
      return;
    }
    numbers = true;
    wholes = wholes || is_whole(field);
    low = std::min(low, *number);
    high = std::max(high, *number);
  }
};

enum class Field : std::uint8_t { missing, number, text };

class HeaderRules {
 public:
  HeaderRules(const std::vector<std::string>& first, CsvScanner& rest, const CsvOptions& options)
      : first_(first), below_(first.size()) {
    for (const std::string& field : first) {
      const bool missing = is_missing(field, options.missing_words);
      const auto number = parse_number(field, options.decimal);
      kinds_.push_back(missing ? Field::missing : number ? Field::number : Field::text);
      if (kinds_.back() == Field::number) values_.push_back(*number);
      whole_ = whole_ && (kinds_.back() != Field::number || is_whole(field));
    }
    constexpr int looked_at = 1000;
    std::vector<std::string> fields;
    while (rows_ < looked_at && rest.next(fields) && fields.size() == first.size()) {
      ++rows_;
      for (std::size_t c = 0; c < fields.size(); ++c) below_[c].add(fields[c], first[c], options);
    }
  }

  HeaderDecision decide() const {
    const bool texts = std::find(kinds_.begin(), kinds_.end(), Field::text) != kinds_.end();
    if (values_.empty()) return {texts && !text_recurs(), texts && text_recurs() ? note(false) : ""};
    const bool different = std::set<double>(values_.begin(), values_.end()).size() == values_.size();
    if (!whole_ || !different || rows_ == 0 || text_recurs()) return {};
    if (named() || (texts && counts_up() && values_.size() > 2)) return {true, note(true)};
    return numbers_alone();
  }

 private:
  /// A text that is a value of its column, which holds no numbers.
  bool text_recurs() const {
    return any([&](std::size_t c) { return kinds_[c] == Field::text && below_[c].recurs && !below_[c].numbers; });
  }

  /// What can only be names: text above numbers, numbers above text, nothing above a count of the rows.
  bool named() const {
    return any([&](std::size_t c) {
      const Below& below = below_[c];
      if (kinds_[c] == Field::text) return below.numbers && !below.texts;
      if (kinds_[c] == Field::number) return below.texts && !below.numbers;
      return c == 0 && first_[0].empty() && below.counts;
    });
  }

  /// 0, 1, 2, ..
  bool counts_up() const {
    for (std::size_t i = 0; i < values_.size(); ++i) {
      if (values_[i] != static_cast<double>(i)) return false;
    }
    return true;
  }

  HeaderDecision numbers_alone() const {
    const std::size_t count = values_.size();
    const bool ascending = std::is_sorted(values_.begin(), values_.end());
    const bool no_whole = all_numbers([](const Below& below, double) { return below.numbers && !below.wholes; });
    const bool in_range = all_numbers(
        [](const Below& below, double value) { return below.wholes && value >= below.low && value <= below.high; });
    const bool far = all_numbers([](const Below& below, double value) {
      return below.numbers && std::abs(value) >= 100 &&
             std::abs(value) > 10 * std::max(std::abs(below.low), std::abs(below.high));
    });
    constexpr std::size_t certain = 4;  // 0, 1, 2, 3 is hardly a row, also where values are small whole numbers
    if (counts_up() && ((no_whole && (count > 1 || rows_ > 1)) || (count > 1 && (count >= certain || !in_range)))) {
      return {true, note(true)};
    }
    if (ascending && count > 1 && ((no_whole && rows_ > 1) || far)) return {true, note(true)};
    const bool even = count > 2 && ascending && values_[1] - values_[0] == values_[count - 1] - values_[count - 2];
    return {false, counts_up() || no_whole || far || (even && !in_range) ? note(false) : ""};
  }

  std::string note(bool header) const {
    constexpr std::size_t most = 4;
    std::vector<std::string> names;
    for (std::size_t c = 0; c < std::min(first_.size(), most); ++c) names.push_back(first_[c]);
    const std::string line = fmt::format("{}{}", joined(names, ", "), first_.size() > most ? ", .." : "");
    return header ? fmt::format("the first line ({}) was taken for the names of the columns; header=no makes it a row",
                                line)
                  : fmt::format(
                        "the first line ({}) was taken for a row of values; if it names the columns say "
                        "header=yes, else header=no",
                        line);
  }

  template <typename Predicate>
  bool any(const Predicate& predicate) const {
    for (std::size_t c = 0; c < kinds_.size(); ++c) {
      if (predicate(c)) return true;
    }
    return false;
  }

  template <typename Predicate>
  bool all_numbers(const Predicate& predicate) const {
    std::size_t i = 0;
    return !any([&](std::size_t c) { return kinds_[c] == Field::number && !predicate(below_[c], values_[i++]); });
  }

  const std::vector<std::string>& first_;
  std::vector<Field> kinds_;
  std::vector<double> values_;  ///< of the first line's numbers
  bool whole_ = true;           ///< they all are
  std::vector<Below> below_;
  int rows_ = 0;
};

}  // namespace

HeaderDecision detect_header(const std::vector<std::string>& first, CsvScanner rest, const CsvOptions& options) {
  return HeaderRules(first, rest, options).decide();
}

}  // namespace rtl::data
