// Sparse matrices: their products, of which graph convolutions are made, and batches of their rows.
#pragma once

#include "rtl/core/tensor.hpp"

namespace rtl::kernels {

/// A matrix [m, n] by its rows (CSR): row i has the entries offsets[i] .. offsets[i + 1] - 1, entry e being values[e]
/// in column columns[e]. offsets i32 [m + 1], which begin with 0, do not fall and end with the number of entries E: the
/// caller checks that once, when the matrix is made. columns i32 [E]; one outside [0, n) adds nothing. values [E].
/// All contiguous. Columns of a row may repeat and be in any order. gather_sparse_rows asks for more.
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

/// out[i] = row rows[i] of a table [n, p] of sparse rows, made dense: the values of its entries, `background` [p]
/// elsewhere, or zeros where that is not given. rows i64 or i32 [m], out [m, p], f32, f64 or bf16, to which values are
/// converted; a number outside [0, n) gives a row of zeros. The table's offsets are i64 [n + 1], its columns ascend
/// within each row, values (and background) are f32 or f64; there may be more columns and values than the offsets
/// count. All contiguous. ValueError if rows are asked of a table without any.
///
/// With `counters`, and with out [R, m, p] for R replicas in one launch, as gather_rows (gather.hpp), with which a
/// dense table gives the same bits. Time goes with m p elements that are written: the entries are few beside them.
void gather_sparse_rows(const Device& device, const SparseRows& table, ConstView background, ConstView rows, View out,
                        ConstView counters = {});

}  // namespace rtl::kernels
