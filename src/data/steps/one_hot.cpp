// Columns of 0 and 1 in place of categories.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "data/steps.hpp"
#include "data/text_table.hpp"

namespace rtl::data::steps {
namespace {

using Levels = std::vector<std::string>;

/// A column of the table; without levels it is one of numbers.
struct Coded {
  std::string name;
  Levels levels;
};

class OneHot final : public PreprocessingStep {
 public:
  explicit OneHot(std::vector<Coded> columns) : columns_(std::move(columns)) {}

  std::string kind() const override { return "one-hot"; }

  std::string describe() const override {
    std::string line;
    for (const Coded& column : columns_) {
      if (column.levels.empty()) continue;
      line += fmt::format("{}{} ({})", line.empty() ? "" : ", ", column.name, column.levels.size());
    }
    return "one-hot of categories: " + (line.empty() ? "there are none" : line);
  }

  std::string parameters() const override {
    io::Json columns = io::Json::array();
    for (const Coded& column : columns_) columns.push_back({{"name", column.name}, {"levels", column.levels}});
    return io::Json{{"columns", columns}}.dump();
  }

  void apply(ColumnTable& table, std::vector<std::string>& notes) const override {
    check_count(table, "one-hot", columns_.size());
    std::vector<Column> coded;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      Column& column = table.columns[c];
      if (column.text != !columns_[c].levels.empty()) {
        throw ShapeError(fmt::format("{}: the column {} is not of the kind that one-hot was fitted to", table.file,
                                     shown(column.name)));
      }
      if (column.text) {
        encode(table, column, columns_[c].levels, coded, notes);
      } else {
        coded.push_back(std::move(column));
      }
    }
    table.columns = std::move(coded);
  }

 private:
  static void encode(const ColumnTable& table, const Column& column, const Levels& levels, std::vector<Column>& coded,
                     std::vector<std::string>& notes) {
    std::map<std::string, std::size_t> index;
    const std::size_t first = coded.size();
    for (const std::string& level : levels) {
      index.emplace(level, coded.size());
      coded.push_back({fmt::format("{}={}", column.name, level), std::vector<double>(column.texts.size()), {}, false});
    }
    std::map<std::string, std::int64_t> unknown;
    std::int64_t count = 0;
    for (std::size_t row = 0; row < column.texts.size(); ++row) {
      if (column.texts[row].empty()) fail_missing(table, static_cast<std::int64_t>(row), column, "one-hot");
      const auto found = index.find(io::valid_utf8(column.texts[row]));
      if (found != index.end()) coded[found->second].numbers[row] = 1;
      if (found != index.end()) continue;
      ++count;
      ++unknown[column.texts[row]];
    }
    if (count == 0) return;
    const auto most = std::max_element(unknown.begin(), unknown.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    notes.push_back(
        fmt::format("{}: {} of {} rows have categories of '{}' that no training row had, such as {}; their "
                    "{} columns are 0",
                    table.file, count, column.texts.size(), column.name, shown(most->first), coded.size() - first));
  }

  std::vector<Coded> columns_;
};

std::unique_ptr<PreprocessingStep> fit(const std::string& argument, const ColumnTable& training) {
  std::size_t most = 1000;
  const char* end = argument.data() + argument.size();
  const auto [rest, error] = std::from_chars(argument.data(), end, most);
  if (!argument.empty() && (error != std::errc() || rest != end || most == 0)) {
    throw ValueError(fmt::format("one-hot:{}: give the most categories that a column may have", argument));
  }
  std::vector<Coded> columns;
  for (const Column& column : training.columns) {
    Levels levels;
    for (std::size_t row = 0; row < column.texts.size(); ++row) {
      if (column.texts[row].empty()) fail_missing(training, static_cast<std::int64_t>(row), column, "one-hot");
      levels.push_back(io::valid_utf8(column.texts[row]));
    }
    std::sort(levels.begin(), levels.end());
    levels.erase(std::unique(levels.begin(), levels.end()), levels.end());
    if (levels.size() > most) {
      throw FormatError(training.file,
                        fmt::format("the column {} has {} different texts in {} rows, which are too many for "
                                    "categories (levels={}); leave it out by drop=, or say levels={}",
                                    shown(column.name), levels.size(), column.texts.size(), most, levels.size()));
    }
    columns.push_back({io::valid_utf8(column.name), std::move(levels)});
  }
  return std::make_unique<OneHot>(std::move(columns));
}

std::unique_ptr<PreprocessingStep> read(const std::string& file, const std::string& parameters) {
  return read_step(file, parameters, [&](const io::Json& json) {
    std::vector<Coded> columns;
    for (const io::Json& column : json.at("columns")) {
      columns.push_back({column.at("name").get<std::string>(), column.at("levels").get<Levels>()});
      const Levels& levels = columns.back().levels;
      if (std::adjacent_find(levels.begin(), levels.end(), std::greater_equal<>()) != levels.end()) {
        throw FormatError(file, fmt::format("the categories of {} are not in their order", shown(columns.back().name)));
      }
    }
    return std::make_unique<OneHot>(std::move(columns));
  });
}

}  // namespace

const StepKind& one_hot() {
  static const StepKind kind{"one-hot",
                             "categories become columns of 0 and 1, one a category of the training rows; more than N "
                             "of `one-hot:N` (1000) are refused",
                             fit, read};
  return kind;
}

}  // namespace rtl::data::steps
