// Rows from anywhere in a table, written one behind the other.
#pragma once

#include <cstdint>
#include <limits>
#include <span>

#include "rtl/core/dtype.hpp"

namespace rtl::kernels::cpu {

/// What becomes of features on their way: (x[i] - shift[i]) * factor[i] + offset[i], clipped to +-bound.
struct RowTransform {
  const float *shift, *factor, *offset;
  float bound;
};

/// Whether write_rows converts these: f32, bf16, f16 and u8 to f32, f64 or bf16, and every dtype to itself.
bool writes_rows(DType from, DType to);

/// Rows `x` of `length` elements each, zeros where null, to `y`, converted (as kernels::cast does) and, with a
/// transform, which takes f32, bf16, f16 and u8, changed. `next` are rows that are read later, as many, null where
/// there is none: they are fetched at the pace of the work, since rows of a batch lie anywhere and what a processor
/// fetches on its own is what follows. On the calling thread.
void write_rows(DType from, std::span<const void* const> x, std::span<const void* const> next,
                const RowTransform* transform, DType to, void* y, std::int64_t length);

}  // namespace rtl::kernels::cpu
