// Products with a matrix that was packed into panels: of any size, with bias, residual and activation on the way out.
// Each result is one sum in the order of k, so its bits depend neither on the other rows nor on how the work is shared.
#pragma once

#include <cstdint>

#include "rtl/core/dtype.hpp"
#include "rtl/kernels/prepared_linear.hpp"

namespace rtl::kernels::cpu {

/// Columns of a panel.
constexpr std::int64_t panel_columns = 64;

/// Elements that b [k, n] takes as panels: columns are filled up with zeros, and rows of bf16 go in pairs.
template <typename T>
constexpr std::int64_t panel_elements(std::int64_t n, std::int64_t k) {
  const std::int64_t rows = sizeof(T) == 2 ? (k + 1) / 2 * 2 : k;
  return (n + panel_columns - 1) / panel_columns * panel_columns * rows;
}

/// Packs b [k, n], or its transpose [n, k], with rows `step` apart. Of f32 panels in strips as wide as the processor's
/// vectors make them, row by row; of bf16 pairs of rows side by side: b[0, 0], b[1, 0], b[0, 1], b[1, 1], ..
void pack_panels(const float* b, std::int64_t step, bool transposed, std::int64_t n, std::int64_t k, float* panels);
void pack_panels(const bfloat16* b, std::int64_t step, bool transposed, std::int64_t n, std::int64_t k,
                 bfloat16* panels);

/// Packs the transpose of a, [k, m] with rows `step` apart, so that pairs of rows lie side by side.
void pack_pairs(const bfloat16* a, std::int64_t step, std::int64_t m, std::int64_t k, bfloat16* pairs);

/// c = activation([c +] a b [+ bias] [+ residual]).
template <typename T, typename Result>
struct PanelProduct {
  const T* a;
  std::int64_t a_row;   ///< elements from one row to the next
  std::int64_t a_step;  ///< elements from one k, or of bf16 one pair of k, to the next
  const T* panels;
  std::int64_t m, n, k;
  Result* c;
  std::int64_t c_row;
  bool add = false;
  const float* bias = nullptr;       ///< [n]
  const Result* residual = nullptr;  ///< rows as far apart as those of c; may be c
  LinearActivation activation = LinearActivation::none;
};

void multiply_panels(const PanelProduct<float, float>& product);
void multiply_panels(const PanelProduct<bfloat16, float>& product);
void multiply_panels(const PanelProduct<bfloat16, bfloat16>& product);

}  // namespace rtl::kernels::cpu
