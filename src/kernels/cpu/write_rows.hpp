// Rows from anywhere in a table, written one behind the other.
#pragma once

#include <cstdint>
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

/// Writes rows of `length` elements each one behind the other, converted (as kernels::cast does) and, with a transform,
/// which takes f32, bf16, f16 and u8, changed.
class RowWriter {
 public:
  RowWriter(DType from, const RowTransform* transform, DType to, std::int64_t length);

  /// `rows` to `y`, zeros where one is null; `behind` is the row that is read after them, or null. On the calling
  /// thread.
  void operator()(std::span<const void* const> rows, const void* behind, void* y) const {
    write_(*this, rows, behind, y);
  }

  DType from, to;
  const RowTransform* transform;
  std::int64_t length;
  bool native_bfloat16;  ///< whether numbers are rounded to bf16 by an instruction of the processor

 private:
  void (*write_)(const RowWriter&, std::span<const void* const>, const void*, void*);
};

}  // namespace rtl::kernels::cpu
