// Conversion of neighbouring elements on the host, for the kernels that convert what they move.
#pragma once

#include <cstdint>

#include "rtl/core/dtype.hpp"

namespace rtl::kernels::cpu {

/// y[i] = x[i] for i in [0, count), converted as kernels::cast does. On the calling thread.
void convert_elements(DType from, const void* x, DType to, void* y, std::int64_t count);

}  // namespace rtl::kernels::cpu
