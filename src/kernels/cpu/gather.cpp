// Row gathers on the host.
#include <algorithm>
#include <cstring>

#include "kernels/backend/gather.hpp"
#include "kernels/cpu/cast.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/row_prefetch.hpp"
#include "kernels/functors.hpp"
#include "kernels/row_numbers.hpp"

namespace rtl::kernels::cpu {

void gather_rows(const Device&, ConstView table, ConstView rows, View out, ConstView counters) {
  const std::int64_t length = table.count() / table.extent(0), count = out.count() / length;
  const auto element = static_cast<std::int64_t>(size_of(table.dtype()));
  const auto* from = static_cast<const std::byte*>(table.data());
  auto* to = static_cast<std::byte*>(out.data());
  const auto out_element = static_cast<std::int64_t>(size_of(out.dtype()));
  const bool same = table.dtype() == out.dtype();
  const RowPrefetch prefetch(from, table.extent(0), length * element);
  with_row_numbers(rows, counters, out.extent(out.rank() - table.rank()), [&](const auto& number) {
    parallel_ranges(count, grain_of(length), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        prefetch.before(number, i, end);
        const std::int64_t chosen = number(i);
        const std::byte* row = from + chosen * length * element;
        if (chosen < 0 || chosen >= table.extent(0)) {
          std::memset(to + i * length * out_element, 0, static_cast<std::size_t>(length * out_element));
        } else if (same) {
          std::memcpy(to + i * length * element, row, static_cast<std::size_t>(length * element));
        } else {
          convert_elements(table.dtype(), row, out.dtype(), to + i * length * out_element, length);
        }
      }
    });
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
