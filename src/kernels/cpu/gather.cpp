// Row gathers on the host.
#include <algorithm>
#include <cstring>

#include "kernels/backend/gather.hpp"
#include "kernels/cpu/cast.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/row_prefetch.hpp"
#include "kernels/cpu/transform_features.hpp"
#include "kernels/functors.hpp"
#include "kernels/row_numbers.hpp"

namespace rtl::kernels::cpu {

namespace {

/// Of each row of `out`, with the row of the table that `number` gives; zeros where there is none.
template <typename Numbers, typename Write>
void for_each_row(const ConstView& table, const Numbers& number, View out, const Write& write) {
  const std::int64_t length = table.count() / table.extent(0), count = out.count() / length;
  const auto row_bytes = length * static_cast<std::int64_t>(size_of(table.dtype()));
  const auto out_bytes = length * static_cast<std::int64_t>(size_of(out.dtype()));
  const auto* from = static_cast<const std::byte*>(table.data());
  auto* to = static_cast<std::byte*>(out.data());
  const RowPrefetch prefetch(from, table.extent(0), row_bytes);
  parallel_ranges(count, grain_of(length), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      prefetch.before(number, i, end);
      const std::int64_t chosen = number(i);
      if (chosen < 0 || chosen >= table.extent(0)) {
        std::memset(to + i * out_bytes, 0, static_cast<std::size_t>(out_bytes));
      } else {
        write(from + chosen * row_bytes, to + i * out_bytes, length);
      }
    }
  });
}

/// As they are, or converted.
template <typename Numbers>
void move_rows(const ConstView& table, const Numbers& number, View out) {
  const DType stored = table.dtype(), wanted = out.dtype();
  const auto element = static_cast<std::int64_t>(size_of(stored));
  for_each_row(table, number, out, [&](const std::byte* from, std::byte* to, std::int64_t length) {
    if (stored == wanted) {
      std::memcpy(to, from, static_cast<std::size_t>(length * element));
    } else {
      convert_elements(stored, from, wanted, to, length);
    }
  });
}

}  // namespace

void gather_rows(const Device&, ConstView table, ConstView rows, View out, ConstView counters) {
  with_row_numbers(rows, counters, out.extent(out.rank() - table.rank()),
                   [&](const auto& number) { move_rows(table, number, out); });
}

void gather_features(const Device&, const StoredFeatures& features, ConstView rows, View out, ConstView counters) {
  const PlacedRows placed = placed_rows(features, rows, counters, out.extent(-2));
  if (!features.transform.given()) return move_rows(features.table, placed, out);
  const DType stored = features.table.dtype(), wanted = out.dtype();
  const auto* transform = features.transform.data_as<float>();
  for_each_row(features.table, placed, out, [&](const std::byte* from, std::byte* to, std::int64_t length) {
    transform_elements(stored, from, transform, features.bound, wanted, to, length);
  });
}

void scatter_add_rows(const Device&, ConstView values, ConstView rows, View table) {
  functors::visit_floating(table.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t count = rows.count(), length = values.count() / count;
    const T* from = values.data_as<T>();
    T* to = table.data_as<T>();
    const int chunks = chunk_count(table.extent(0), grain_of(length));
    // Each thread owns a range of the table's rows, so every row's additions keep the order of `rows`.
    with_row_numbers(rows, {}, count, [&](const auto& number) {
      parallel_chunks(table.extent(0), chunks, [&](int, std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = 0; i < count; ++i) {
          const std::int64_t row = number(i);
          if (row < begin || row >= end) continue;
#pragma omp simd
          for (std::int64_t c = 0; c < length; ++c) to[row * length + c] += from[i * length + c];
        }
      });
    });
  });
}

}  // namespace rtl::kernels::cpu
