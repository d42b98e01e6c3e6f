#include "kernels/cpu/gemm_panels.hpp"

#include <algorithm>
#include <type_traits>

#include "kernels/cpu/blas_parts.hpp"
#include "kernels/cpu/onednn.hpp"
#include "kernels/cpu/panel_product.hpp"
#include "kernels/cpu/workspace.hpp"

namespace rtl::kernels::cpu {
namespace {

/// Of a transposed a, so many rows and columns are packed at a time; they stay in the second-level cache, with as many
/// rows of b, and lie side by side in the order in which they are read.
constexpr std::int64_t rows_of_a_block = 512;
constexpr std::int64_t columns_of_a_block = 96;

template <typename T, typename Result>
std::int64_t block_of(const Problem<T, Result>& p) {
  return p.transpose_a ? std::min(p.k, rows_of_a_block) : p.k;
}

/// Elements that a part of the problem is packed into.
template <typename T, typename Result>
std::int64_t room_of(const Problem<T, Result>& p) {
  const std::int64_t k = block_of(p);
  return panel_elements<T>(p.n, k) + (p.transpose_a ? columns_of_a_block * (k + 1) : 0);
}

/// Rows of the result, as they are or of a packed part of a transposed a.
template <typename T, typename Result>
void multiply_rows(const Problem<T, Result>& p, const T* panels, const T* a, std::int64_t a_row, std::int64_t a_step,
                   std::int64_t first, std::int64_t k) {
  const bool last = first + k == p.k;
  multiply_panels(
      PanelProduct<T, Result>{.a = a,
                              .a_row = a_row,
                              .a_step = a_step,
                              .panels = panels,
                              .m = p.m,
                              .n = p.n,
                              .k = k,
                              .c = p.c,
                              .c_row = p.ldc,
                              .add = first > 0,
                              .bias = last ? p.bias : nullptr,
                              .activation = last && p.relu ? LinearActivation::relu : LinearActivation::none});
}

/// A transposed a, of bf16 only, in blocks.
template <typename Result>
void multiply_turned(const Problem<bfloat16, Result>& p, bfloat16* room) {
  const std::int64_t block = block_of(p);
  bfloat16* const pairs = room + panel_elements<bfloat16>(p.n, block);
  for (std::int64_t first = 0; first < p.k; first += block) {
    const std::int64_t k = std::min(block, p.k - first);
    pack_panels(p.b + first * (p.transpose_b ? 1 : p.ldb), p.ldb, p.transpose_b, p.n, k, room);
    for (std::int64_t row = 0; row < p.m; row += columns_of_a_block) {
      const auto part = p.part(true, row, std::min(p.m, row + columns_of_a_block));
      pack_pairs(part.a + first * p.lda, p.lda, part.m, k, pairs);
      multiply_rows(part, room, pairs, 2, 2 * part.m, first, k);
    }
  }
}

template <typename T, typename Result>
void multiply_one(const Problem<T, Result>& p, T* room) {
  constexpr bool pairs = std::is_same_v<T, bfloat16>;
  if constexpr (pairs) {
    if (p.transpose_a) return multiply_turned(p, room);
  }
  pack_panels(p.b, p.ldb, p.transpose_b, p.n, p.k, room);
  multiply_rows(p, room, p.a, p.lda, pairs ? 2 : 1, 0, p.k);
}

template <typename T, typename Result>
double operations_of(const Problem<T, Result>& p) {
  return 2.0 * static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k);
}

/// Whether a product is plain, and large enough to pack b for it.
template <typename T, typename Result>
bool worth_packing(const Problem<T, Result>& p, double least_operations) {
  constexpr std::int64_t least_rows = 64;
  return p.alpha == 1 && p.beta == 0 && p.m >= least_rows && operations_of(p) >= least_operations;
}

}  // namespace

bool panels_serve(const Problem<float>& p) {
  // Longer panels leave the second-level cache, and larger matrices the third. Of one column, the library packs
  // nothing.
  constexpr std::int64_t most_k = 2048, most_elements = std::int64_t{1} << 20;
  return worth_packing(p, 1e6) && !p.transpose_a && p.n > 1 && p.k <= most_k && p.n * p.k <= most_elements;
}

template <typename Result>
bool panels_serve(const Problem<bfloat16, Result>& p) {
  // A transposed a is multiplied in blocks, whose sums c holds.
  const bool sums_fit = !p.transpose_a || std::is_same_v<Result, float>;
  return worth_packing(p, 4e6) && sums_fit && multiplies_bf16() && !multiplies_tiles();
}

template <typename T, typename Result>
void multiply_by_panels(const Device& device, const Batch<T, Result>& batch) {
  const Problem<T, Result>& p = batch.first;
  const double operations = operations_of(p);
  // Each part packs the columns that it multiplies: of few rows, whole panels are shared out, which keeps the bits.
  const bool rows = p.m >= p.n;
  const std::int64_t extent = rows ? p.m : p.n, unit = rows ? 1 : panel_columns;
  const std::int64_t units = (extent + unit - 1) / unit;
  const int parts = blas_part_count(units, operations);
  const std::int64_t tasks = batch.count * parts, room = room_of(p);
  const int team = std::max(parts, blas_part_count(tasks, operations * static_cast<double>(batch.count)));
  const Scratch<T> rooms(device, team * room);
  blas_tasks(tasks, team, [&](std::int64_t task) {
    const auto part = static_cast<int>(task % parts);
    const std::int64_t begin = unit * blas_cut(units, parts, part, linear_boundary);
    const std::int64_t end = std::min(extent, unit * blas_cut(units, parts, part + 1, linear_boundary));
    if (begin >= end) return;
    multiply_one(batch[task / parts].part(rows, begin, end),
                 rooms.data() + (team == 1 ? 0 : omp_get_thread_num()) * room);
  });
}

template bool panels_serve(const Problem<bfloat16, float>&);
template bool panels_serve(const Problem<bfloat16, bfloat16>&);
template void multiply_by_panels(const Device&, const Batch<float, float>&);
template void multiply_by_panels(const Device&, const Batch<bfloat16, float>&);
template void multiply_by_panels(const Device&, const Batch<bfloat16, bfloat16>&);

}  // namespace rtl::kernels::cpu
