// What holds exactly, in f64 but for the comparison of the precisions.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "studies/partial/parts.hpp"

namespace rtl::studies::partial {
namespace {

constexpr std::int64_t per_sign = 5, dimension = 40;

template <typename T>
double largest_difference(const Tensor& a, const std::vector<T>& b) {
  const std::vector<T> values = a.to_vector<T>();
  double largest = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(values[i]) - static_cast<double>(b[i])));
  }
  return largest;
}

/// Of the gradient and central differences of the loss.
double gradient_error(const Task& task, const Samples& samples, Tensor& filters) {
  constexpr double step = 1e-6;
  const std::vector<double> exact = gradient<double>(filters, task, samples).to_vector<double>();
  double* w = filters.data_as<double>();
  double largest = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const double at = w[i];
    w[i] = at + step;
    const double above = loss<double>(filters, task, samples);
    w[i] = at - step;
    const double below = loss<double>(filters, task, samples);
    w[i] = at;
    largest = std::max(largest, std::abs((above - below) / (2 * step) - exact[i]));
  }
  return largest;
}

/// Outputs on the training samples of a descent in f32 and in f64 from the same f32 numbers.
double precision_error(const Task& task, const Device& device) {
  const Samples samples = draw_samples<float>(task, 30, dimension, 1, 1, device);
  Tensor filters = draw_filters<float>(per_sign, dimension, .1, 1, 2, device);
  const auto widened = [&](const Tensor& values) {
    const std::vector<float> narrow = values.to_vector<float>();
    return Tensor::from(std::vector<double>(narrow.begin(), narrow.end()), values.shape(), device);
  };
  const Samples wide_samples{samples.signs, samples.labels, widened(samples.noise)};
  Tensor wide = widened(filters);
  const Descent descent{.steps = 50};
  descend<float>(filters, task, samples, descent);
  descend<double>(wide, task, wide_samples, descent);
  const std::vector<double> a = outputs<float>(filters, task, samples), b = outputs<double>(wide, task, wide_samples);
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

}  // namespace

void identities(Reproduction& result, const RunOptions& options) {
  const Device device = Device::cpu(1);
  const Task first{.shared = 1.2, .own = .8, .axis = 1}, second{.shared = 1.2, .own = 1.5, .axis = 2};
  const Samples upstream = draw_samples<double>(first, 30, dimension, options.seed, 1, device);
  const Samples downstream = draw_samples<double>(second, 12, dimension, options.seed, 2, device);
  Tensor source = draw_filters<double>(per_sign, dimension, .1, options.seed, 3, device);
  descend<double>(source, first, upstream, {});
  const Tensor fresh = draw_filters<double>(per_sign, dimension, .1, options.seed, 4, device);

  Inheritance nothing = inherit(source, fresh, 0, options.seed);
  Tensor scratch = fresh.clone();
  descend<double>(scratch, second, downstream, {});
  descend<double>(nothing.filters, second, downstream, {});
  result.claims.push_back({"alpha 0: largest difference from scratch after training", 0,
                           largest_difference(nothing.filters, scratch.to_vector<double>()), 0});
  result.claims.push_back(
      {"alpha 1: largest difference from upstream at step 0", 0,
       largest_difference(inherit(source, fresh, 1, options.seed).filters, source.to_vector<double>()), 0});
  for (const double alpha : {.1, .2, .5, .7, .99}) {
    const std::vector<bool> inherited = inherit(source, fresh, alpha, options.seed).inherited;
    const auto half = inherited.begin() + per_sign;
    const auto expected = static_cast<double>(static_cast<int>(alpha * per_sign + 1e-9));
    for (const auto& [sign, begin, end] :
         {std::tuple{"+1", inherited.begin(), half}, std::tuple{"-1", half, inherited.end()}}) {
      result.claims.push_back({fmt::format("alpha {}: inherited filters of {}, sign {}", alpha, per_sign, sign),
                               expected, static_cast<double>(std::count(begin, end, true)), 0});
    }
  }
  // Central differences of a step of 1e-6: rounding of the loss gives 1e-10, the third derivative 1e-12.
  Tensor point = draw_filters<double>(per_sign, dimension, .3, options.seed, 5, device);
  result.claims.push_back(
      {"gradient: largest deviation from central differences", 0, gradient_error(second, downstream, point), 1e-9});
  result.claims.push_back(
      {"f32 and f64: largest difference of outputs after 50 steps", 0, precision_error(first, device), 1e-4});
}

}  // namespace rtl::studies::partial
