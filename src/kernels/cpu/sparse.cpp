// Sparse matrices on the host. Of products, pieces of a row's columns stay in registers while its entries are added up.
#include <cstring>
#include <type_traits>

#include "kernels/backend/sparse.hpp"
#include "kernels/cpu/cast.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/functors.hpp"
#include "kernels/row_numbers.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/sparse.cpp"
#include "kernels/cpu/targets.hpp"
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu::HWY_NAMESPACE {

/// y[c] = the sum over entries [begin, end) of values[e] * x[columns[e], c], for `width` columns; of whole pieces the
/// compiler knows the width.
template <int piece, typename T>
void add_entries(const std::int32_t* columns, const Arithmetic<T>* values, std::int32_t begin, std::int32_t end,
                 const T* x, std::int64_t rows, std::int64_t stride, std::int64_t width, T* y) {
  using A = Arithmetic<T>;
  A sums[piece] = {};
  for (std::int32_t e = begin; e < end; ++e) {
    if (columns[e] < 0 || columns[e] >= rows) continue;
    const T* from = x + columns[e] * stride;
    const A value = values[e];
    if (width == piece) {
#pragma omp simd
      for (int c = 0; c < piece; ++c) sums[c] += value * functors::convert<A>(from[c]);
    } else {
      for (std::int64_t c = 0; c < width; ++c) sums[c] += value * functors::convert<A>(from[c]);
    }
  }
  for (std::int64_t c = 0; c < width; ++c) y[c] = functors::convert<T>(sums[c]);
}

/// Row `row` of a times x [rows, columns].
void multiply_row_target(const SparseRows& a, std::int64_t row, DType dtype, const void* x, std::int64_t rows,
                         std::int64_t columns, void* y) {
  const auto* offsets = a.offsets.data_as<std::int32_t>();
  functors::visit_activations(dtype, [&](auto element) {
    using T = decltype(element);
    std::int64_t c = 0;
    const auto add = [&](auto piece, std::int64_t width) {
      add_entries<piece()>(a.columns.data_as<std::int32_t>(), a.values.data_as<Arithmetic<T>>(), offsets[row],
                           offsets[row + 1], static_cast<const T*>(x) + c, rows, columns, width,
                           static_cast<T*>(y) + c);
      c += width;
    };
    while (columns - c >= 64) add(std::integral_constant<int, 64>(), 64);
    while (columns - c >= 16) add(std::integral_constant<int, 16>(), 16);
    if (c < columns) add(std::integral_constant<int, 16>(), columns - c);
  });
}

}  // namespace rtl::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::kernels::cpu {

HWY_EXPORT(multiply_row_target);

void sparse_product(const Device&, const SparseRows& a, ConstView x, View y) {
  const std::int64_t rows = x.extent(-2), columns = x.extent(-1), results = y.extent(-2);
  const std::int64_t entries_of_row = a.columns.count() / results + 1;
  const auto row_bytes = columns * static_cast<std::int64_t>(size_of(x.dtype()));
  const auto* from = static_cast<const std::byte*>(x.data());
  auto* to = static_cast<std::byte*>(y.data());
  parallel_ranges(y.count() / columns, grain_of(entries_of_row * columns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t replica = i / results;
      HWY_DYNAMIC_DISPATCH(multiply_row_target)
      (a, i - replica * results, x.dtype(), from + replica * rows * row_bytes, rows, columns, to + i * row_bytes);
    }
  });
}

void gather_sparse_rows(const Device&, const SparseRows& table, ConstView background, ConstView rows, View out,
                        ConstView counters) {
  const std::int64_t width = out.extent(-1), table_rows = table.offsets.extent(0) - 1;
  const auto row_bytes = width * static_cast<std::int64_t>(size_of(out.dtype()));
  const auto* offsets = table.offsets.data_as<std::int64_t>();
  const auto* columns = table.columns.data_as<std::int32_t>();
  auto* to = static_cast<std::byte*>(out.data());
  const auto fill = [&](std::int64_t i, std::int64_t chosen, auto stored, auto element) {
    using Out = decltype(element);
    const bool there = chosen >= 0 && chosen < table_rows;
    if (there && background.given()) {
      convert_elements(background.dtype(), background.data(), out.dtype(), to + i * row_bytes, width);
    } else {
      std::memset(to + i * row_bytes, 0, static_cast<std::size_t>(row_bytes));
    }
    if (!there) return;
    const auto* values = table.values.data_as<decltype(stored)>();
    Out* const row = out.data_as<Out>() + i * width;
    for (std::int64_t e = offsets[chosen]; e < offsets[chosen + 1]; ++e) {
      if (columns[e] >= 0 && columns[e] < width) row[columns[e]] = functors::convert<Out>(values[e]);
    }
  };
  functors::visit_floating(table.values.dtype(), [&](auto stored) {
    functors::visit_activations(out.dtype(), [&](auto element) {
      with_row_numbers(rows, counters, out.extent(-2), [&](const auto& number) {
        parallel_ranges(out.count() / width, grain_of(width), [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i) fill(i, number(i), stored, element);
        });
      });
    });
  });
}

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE
