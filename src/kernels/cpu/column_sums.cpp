// Sums of the columns of a matrix on the host: rows pass in the order of memory, the sums stay in the first cache.
#include <algorithm>

#include "kernels/backend/gemm.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/functors.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/column_sums.cpp"
#include "kernels/cpu/targets.hpp"
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu::HWY_NAMESPACE {

constexpr std::int64_t most_columns = 512;

/// Columns [first, first + count) of at most most_columns. Rows are summed in blocks of fixed size, block sums in f64
/// in row order.
template <typename T>
void sum_columns(ConstView x, std::int64_t first, std::int64_t count, Arithmetic<T>* sums) {
  using Number = Arithmetic<T>;
  constexpr std::int64_t block_rows = 64;
  const std::int64_t rows = x.extent(0), columns = x.extent(1);
  double total[most_columns] = {};
  Number partial[most_columns];
  for (std::int64_t row = 0; row < rows; row += block_rows) {
    std::fill_n(partial, count, Number{0});
    for (std::int64_t i = row; i < std::min(rows, row + block_rows); ++i) {
      const T* line = x.data_as<T>() + i * columns + first;
#pragma omp simd
      for (std::int64_t j = 0; j < count; ++j) partial[j] += functors::convert<Number>(line[j]);
    }
#pragma omp simd
    for (std::int64_t j = 0; j < count; ++j) total[j] += static_cast<double>(partial[j]);
  }
  for (std::int64_t j = 0; j < count; ++j) sums[first + j] = static_cast<Number>(total[j]);
}

void column_sums_target(ConstView x, View out, std::int64_t begin, std::int64_t end) {
  functors::visit_activations(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (std::int64_t first = begin; first < end; first += most_columns) {
      sum_columns<T>(x, first, std::min(most_columns, end - first), out.data_as<Arithmetic<T> >());
    }
  });
}

}  // namespace rtl::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::kernels::cpu {

HWY_EXPORT(column_sums_target);

/// The threads share the columns, so that the result does not depend on their number.
void column_sums(const Device&, ConstView x, View out) {
  constexpr std::int64_t least_columns = 64;
  parallel_ranges(x.extent(1), std::max(least_columns, grain_of(x.extent(0))),
                  [&](std::int64_t begin, std::int64_t end) {
                    HWY_DYNAMIC_DISPATCH(column_sums_target)(x, out, begin, end);
                  });
}

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE
