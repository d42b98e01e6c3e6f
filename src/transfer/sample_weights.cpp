#include "transfer/sample_weights.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "rtl/core/random.hpp"
#include "rtl/layers/initialization.hpp"
#include "rtl/solvers/importance_weights.hpp"

namespace rtl::transfer::detail {
namespace {

using Rows = std::vector<std::int64_t>;

/// At most so many of the rows, in their order.
Rows drawn_rows(std::int64_t count, std::int64_t most, std::uint64_t seed, const char* name) {
  Rows rows(static_cast<std::size_t>(count));
  std::iota(rows.begin(), rows.end(), 0);
  if (count <= most) return rows;
  rows = RandomSequence(seed, layers::stream_of(name)).permutation(count);
  rows.resize(static_cast<std::size_t>(most));
  std::sort(rows.begin(), rows.end());
  return rows;
}

/// Rows of features on the host, in double.
class Features {
 public:
  explicit Features(const Tensor& features) : columns_(features.extent(1)), device_(features.device().host()) {
    const std::vector<float> values = features.to_vector<float>();
    values_.assign(values.begin(), values.end());
  }
  std::int64_t columns() const { return columns_; }
  double at(std::int64_t row, std::int64_t column) const {
    return values_[static_cast<std::size_t>(row * columns_ + column)];
  }
  /// Column by column (x - mean) / deviation.
  void standardize(const std::vector<double>& means, const std::vector<double>& deviations) {
    for (std::size_t i = 0; i < values_.size(); ++i) {
      const std::size_t column = i % means.size();
      values_[i] = (values_[i] - means[column]) / deviations[column];
    }
  }
  Tensor gather(const Rows& rows) const {
    std::vector<double> gathered;
    for (const std::int64_t row : rows) {
      const auto begin = values_.begin() + row * columns_;
      gathered.insert(gathered.end(), begin, begin + columns_);
    }
    return Tensor::from(gathered, {static_cast<std::int64_t>(rows.size()), columns_}, device_);
  }
  Tensor all() const {
    return Tensor::from(values_, {static_cast<std::int64_t>(values_.size()) / columns_, columns_}, device_);
  }

 private:
  std::int64_t columns_;
  Device device_;
  std::vector<double> values_;
};

/// By the rows of both that are used; columns that are constant in them become 0.
void standardize(Features& source, const Rows& source_rows, Features& target, const Rows& target_rows) {
  const auto count = static_cast<double>(source_rows.size() + target_rows.size());
  std::vector<double> means, deviations;
  for (std::int64_t column = 0; column < source.columns(); ++column) {
    const auto sum_of = [&](const auto& term) {
      double sum = 0;
      for (const std::int64_t row : source_rows) sum += term(source.at(row, column));
      for (const std::int64_t row : target_rows) sum += term(target.at(row, column));
      return sum;
    };
    const double mean = sum_of([](double x) { return x; }) / count;
    const double variance = sum_of([&](double x) { return (x - mean) * (x - mean); }) / count;
    means.push_back(mean);
    // Of equal numbers the mean may be off by a rounding.
    const bool constant = std::sqrt(variance) <= 1e-12 * std::abs(mean);
    deviations.push_back(constant ? std::numeric_limits<double>::infinity() : std::sqrt(variance));
  }
  source.standardize(means, deviations);
  target.standardize(means, deviations);
}

/// min(c r, B) with the c that makes their mean one; all of those above zero are B where they are too few for that.
std::vector<float> with_mean_one(const std::vector<double>& ratios, double largest) {
  std::vector<double> rising = ratios;
  std::sort(rising.begin(), rising.end());
  std::vector<double> sums(rising.size());  // of the smallest ones
  std::partial_sum(rising.begin(), rising.end(), sums.begin());
  std::size_t free = rising.size();  // those that are not at the bound
  const auto factor = [&] {
    const double wanted = static_cast<double>(rising.size()) - largest * static_cast<double>(rising.size() - free);
    return free > 0 && sums[free - 1] > 0 ? wanted / sums[free - 1] : std::numeric_limits<double>::infinity();
  };
  while (free > 0 && rising[free - 1] > 0 && rising[free - 1] * factor() > largest) --free;
  const double c = factor();
  std::vector<float> weights;
  for (const double ratio : ratios) weights.push_back(static_cast<float>(ratio > 0 ? std::min(c * ratio, largest) : 0));
  return weights;
}

}  // namespace

SampleWeights sample_weights(const Tensor& source, const Tensor& target, const SampleWeightOptions& options) {
  const std::int64_t samples = source.extent(0);
  Rows all = drawn_rows(samples, samples, 0, "");
  if (options.ratio == DensityRatioKind::none) return {all, std::vector<float>(all.size(), 1.0F)};
  const bool matching = options.ratio == DensityRatioKind::kmm;
  const std::int64_t most = matching ? most_matched_samples : most_ratio_samples;
  Rows source_rows = drawn_rows(samples, most, options.seed, "importance weights, source");
  const Rows target_rows = drawn_rows(target.extent(0), most, options.seed, "importance weights, target");
  Features denominator(source), numerator(target);
  standardize(denominator, source_rows, numerator, target_rows);
  const Tensor below = denominator.gather(source_rows), above = numerator.gather(target_rows);
  if (matching) {
    // To a thousandth: more digits of a weight change nothing.
    const auto matched = solvers::match_means(below, above, {.largest = options.largest, .precision = 1e-3});
    return {std::move(source_rows), with_mean_one(matched.weights.to_vector<double>(), options.largest)};
  }
  const Tensor ratios = solvers::fit_density_ratio(above, below)(denominator.all());
  return {std::move(all), with_mean_one(ratios.to_vector<double>(), options.largest)};
}

}  // namespace rtl::transfer::detail
