// Argument checks that the solvers share; errors begin with the name of the call.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "rtl/core/tensor.hpp"

namespace rtl::solvers::arguments {

/// The f32 or f64 matrix itself, on `device`, with contiguous rows. Throws DeviceError, DTypeError, ShapeError.
ConstView matrix(std::string_view call, const Device& device, std::string_view name, ConstView view);
/// The same; a vector [n] becomes a matrix [n, 1].
ConstView columns(std::string_view call, const Device& device, std::string_view name, ConstView view);
/// A vector of `count` values, f32 or f64, on `device`.
std::vector<double> host_values(std::string_view call, const Device& device, std::string_view name, ConstView view,
                                std::int64_t count);
/// Sample weights [count]: finite, none negative, else ValueError.
std::vector<double> weights(std::string_view call, const Device& device, ConstView view, std::int64_t count);
/// X W + b [m, k], f64, for x [m, p] f32 or f64, W [p, k] and b [k] f64. Throws ShapeError.
Tensor predict(std::string_view call, const Device& device, ConstView x, const Tensor& coefficients,
               const Tensor& intercept);
/// Throws ValueError for a penalty that is negative, infinite or NaN, naming its position.
void check_penalties(std::string_view call, std::span<const double> penalties);
/// Throws ValueError naming the first entry of the matrix that is NaN or infinite.
void throw_if_not_finite(std::string_view call, const Device& device, std::string_view name, ConstView matrix);

}  // namespace rtl::solvers::arguments
