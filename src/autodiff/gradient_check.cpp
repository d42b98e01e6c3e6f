#include "rtl/autodiff/gradient_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "rtl/autodiff/operations.hpp"
#include "rtl/core/random.hpp"

namespace rtl::autodiff {
namespace {

/// sum of r * y with r uniform in [-1, 1), the same for every call.
class Projection {
 public:
  explicit Projection(std::uint64_t seed) : philox_(seed, 0x70726f6a) {}
  Variable operator()(const Variable& y) {
    if (!weights_.defined()) {
      std::vector<double> values(static_cast<std::size_t>(y.shape().count()));
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = 2 * philox_.uniform_double(i) - 1;
      weights_ = Variable(Tensor::from(values, y.shape(), y.device()));
    }
    return sum(multiply(y, weights_));
  }

 private:
  Philox philox_;
  Variable weights_;
};

std::vector<std::int64_t> chosen_entries(std::int64_t count, const GradientCheckOptions& options, std::size_t input) {
  RandomSequence random(options.seed, input + 1);
  std::vector<std::int64_t> entries = random.permutation(count);
  if (options.entries > 0 && options.entries < count) entries.resize(static_cast<std::size_t>(options.entries));
  return entries;
}

void check_inputs(const std::vector<Variable>& inputs) {
  bool any = false;
  for (const Variable& input : inputs) {
    any = any || input.requires_gradient();
    if (input.requires_gradient() && input.dtype() != DType::f64) {
      throw DTypeError(fmt::format("gradient_check: an input is {}; differences need f64", name_of(input.dtype())));
    }
  }
  if (!any) throw ValueError("gradient_check: no input requires a gradient");
}

}  // namespace

GradientCheck gradient_check(const std::function<Variable(std::span<const Variable>)>& function,
                             const std::vector<Variable>& inputs, const GradientCheckOptions& options) {
  check_inputs(inputs);
  Projection projection(options.seed);
  for (Variable input : inputs) input.clear_gradient();
  projection(function(inputs)).backward();
  GradientCheck result;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Variable input = inputs[i];
    if (!input.requires_gradient()) continue;
    std::vector<double> values = input.value().to_vector<double>();
    std::vector<double> analytic(values.size());
    if (input.gradient().defined()) analytic = input.gradient().to_vector<double>();
    input.clear_gradient();
    const auto evaluate = [&] {
      const NoGraph off;
      copy_bytes(Tensor::from(values, input.shape(), input.value().device().host()), input.value());
      return projection(function(inputs)).value().item<double>();
    };
    for (const std::int64_t entry : chosen_entries(input.shape().count(), options, i)) {
      const auto e = static_cast<std::size_t>(entry);
      const double original = values[e];
      values[e] = original + options.step;
      const double above = evaluate();
      values[e] = original - options.step;
      const double below = evaluate();
      values[e] = original;
      const double numeric = (above - below) / (2 * options.step);
      const double error = std::abs(analytic[e] - numeric) / std::max({1.0, std::abs(analytic[e]), std::abs(numeric)});
      ++result.entries;
      if (!(error <= result.largest_error)) {
        result.largest_error = error;
        result.where =
            fmt::format("input {}, entry {}: backward gives {}, differences give {}", i, entry, analytic[e], numeric);
      }
    }
    copy_bytes(Tensor::from(values, input.shape(), input.value().device().host()), input.value());
  }
  return result;
}

}  // namespace rtl::autodiff
