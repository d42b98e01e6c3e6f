// Products with sparse matrices: what graph convolutions are made of.
#pragma once

#include "rtl/core/tensor.hpp"

namespace rtl::kernels {

/// A matrix [m, n] by its rows (CSR): row i has the entries offsets[i] .. offsets[i + 1] - 1, entry e being values[e]
/// in column columns[e]. offsets i32 [m + 1], which begin with 0, do not fall and end with the number of entries E: the
/// caller checks that once, when the matrix is made. columns i32 [E]; one outside [0, n) adds nothing. values [E].
/// All contiguous. Columns of a row may repeat and be in any order.
struct SparseRows {
  ConstView offsets;
  ConstView columns;
  ConstView values;
};

/// y = a x: x [n, C] to y [m, C], rows without entries being zeros; f32, f64 or bf16, a's values the dtype of
/// parameters that goes with it. With x [R, n, C] and y [R, m, C] the same for R replicas in one launch, which share a.
/// x and y are contiguous and do not overlap.
///
/// Each element of y is the sum of its row's entries in their order, for every device and number of threads, calculated
/// in Arithmetic<T> and rounded once. 2 E C FLOP; reads E rows of x, so time goes with E C elements of memory, or of
/// cache where x lies there. The gradient with respect to x is the product with the transpose, given as CSR too: no two
/// threads add to one element.
void sparse_product(const Device& device, const SparseRows& a, ConstView x, View y);

}  // namespace rtl::kernels
