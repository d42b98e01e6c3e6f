// Reductions. Sums are accumulated in f64 on the host and pairwise in the element type's wider partner on CUDA; the
// order is fixed, so results are reproducible.
#pragma once

#include <cstdint>

#include "rtl/core/tensor.hpp"

namespace rtl::kernels {

enum class ReduceOp : std::uint8_t { sum, mean, maximum, minimum };

/// The inverse of broadcasting: y has x's rank, and each axis where y's extent is 1 is reduced. x may be strided, y
/// contiguous; f32, f64 or bf16 of one dtype, or x bf16 and y f32. NaN propagates through maximum and minimum. Throws
/// ValueError for maximum, minimum or mean over nothing; the sum is 0.
void reduce(const Device& device, ReduceOp op, ConstView x, View y);

/// The same for each member of a batch, which is the first axis of x and y: each has the bits that reduce gives it
/// alone. On CUDA all are reduced together.
void reduce_batch(const Device& device, ReduceOp op, ConstView x, View y);

/// indices[i] = position of the largest element in row i of x [rows, columns]; the first of equals; NaN counts as
/// largest. x contiguous, f32 or f64; indices i32 [rows]. Throws ValueError for rows without elements.
void argmax_rows(const Device& device, ConstView x, View indices);

/// True if no element is NaN or infinite. f32, f64, bf16, f16, contiguous. Waits for the device.
bool all_finite(const Device& device, ConstView x);

/// Column means and (population, divide by n) variances of x [rows, columns] into f64 [columns] each, by a two-pass
/// algorithm. x contiguous, f32 or f64. Throws ValueError for no rows.
void column_moments(const Device& device, ConstView x, View mean, View variance);

}  // namespace rtl::kernels
