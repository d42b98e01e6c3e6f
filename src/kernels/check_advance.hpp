// What `advance` asks of its arguments, for all that move counters on.
#pragma once

#include "rtl/core/tensor.hpp"

namespace rtl::kernels {

/// Throws DTypeError, ShapeError, DeviceError.
void check_advance(const char* call, const Device& device, const View& counters, const View& losses,
                   const ConstView& loss);

}  // namespace rtl::kernels
