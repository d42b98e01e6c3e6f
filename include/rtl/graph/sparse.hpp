// Products with sparse matrices in recorded graphs: sums over the neighbours of nodes.
#pragma once

#include <cstdint>
#include <span>

#include "rtl/graph/graph.hpp"

namespace rtl::graph {

/// A sparse matrix [rows, columns] on a device, with its transpose, by which gradients go back. Never changes; copies
/// share the memory, of 8 to 12 bytes an entry, twice.
class SparseMatrix {
 public:
  SparseMatrix() = default;
  /// By rows (CSR, see rtl/kernels/sparse.hpp): offsets [rows + 1], and column and value of each entry. Values are kept
  /// in `dtype`, f32 (also for activations in bf16) or f64. The transpose is made here, in O(rows + columns + entries),
  /// its rows in the order of this one's. Throws ShapeError for lists whose lengths do not fit, ValueError for offsets
  /// that fall or do not end with the number of entries, a column outside, a value that is not finite, and 2^31 entries
  /// or more.
  SparseMatrix(std::int64_t columns, std::span<const std::int32_t> offsets, std::span<const std::int32_t> column_of,
               std::span<const double> values, DType dtype, const Device& device);

  bool defined() const noexcept { return by_row_.values.defined(); }
  std::int64_t rows() const { return by_row_.offsets.shape()[0] - 1; }
  std::int64_t columns() const { return by_column_.offsets.shape()[0] - 1; }
  std::int64_t entries() const { return by_row_.values.shape()[0]; }
  /// No copy.
  SparseMatrix transposed() const;

 private:
  friend Value sparse_product(const SparseMatrix& a, const Value& x);
  struct Rows {
    Storage offsets, columns, values;
  };
  Rows by_row_, by_column_;
};

/// a x: x [columns, C] to [rows, C], f32, f64 or bf16; a's values have the dtype of parameters that goes with it. The
/// gradient goes to x alone, as a product with the transpose, in an order that is fixed. 2 entries C FLOP. Throws
/// ValueError for a matrix or a value that is not defined, DTypeError and ShapeError.
Value sparse_product(const SparseMatrix& a, const Value& x);

}  // namespace rtl::graph
