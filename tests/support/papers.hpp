// Where tests find the golden values of the papers: RTL_PAPERS, or the folder shared/papers beside the sources.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "support/paths.hpp"

namespace rtl::test {

/// The path of a golden file, whether it exists or not.
inline std::string golden_file(const std::string& name) {
  const char* given = std::getenv("RTL_PAPERS");
  return (given != nullptr ? given : source_folder() + "/../shared/papers") + "/golden/" + name;
}

/// One line of a table, by column name.
class GoldenRow {
 public:
  explicit GoldenRow(std::map<std::string, std::string> cells) : cells_(std::move(cells)) {}
  const std::string& text(const std::string& column) const { return cells_.at(column); }
  double operator[](const std::string& column) const { return std::stod(cells_.at(column)); }

 private:
  std::map<std::string, std::string> cells_;
};

/// A comma-separated table with a line of column names.
inline std::vector<GoldenRow> golden_table(const std::string& name) {
  std::ifstream file(golden_file(name));
  const auto cells_of = [](const std::string& line) {
    std::vector<std::string> cells;
    std::istringstream stream(line);
    for (std::string cell; std::getline(stream, cell, ',');) cells.push_back(cell.substr(0, cell.find('\r')));
    return cells;
  };
  std::string line;
  std::getline(file, line);
  const auto names = cells_of(line);
  std::vector<GoldenRow> rows;
  while (std::getline(file, line)) {
    const auto cells = cells_of(line);
    std::map<std::string, std::string> row;
    for (std::size_t i = 0; i < names.size(); ++i) row[names[i]] = cells.at(i);
    rows.emplace_back(row);
  }
  return rows;
}

}  // namespace rtl::test

/// Ends the test as skipped, saying why, if there is no such golden file.
#define RTL_NEEDS_GOLDEN(name)                                   \
  if (!std::filesystem::exists(rtl::test::golden_file(name)))    \
  GTEST_SKIP() << "NOT TESTED: " << rtl::test::golden_file(name) \
               << " is not there; set RTL_PAPERS to the folder of papers"

/// Within 1e-9 relative; the files have 12 digits, and what is exactly 0 there is rounding.
#define RTL_EXPECT_GOLDEN(value, expected) EXPECT_NEAR(value, expected, 1e-9 * std::abs(expected) + 1e-14)
