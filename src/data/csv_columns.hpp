// Names of a table's columns, and which of them are meant.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "rtl/data/csv.hpp"

namespace rtl::data {

class CsvColumns {
 public:
  /// Throws FormatError for two columns of one name that are kept without having been asked for by number; ValueError
  /// for columns that are not there or ambiguous, and for a label or target that is kept, dropped, or
  /// named twice.
  CsvColumns(const std::string& file, const CsvOptions& options, const std::vector<std::string>& first, bool header);

  std::size_t count() const noexcept { return names_.size(); }
  const std::string& name(std::size_t column) const { return names_[column]; }
  bool kept(std::size_t column) const { return kept_[column]; }
  std::optional<std::size_t> label() const noexcept { return label_; }
  std::optional<std::size_t> weights() const noexcept { return weights_; }
  /// In the order in which they were asked for.
  const std::vector<std::size_t>& targets() const noexcept { return targets_; }
  bool is_target(std::size_t column) const {
    return std::find(targets_.begin(), targets_.end(), column) != targets_.end();
  }
  std::vector<std::string> kept_names() const;
  /// Asked for as a column of texts.
  bool is_category(std::size_t column) const { return categories_[column]; }
  /// The first column has no name of its own, and nobody asked for it.
  bool first_is_unnamed() const noexcept { return first_is_unnamed_; }
  const std::vector<std::string>& notes() const noexcept { return notes_; }

 private:
  std::size_t find(const std::string& wanted);
  void choose(const CsvOptions& options);
  /// Throws for a column that is to be predicted and is `kept_or_dropped` too.
  void check_is_feature(const std::string& wanted, std::size_t column, const char* kept_or_dropped) const;
  void check_names();

  const std::string& file_;
  std::vector<std::string> names_;
  std::vector<bool> unnamed_;
  std::vector<bool> kept_;
  std::vector<bool> by_number_;  ///< kept because its number was given
  std::vector<bool> categories_;
  std::optional<std::size_t> label_, weights_;
  std::vector<std::size_t> targets_;
  bool first_is_unnamed_ = false;
  std::vector<std::string> notes_;
};

/// Position of #3 or 3 among `count` columns; none if that is no number of a column.
std::optional<std::size_t> column_number(const std::string& wanted, std::size_t count);

}  // namespace rtl::data
