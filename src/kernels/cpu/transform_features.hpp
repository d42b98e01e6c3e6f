// What becomes of a row of stored features on its way into a batch.
#pragma once

#include <cstdint>

#include "rtl/core/dtype.hpp"

namespace rtl::kernels::cpu {

/// y[i] = (x[i] - shift[i]) * factor[i] + offset[i], clipped to +-bound, for i in [0, count): shift, factor and offset
/// lie one behind the other in `transform`. x f32, bf16, f16 or u8, y f32, f64 or bf16. On the calling thread.
void transform_elements(DType from, const void* x, const float* transform, float bound, DType to, void* y,
                        std::int64_t count);

}  // namespace rtl::kernels::cpu
