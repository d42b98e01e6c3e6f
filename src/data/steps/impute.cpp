// Fills what is missing.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <string_view>
#include <utility>

#include "data/steps.hpp"
#include "data/text_table.hpp"

namespace rtl::data::steps {
namespace {

const char* const own_category = "missing";

/// Of a column: what stands for a missing value, and how many were missing in the training rows.
struct Fill {
  double number = 0;
  std::string text;
  std::int64_t gaps = 0;
  std::int64_t known = 0;
};

template <typename T>
T most_frequent(const std::vector<T>& values) {
  std::map<T, std::int64_t> counts;
  for (const T& value : values) ++counts[value];
  // Of equals the least.
  return std::max_element(counts.begin(), counts.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : values[half - 1] + (values[half] - values[half - 1]) / 2;
}

/// What may fill missing numbers; missing categories are filled by "frequent" alone.
constexpr std::pair<std::string_view, double (*)(std::vector<double>)> rules[] = {
    {"median", median},
    {"mean", [](std::vector<double> known) { return mean_of(known); }},
    {"frequent", [](std::vector<double> known) { return most_frequent(known); }}};

const auto* rule_of(const std::string& by) {
  const auto* const found =
      std::find_if(std::begin(rules), std::end(rules), [&](const auto& rule) { return rule.first == by; });
  return found == std::end(rules) ? nullptr : found;
}

Fill fit_column(const Column& column, const std::string& by) {
  Fill fill;
  if (column.text) {
    std::vector<std::string> known;
    for (const std::string& text : column.texts) {
      if (!text.empty()) known.push_back(text);
    }
    fill.gaps = static_cast<std::int64_t>(column.texts.size() - known.size());
    fill.known = static_cast<std::int64_t>(known.size());
    fill.text = by == "frequent" && !known.empty() ? most_frequent(known) : own_category;
    return fill;
  }
  std::vector<double> known;
  for (const double number : column.numbers) {
    if (!std::isnan(number)) known.push_back(number);
  }
  fill.gaps = static_cast<std::int64_t>(column.numbers.size() - known.size());
  fill.known = static_cast<std::int64_t>(known.size());
  if (!known.empty()) fill.number = rule_of(by)->second(std::move(known));
  return fill;
}

class Impute final : public PreprocessingStep {
 public:
  Impute(std::string by, bool indicator, std::vector<Fill> fills, std::vector<std::string> names)
      : by_(std::move(by)), indicator_(indicator), fills_(std::move(fills)), names_(std::move(names)) {}

  std::string kind() const override { return "impute"; }

  std::string describe() const override {
    std::vector<std::string> filled;
    std::string unknown;
    for (std::size_t c = 0; c < fills_.size(); ++c) {
      if (fills_[c].gaps == 0) continue;
      const bool text = !fills_[c].text.empty();
      filled.push_back(fmt::format("{} {} of {}", fills_[c].gaps, names_[c],
                                   text ? shown(fills_[c].text) : fmt::format("{:.6g}", fills_[c].number)));
      if (fills_[c].known == 0 && !text) unknown += (unknown.empty() ? "" : ", ") + names_[c];
    }
    std::string line = fmt::format("impute by the {}{}: ", by_ == "frequent" ? "most frequent value" : by_,
                                   indicator_ ? ", with indicators" : "");
    constexpr std::size_t most = 6;
    for (std::size_t i = 0; i < std::min(filled.size(), most); ++i) line += (i == 0 ? "" : "; ") + filled[i];
    if (filled.size() > most) line += fmt::format("; and {} more columns", filled.size() - most);
    if (filled.empty()) line += "nothing was missing in the training rows";
    if (!unknown.empty()) line += fmt::format("; no training row has a value of {}, which became 0", unknown);
    return line;
  }

  std::string parameters() const override {
    io::Json columns = io::Json::array();
    for (std::size_t c = 0; c < fills_.size(); ++c) {
      columns.push_back({{"name", names_[c]},
                         {"number", fills_[c].number},
                         {"text", fills_[c].text},
                         {"gaps", fills_[c].gaps},
                         {"known", fills_[c].known}});
    }
    return io::Json{{"by", by_}, {"indicator", indicator_}, {"columns", columns}}.dump();
  }

  void apply(ColumnTable& table, std::vector<std::string>& /*notes*/) const override {
    check_count(table, "impute", fills_.size());
    std::vector<Column> indicators;
    for (std::size_t c = 0; c < fills_.size(); ++c) {
      Column& column = table.columns[c];
      Column missing{column.name + "=missing", {}, {}, false};
      for (std::string& text : column.texts) {
        missing.numbers.push_back(text.empty() ? 1 : 0);
        if (text.empty()) text = fills_[c].text;
      }
      for (double& number : column.numbers) {
        missing.numbers.push_back(std::isnan(number) ? 1 : 0);
        if (std::isnan(number)) number = fills_[c].number;
      }
      if (indicator_ && fills_[c].gaps > 0) indicators.push_back(std::move(missing));
    }
    table.columns.insert(table.columns.end(), std::make_move_iterator(indicators.begin()),
                         std::make_move_iterator(indicators.end()));
  }

 private:
  std::string by_;
  bool indicator_;
  std::vector<Fill> fills_;
  std::vector<std::string> names_;
};

std::unique_ptr<PreprocessingStep> fit(const std::string& argument, const ColumnTable& training) {
  std::string by = argument.substr(0, argument.find(':'));
  const std::string more = argument.size() > by.size() ? argument.substr(by.size() + 1) : "";
  bool indicator = more == "indicator";
  if (by == "indicator" && more.empty()) indicator = true, by.clear();
  if (by.empty()) by = rules[0].first;
  if (rule_of(by) == nullptr || (!more.empty() && more != "indicator")) {
    throw ValueError(
        fmt::format("impute:{}: it is impute, impute:median, impute:mean or impute:frequent, and may end "
                    "in :indicator",
                    argument));
  }
  std::vector<Fill> fills;
  std::vector<std::string> names;
  for (const Column& column : training.columns) {
    fills.push_back(fit_column(column, by));
    fills.back().text = io::valid_utf8(fills.back().text);
    names.push_back(io::valid_utf8(column.name));
  }
  return std::make_unique<Impute>(by, indicator, std::move(fills), std::move(names));
}

std::unique_ptr<PreprocessingStep> read(const std::string& file, const std::string& parameters) {
  return read_step(file, parameters, [&](const io::Json& json) {
    std::vector<Fill> fills;
    std::vector<std::string> names;
    std::vector<double> numbers;
    for (const io::Json& column : json.at("columns")) {
      names.push_back(column.at("name").get<std::string>());
      fills.push_back({column.at("number").get<double>(), column.at("text").get<std::string>(),
                       column.at("gaps").get<std::int64_t>(), column.at("known").get<std::int64_t>()});
      numbers.push_back(fills.back().number);
    }
    check_finite(file, numbers, "impute");
    return std::make_unique<Impute>(json.at("by").get<std::string>(), json.at("indicator").get<bool>(),
                                    std::move(fills), std::move(names));
  });
}

}  // namespace

const StepKind& impute() {
  static const StepKind kind{
      "impute",
      "missing numbers become the column's median in the training rows, or as `impute:mean` and `impute:frequent` say, "
      "missing categories one of their own, `missing` (or the most frequent one); with `:indicator` behind it a column "
      "of 0 and 1, `NAME=missing`, stands beside each column with gaps",
      fit, read};
  return kind;
}

}  // namespace rtl::data::steps
