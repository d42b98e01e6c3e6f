// Columns of mean 0 and deviation 1.
#include <fmt/format.h>

#include <cmath>

#include "data/steps.hpp"

namespace rtl::data::steps {
namespace {

class Standardize final : public PreprocessingStep {
 public:
  Standardize(std::vector<double> mean, std::vector<double> deviation)
      : mean_(std::move(mean)), deviation_(std::move(deviation)) {}

  std::string kind() const override { return "standardize"; }
  std::string describe() const override { return fmt::format("(x - mean) / deviation of {} columns", mean_.size()); }
  std::string parameters() const override { return io::Json{{"mean", mean_}, {"deviation", deviation_}}.dump(); }

  void apply(ColumnTable& table, std::vector<std::string>& /*notes*/) const override {
    check_numbers(table, "standardize");
    check_count(table, "standardize", mean_.size());
    for (std::size_t c = 0; c < mean_.size(); ++c) {
      for (double& number : table.columns[c].numbers) number = (number - mean_[c]) / deviation_[c];
    }
  }

 private:
  std::vector<double> mean_, deviation_;
};

std::unique_ptr<PreprocessingStep> fit(const std::string& argument, const ColumnTable& training) {
  check_no_argument(argument, "standardize");
  check_numbers(training, "standardize");
  std::vector<double> means, deviations;
  for (const Column& column : training.columns) {
    for (std::size_t row = 0; row < column.numbers.size(); ++row) {
      if (std::isnan(column.numbers[row])) {
        fail_missing(training, static_cast<std::int64_t>(row), column, "standardize");
      }
    }
    const double mean = mean_of(column.numbers);
    double squares = 0, largest = 0;
    for (const double number : column.numbers) {
      squares += (number - mean) * (number - mean);
      largest = std::max(largest, std::abs(number));
    }
    const double deviation = std::sqrt(squares / static_cast<double>(column.numbers.size()));
    constexpr double rounding = 1e-12;  // what is left of equal numbers
    means.push_back(mean);
    deviations.push_back(deviation > rounding * largest ? deviation : 1);
  }
  return std::make_unique<Standardize>(std::move(means), std::move(deviations));
}

std::unique_ptr<PreprocessingStep> read(const std::string& file, const std::string& parameters) {
  return read_step(file, parameters, [&](const io::Json& json) {
    auto mean = json.at("mean").get<std::vector<double>>(), deviation = json.at("deviation").get<std::vector<double>>();
    check_finite(file, mean, "standardize");
    check_finite(file, deviation, "standardize");
    const bool positive = std::all_of(deviation.begin(), deviation.end(), [](double value) { return value > 0; });
    if (mean.size() != deviation.size() || !positive) {
      throw FormatError(file, "the step standardize needs a positive deviation beside every mean");
    }
    return std::make_unique<Standardize>(std::move(mean), std::move(deviation));
  });
}

}  // namespace

const StepKind& standardize() {
  static const StepKind kind{"standardize",
                             "(x - mean) / deviation of the training rows. Networks do that by themselves "
                             "(`--normalize`); `ridge-probe` and `safe` too",
                             fit, read};
  return kind;
}

}  // namespace rtl::data::steps
