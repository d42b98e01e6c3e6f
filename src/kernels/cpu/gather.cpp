// Row gathers on the host.
#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "kernels/backend/fetch.hpp"
#include "kernels/backend/gather.hpp"
#include "kernels/cpu/cast.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/row_prefetch.hpp"
#include "kernels/cpu/write_rows.hpp"
#include "kernels/functors.hpp"
#include "kernels/row_numbers.hpp"

namespace rtl::kernels::cpu {

namespace {

/// Rows of `out`, each the row of the table that `number` gives; zeros where there is none.
template <typename Numbers>
void gather(const ConstView& table, const Numbers& number, const RowTransform* transform, View out) {
  const std::int64_t length = table.count() / table.extent(0), count = out.count() / length;
  const auto row_bytes = length * static_cast<std::int64_t>(size_of(table.dtype()));
  const auto out_bytes = length * static_cast<std::int64_t>(size_of(out.dtype()));
  const auto* from = static_cast<const std::byte*>(table.data());
  auto* to = static_cast<std::byte*>(out.data());
  const RowPrefetch prefetch(from, table.extent(0), row_bytes);
  const RowWriter write(table.dtype(), transform, out.dtype(), length);
  parallel_ranges(count, grain_of(length), [&](std::int64_t begin, std::int64_t end) {
    std::array<const void*, RowPrefetch::most_together + 1> rows;
    for (std::int64_t first = begin; first < end; first += prefetch.together()) {
      prefetch.before(number, begin, first, end);
      const auto some = static_cast<std::size_t>(std::min(prefetch.together(), end - first));
      for (std::size_t i = 0; i <= some; ++i) {
        const std::int64_t at = first + static_cast<std::int64_t>(i), row = at < end ? number(at) : -1;
        rows[i] = row < 0 || row >= table.extent(0) ? nullptr : from + row * row_bytes;
      }
      write(std::span(rows).first(some), rows[some], to + first * out_bytes);
    }
  });
}

template <typename Numbers>
void gather_stored(const StoredFeatures& features, const Numbers& number, View out) {
  if (!features.transform.given()) return gather(features.table, number, nullptr, out);
  const auto* shift = features.transform.data_as<float>();
  const std::int64_t columns = features.columns();
  const RowTransform transform{shift, shift + columns, shift + 2 * columns, features.bound};
  gather(features.table, number, &transform, out);
}

/// Pairs of dtypes that only integers of tables have, element by element.
template <typename Numbers>
void convert_rows(const ConstView& table, const Numbers& number, View out) {
  const std::int64_t length = table.count() / table.extent(0), count = out.count() / length;
  const auto row_bytes = length * static_cast<std::int64_t>(size_of(table.dtype()));
  const auto out_bytes = length * static_cast<std::int64_t>(size_of(out.dtype()));
  const auto* from = static_cast<const std::byte*>(table.data());
  auto* to = static_cast<std::byte*>(out.data());
  parallel_ranges(count, grain_of(length), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t row = number(i);
      if (row < 0 || row >= table.extent(0)) {
        std::memset(to + i * out_bytes, 0, static_cast<std::size_t>(out_bytes));
      } else {
        convert_elements(table.dtype(), from + row * row_bytes, out.dtype(), to + i * out_bytes, length);
      }
    }
  });
}

}  // namespace

void gather_rows(const Device&, ConstView table, ConstView rows, View out, ConstView counters) {
  with_row_numbers(rows, counters, out.extent(out.rank() - table.rank()), [&](const auto& number) {
    if (writes_rows(table.dtype(), out.dtype())) {
      gather(table, number, nullptr, out);
    } else {
      convert_rows(table, number, out);
    }
  });
}

void gather_features(const Device&, const StoredFeatures& features, ConstView rows, View out, ConstView counters) {
  gather_stored(features, placed_rows(features, rows, counters, out.extent(-2)), out);
}

void fetch_features(const Device&, const StoredFeatures& features, ConstView rows, View out, ConstView counters,
                    std::int64_t after) {
  gather_stored(features, placed_rows_ahead(features, rows, counters, out.extent(-2), after), out);
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
