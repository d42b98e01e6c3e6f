// Argument checks of the public kernel functions: made once, where the user calls in. The kernels behind trust them.
#pragma once

#include <fmt/format.h>

#include <initializer_list>
#include <string_view>

#include "rtl/core/tensor.hpp"

namespace rtl::kernels::check {

/// A view with the name that error texts use.
struct Named {
  std::string_view name;
  ConstView view;
};

/// Every view is given and lives where `device` can work on it. Throws DeviceError.
void on_device(std::string_view call, const Device& device, std::initializer_list<Named> views);

/// All views have the dtype of the first, and it is f32 or f64. Throws DTypeError.
void same_floating(std::string_view call, std::initializer_list<Named> views);

void dtype(std::string_view call, const Named& view, DType wanted);

/// Throws ShapeError unless the view has exactly this shape.
void shape(std::string_view call, const Named& view, const Shape& wanted);
void rank(std::string_view call, const Named& view, int wanted);
void contiguous(std::string_view call, std::initializer_list<Named> views);

}  // namespace rtl::kernels::check
