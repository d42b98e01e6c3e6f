// log(1 + x).
#include <fmt/format.h>

#include <cmath>

#include "data/steps.hpp"

namespace rtl::data::steps {
namespace {

class Log1p final : public PreprocessingStep {
 public:
  std::string kind() const override { return "log1p"; }
  std::string describe() const override { return "log(1 + x)"; }
  std::string parameters() const override { return "{}"; }

  void apply(ColumnTable& table, std::vector<std::string>& /*notes*/) const override {
    check_numbers(table, "log1p");
    for (Column& column : table.columns) {
      for (std::size_t row = 0; row < column.numbers.size(); ++row) {
        double& number = column.numbers[row];
        if (std::isnan(number)) fail_missing(table, static_cast<std::int64_t>(row), column, "log1p");
        if (number <= -1) {
          throw FormatError(table.file, fmt::format("{}: log1p takes numbers above -1, and this is {}",
                                                    table.place(static_cast<std::int64_t>(row), column.name), number));
        }
        number = std::log1p(number);
      }
    }
  }
};

std::unique_ptr<PreprocessingStep> fit(const std::string& argument, const ColumnTable& training) {
  check_no_argument(argument, "log1p");
  check_numbers(training, "log1p");
  return std::make_unique<Log1p>();
}

std::unique_ptr<PreprocessingStep> read(const std::string& /*file*/, const std::string& /*parameters*/) {
  return std::make_unique<Log1p>();
}

}  // namespace

const StepKind& log1p() {
  static const StepKind kind{"log1p", "log(1 + x)", fit, read};
  return kind;
}

}  // namespace rtl::data::steps
