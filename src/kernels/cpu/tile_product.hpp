// Products of tiles that fit in the first caches, on one thread: what a library's call would spend on choosing and
// packing is most of their time.
#pragma once

#include <cstdint>

namespace rtl::kernels::cpu {

/// c [m, n] = a b, or c += a b: element (i, k) of a lies at i * a_row + k * a_step, b [k, n] and c have rows of
/// neighbours.
template <typename T>
struct TileProduct {
  const T* a;
  std::int64_t a_row, a_step;
  const T* b;
  std::int64_t b_row;
  T* c;
  std::int64_t c_row, m, n, k;
  bool add;
};

/// Sums are over k in order, whatever m and n: an element's bits depend on its row of a and column of b alone.
void multiply_tile(const TileProduct<float>& product);
void multiply_tile(const TileProduct<double>& product);

/// to [columns, rows] = the transposed of from [rows, columns]; rows are from_step and to_step apart.
void transpose_tile(const float* from, std::int64_t from_step, std::int64_t rows, std::int64_t columns, float* to,
                    std::int64_t to_step);
void transpose_tile(const double* from, std::int64_t from_step, std::int64_t rows, std::int64_t columns, double* to,
                    std::int64_t to_step);

}  // namespace rtl::kernels::cpu
