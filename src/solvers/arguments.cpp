#include "solvers/arguments.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "rtl/kernels/gemm.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/ridge_path.hpp"

namespace rtl::solvers::arguments {
namespace {

void floating_on_device(std::string_view call, const Device& device, std::string_view name, const ConstView& view) {
  if (!view.given()) throw DeviceError(fmt::format("{}: '{}' is missing", call, name));
  const detail::Context& context = *view.context();
  const bool fits = device.is_cuda() ? &context == &device.context() : context.kind() == DeviceKind::cpu;
  if (!fits) {
    throw DeviceError(
        fmt::format("{}: '{}' lives on another device than {}; move it with Tensor::to", call, name, device.name()));
  }
  if (view.dtype() != DType::f32 && view.dtype() != DType::f64) {
    throw DTypeError(fmt::format("{}: '{}' is {}; f32 or f64 is needed (convert with kernels::cast)", call, name,
                                 rtl::name_of(view.dtype())));
  }
}

}  // namespace

ConstView matrix(std::string_view call, const Device& device, std::string_view name, ConstView view) {
  floating_on_device(call, device, name, view);
  if (view.rank() != 2) {
    throw ShapeError(
        fmt::format("{}: '{}' is {}, but a matrix (rank 2) is needed", call, name, view.shape().to_string()));
  }
  if (view.count() > 0 && view.extent(1) > 1 && view.strides()[1] != 1) {
    throw ShapeError(fmt::format("{}: the rows of '{}' {} (strides {}, {}) are not contiguous; copy it first", call,
                                 name, view.shape().to_string(), view.strides()[0], view.strides()[1]));
  }
  return view;
}

ConstView columns(std::string_view call, const Device& device, std::string_view name, ConstView view) {
  if (view.given() && view.rank() == 1) {
    view = {view.data(), view.dtype(), Shape{view.extent(0), 1}, Strides{view.strides()[0], 1}, view.context()};
  }
  return matrix(call, device, name, view);
}

std::vector<double> host_values(std::string_view call, const Device& device, std::string_view name, ConstView view,
                                std::int64_t count) {
  floating_on_device(call, device, name, view);
  if (view.shape() != Shape{count}) {
    throw ShapeError(fmt::format("{}: '{}' is {}, but {} is needed", call, name, view.shape().to_string(),
                                 Shape{count}.to_string()));
  }
  Tensor wide({count}, DType::f64, device);
  kernels::cast(device, view, wide);
  return wide.to_vector<double>();
}

std::vector<double> weights(std::string_view call, const Device& device, ConstView view, std::int64_t count) {
  std::vector<double> values = host_values(call, device, "sample_weights", view, count);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i]) && values[i] >= 0) continue;
    throw ValueError(
        fmt::format("{}: sample_weights[{}] is {}; weights are finite and not negative", call, i, values[i]));
  }
  return values;
}

Tensor predict(std::string_view call, const Device& device, ConstView x, const Tensor& coefficients,
               const Tensor& intercept) {
  if (x.extent(1) != coefficients.extent(0)) {
    throw ShapeError(fmt::format("{}: 'x' is {}, but the path was fitted to {} columns", call, x.shape().to_string(),
                                 coefficients.extent(0)));
  }
  Tensor result({x.extent(0), coefficients.extent(1)}, DType::f64, device);
  // f32 rows are widened some at a time.
  constexpr std::int64_t most_rows = 4096;
  const std::int64_t step = x.dtype() == DType::f64 ? std::max<std::int64_t>(1, x.extent(0)) : most_rows;
  for (std::int64_t begin = 0; begin < x.extent(0); begin += step) {
    const std::int64_t end = std::min(x.extent(0), begin + step);
    ConstView part = x.slice(0, begin, end);
    Tensor wide;
    if (x.dtype() != DType::f64) {
      wide = Tensor(part.shape(), DType::f64, device);
      kernels::center_rows(device, part, {}, {}, wide);
      part = wide;
    }
    kernels::gemm(device, kernels::Transpose::no, kernels::Transpose::no, 1.0, part, coefficients, 0.0,
                  result.view().slice(0, begin, end), kernels::Epilogue::bias, intercept);
  }
  return result;
}

void check_penalties(std::string_view call, std::span<const double> penalties) {
  for (std::size_t i = 0; i < penalties.size(); ++i) {
    if (std::isfinite(penalties[i]) && penalties[i] >= 0) continue;
    throw ValueError(fmt::format("{}: penalty {} is {}; penalties are finite and not negative", call, i, penalties[i]));
  }
}

void throw_if_not_finite(std::string_view call, const Device& device, std::string_view name, ConstView matrix) {
  constexpr std::int64_t block_rows = 256;
  for (std::int64_t begin = 0; begin < matrix.extent(0); begin += block_rows) {
    const std::int64_t end = std::min(matrix.extent(0), begin + block_rows);
    Tensor block({end - begin, matrix.extent(1)}, DType::f64, device);
    kernels::center_rows(device, matrix.slice(0, begin, end), {}, {}, block);
    const std::vector<double> values = block.to_vector<double>();
    const auto found = std::find_if(values.begin(), values.end(), [](double value) { return !std::isfinite(value); });
    if (found == values.end()) continue;
    const std::int64_t place = found - values.begin();
    throw ValueError(fmt::format("{}: '{}' [{}, {}] is {}; remove or replace such entries", call, name,
                                 begin + place / matrix.extent(1), place % matrix.extent(1), *found));
  }
}

}  // namespace rtl::solvers::arguments
