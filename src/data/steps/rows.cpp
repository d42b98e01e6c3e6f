// Rows of counts, scaled to one sum: what is left of how much was counted in each.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "data/steps.hpp"

namespace rtl::data::steps {
namespace {

std::vector<double> sums_of(const ColumnTable& table) {
  check_numbers(table, "rows");
  std::vector<double> sums(static_cast<std::size_t>(table.rows));
  for (const Column& column : table.columns) {
    for (std::size_t row = 0; row < sums.size(); ++row) {
      const double number = column.numbers[row];
      if (std::isnan(number)) fail_missing(table, static_cast<std::int64_t>(row), column, "rows");
      if (number < 0) {
        throw FormatError(table.file, fmt::format("{}: rows takes counts, and this is {}",
                                                  table.place(static_cast<std::int64_t>(row), column.name), number));
      }
      sums[row] += number;
    }
  }
  return sums;
}

class Rows final : public PreprocessingStep {
 public:
  explicit Rows(double total) : total_(total) {}
  std::string kind() const override { return "rows"; }
  std::string describe() const override { return fmt::format("every row scaled to the sum {:.6g}", total_); }
  std::string parameters() const override { return io::Json{{"total", total_}}.dump(); }

  void apply(ColumnTable& table, std::vector<std::string>& notes) const override {
    const std::vector<double> sums = sums_of(table);
    for (Column& column : table.columns) {
      for (std::size_t row = 0; row < sums.size(); ++row) {
        if (sums[row] > 0) column.numbers[row] *= total_ / sums[row];
      }
    }
    const auto empty = std::count(sums.begin(), sums.end(), 0.0);
    if (empty > 0) notes.push_back(fmt::format("{}: {} of {} rows are all zero", table.file, empty, table.rows));
  }

 private:
  double total_;
};

std::unique_ptr<PreprocessingStep> fit(const std::string& argument, const ColumnTable& training) {
  double total = 0;
  if (!argument.empty()) {
    const char* end = argument.data() + argument.size();
    const auto [rest, error] = std::from_chars(argument.data(), end, total);
    if (error != std::errc() || rest != end || !std::isfinite(total) || total <= 0) {
      throw ValueError(fmt::format("rows:{}: give the sum of a row, a positive number", argument));
    }
    return std::make_unique<Rows>(total);
  }
  std::vector<double> sums = sums_of(training);
  std::erase(sums, 0.0);
  if (sums.empty()) throw FormatError(training.file, "all training rows are zero, so rows finds no sum");
  std::sort(sums.begin(), sums.end());
  const std::size_t half = sums.size() / 2;
  return std::make_unique<Rows>(sums.size() % 2 == 1 ? sums[half] : (sums[half - 1] + sums[half]) / 2);
}

std::unique_ptr<PreprocessingStep> read(const std::string& file, const std::string& parameters) {
  return read_step(file, parameters, [&](const io::Json& json) {
    const auto total = json.at("total").get<double>();
    if (!std::isfinite(total) || total <= 0) throw FormatError(file, "the sum of the step rows is not positive");
    return std::make_unique<Rows>(total);
  });
}

}  // namespace

const StepKind& rows() {
  static const StepKind kind{"rows",
                             "every row is scaled to one sum, T of `rows:T`, or else the median of the training rows': "
                             "counts lose what was counted in each",
                             fit, read};
  return kind;
}

}  // namespace rtl::data::steps
