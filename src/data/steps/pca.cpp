// Principal components of the training rows.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "data/steps.hpp"
#include "rtl/kernels/gemm.hpp"
#include "rtl/kernels/linear_algebra.hpp"

namespace rtl::data::steps {
namespace {

/// f64 [rows, columns], less the columns' means.
Tensor centred(const ColumnTable& table, const std::vector<double>& mean, const Device& device) {
  std::vector<double> values(static_cast<std::size_t>(table.rows) * mean.size());
  for (std::size_t c = 0; c < mean.size(); ++c) {
    const Column& column = table.columns[c];
    for (std::size_t row = 0; row < column.numbers.size(); ++row) {
      if (std::isnan(column.numbers[row])) fail_missing(table, static_cast<std::int64_t>(row), column, "pca");
      values[row * mean.size() + c] = column.numbers[row] - mean[c];
    }
  }
  return Tensor::from(values, {table.rows, static_cast<std::int64_t>(mean.size())}, device);
}

class Pca final : public PreprocessingStep {
 public:
  /// `components` is [K, p], row after row.
  Pca(std::vector<double> mean, std::vector<double> components, double explained)
      : mean_(std::move(mean)), components_(std::move(components)), explained_(explained) {}

  std::string kind() const override { return "pca"; }
  std::string describe() const override {
    return fmt::format("{} principal components of {} columns, {:.1f} % of the training rows' variance", count(),
                       mean_.size(), 100 * explained_);
  }
  std::string parameters() const override {
    return io::Json{{"mean", mean_}, {"components", components_}, {"explained", explained_}}.dump();
  }

  void apply(ColumnTable& table, std::vector<std::string>& /*notes*/) const override {
    check_numbers(table, "pca");
    check_count(table, "pca", mean_.size());
    const Device device = Device::cpu(1).separate();
    const auto components = static_cast<std::int64_t>(count());
    const Tensor x = centred(table, mean_, device);
    const Tensor v = Tensor::from(components_, {components, static_cast<std::int64_t>(mean_.size())}, device);
    Tensor scores({table.rows, components}, DType::f64, device);
    if (table.rows > 0) {
      kernels::gemm(device, kernels::Transpose::no, kernels::Transpose::yes, 1, x, v, 0, scores);
    }
    const std::vector<double> values = scores.to_vector<double>();
    table.columns.clear();
    for (std::size_t k = 0; k < count(); ++k) {
      Column column{fmt::format("PC{}", k + 1), {}, {}, false};
      for (std::size_t i = k; i < values.size(); i += count()) column.numbers.push_back(values[i]);
      table.columns.push_back(std::move(column));
    }
  }

 private:
  std::size_t count() const { return components_.size() / mean_.size(); }

  std::vector<double> mean_, components_;
  double explained_;
};

/// The largest weight of each row becomes positive, so that the signs are not the library's.
void fix_signs(std::vector<double>& components, std::size_t width) {
  for (auto row = components.begin(); row != components.end(); row += static_cast<std::ptrdiff_t>(width)) {
    const auto end = row + static_cast<std::ptrdiff_t>(width);
    const auto largest = std::max_element(row, end, [](double a, double b) { return std::abs(a) < std::abs(b); });
    if (*largest < 0) std::transform(row, end, row, [](double weight) { return -weight; });
  }
}

/// The `count` first eigenvectors of X'X, by that of XX' where it is smaller, and their share of its trace.
std::pair<std::vector<double>, double> components_of(const Tensor& x, std::int64_t count) {
  const Device& device = x.device();
  const std::int64_t rows = x.extent(0), width = x.extent(1), order = std::min(rows, width);
  const bool wide = rows < width;
  Tensor products = Tensor::zeros({order, order}, DType::f64, device), values({order}, DType::f64, device);
  kernels::gram(device, wide ? kernels::GramOf::rows : kernels::GramOf::columns, 1, x, 0, products);
  kernels::symmetric_eigen(device, products, values);
  const std::vector<double> spectrum = values.to_vector<double>();
  double sum = 0, kept = 0;
  for (const double value : spectrum) sum += std::max(value, 0.0);
  std::vector<double> components;
  for (std::int64_t k = 0; k < count; ++k) {
    const std::int64_t row = order - 1 - k;
    const double value = std::max(spectrum[static_cast<std::size_t>(row)], 0.0);
    kept += value;
    const double* vector = products.data_as<double>() + row * order;
    std::vector<double> component(vector, vector + order);
    if (wide) {
      // v = X'u / |X'u|; of a component without variance nothing is left.
      Tensor longer({width, 1}, DType::f64, device);
      kernels::gemm(device, kernels::Transpose::yes, kernels::Transpose::no, 1, x,
                    Tensor::from(component, {rows, 1}, device), 0, longer);
      component = longer.to_vector<double>();
      const double norm = value > 1e-12 * sum ? std::sqrt(value) : INFINITY;
      for (double& weight : component) weight /= norm;
    }
    components.insert(components.end(), component.begin(), component.end());
  }
  return {std::move(components), sum > 0 ? kept / sum : 0};
}

std::unique_ptr<PreprocessingStep> fit(const std::string& argument, const ColumnTable& training) {
  std::int64_t count = 0;
  const char* end = argument.data() + argument.size();
  const auto [rest, error] = std::from_chars(argument.data(), end, count);
  if (error != std::errc() || rest != end || count < 1) {
    throw ValueError(fmt::format("pca:{}: give the number of components, pca:50", argument));
  }
  check_numbers(training, "pca");
  constexpr std::int64_t largest = 8192;
  const auto width = static_cast<std::int64_t>(training.columns.size());
  const std::int64_t order = std::min(training.rows, width);
  if (count > order || order > largest) {
    throw ValueError(count > order
                         ? fmt::format("pca:{}: {} training rows of {} columns have {} components", count,
                                       training.rows, width, order)
                         : fmt::format("pca:{}: {} training rows of {} columns are too many; it takes {} rows "
                                       "or columns",
                                       count, training.rows, width, largest));
  }
  std::vector<double> mean;
  for (const Column& column : training.columns) mean.push_back(mean_of(column.numbers));
  auto [components, explained] = components_of(centred(training, mean, Device::cpu(1).separate()), count);
  fix_signs(components, mean.size());
  return std::make_unique<Pca>(std::move(mean), std::move(components), explained);
}

std::unique_ptr<PreprocessingStep> read(const std::string& file, const std::string& parameters) {
  return read_step(file, parameters, [&](const io::Json& json) {
    auto mean = json.at("mean").get<std::vector<double>>();
    auto components = json.at("components").get<std::vector<double>>();
    check_finite(file, mean, "pca");
    check_finite(file, components, "pca");
    if (mean.empty() || components.empty() || components.size() % mean.size() != 0) {
      throw FormatError(file,
                        fmt::format("the step pca has {} weights for {} columns", components.size(), mean.size()));
    }
    return std::make_unique<Pca>(std::move(mean), std::move(components), json.at("explained").get<double>());
  });
}

}  // namespace

const StepKind& pca() {
  static const StepKind kind{"pca", "the first K principal components of the training rows, as `pca:K` says", fit,
                             read};
  return kind;
}

}  // namespace rtl::data::steps
