#include "kernels/backend/sparse.hpp"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/functors.hpp"
#include "kernels/row_numbers.hpp"

namespace rtl::kernels::cuda {
namespace {

/// A thread for each pack of columns of a result's row: neighbouring threads read neighbouring elements of the same
/// rows of x, and the entry that they share comes from cache. `packs` counts those of a row.
template <int width, typename T>
__global__ void multiply_rows(std::int64_t count, std::int64_t packs, std::int64_t results, std::int64_t rows,
                              const std::int32_t* offsets, const std::int32_t* columns, const Arithmetic<T>* values,
                              const T* x, T* y) {
  using A = Arithmetic<T>;
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const std::int64_t line = i / packs, pack = i - line * packs;
    const std::int64_t replica = line / results, row = line - replica * results;
    A sums[width] = {};
    for (std::int32_t e = offsets[row]; e < offsets[row + 1]; ++e) {
      const std::int64_t column = columns[e];
      if (column < 0 || column >= rows) continue;
      const A value = values[e];
      const Pack<T, width> from = load_pack<width>(x, (replica * rows + column) * packs + pack);
      for (int k = 0; k < width; ++k) sums[k] += value * functors::convert<A>(from.value[k]);
    }
    Pack<T, width> to;
    for (int k = 0; k < width; ++k) to.value[k] = functors::convert<T>(sums[k]);
    store_pack<width>(y, i, to);
  }
}

constexpr std::int64_t packs_of_tile = 4 * block_size;

/// The first of entries [begin, end), whose columns ascend, in a column of at least `column`.
__device__ std::int64_t first_entry(const std::int32_t* columns, std::int64_t begin, std::int64_t end,
                                    std::int64_t column) {
  while (begin < end) {
    const std::int64_t middle = begin + (end - begin) / 2;
    if (columns[middle] < column) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin;
}

/// A block fills a tile of a row's columns, and then writes the entries that lie in it: so that few rows of many
/// columns keep the whole GPU busy. `packs` counts those of a row, `tiles` the tiles of a row and `items` those of all
/// rows.
template <int width, typename Out, typename T, typename Numbers>
__global__ void fill_rows(std::int64_t items, std::int64_t tiles, std::int64_t packs, std::int64_t table_rows,
                          const std::int64_t* offsets, const std::int32_t* columns, const T* values,
                          const T* background, const Numbers number, Out* out) {
  for (std::int64_t item = blockIdx.x; item < items; item += gridDim.x) {
    const std::int64_t row = item / tiles, first = (item - row * tiles) * packs_of_tile;
    const std::int64_t last = first + packs_of_tile < packs ? first + packs_of_tile : packs;
    const std::int64_t chosen = number(row);
    const bool there = chosen >= 0 && chosen < table_rows;
    for (std::int64_t i = first + threadIdx.x; i < last; i += blockDim.x) {
      Pack<Out, width> fill{};
      if (there && background != nullptr) {
        const Pack<T, width> from = load_pack<width>(background, i);
        for (int k = 0; k < width; ++k) fill.value[k] = functors::convert<Out>(from.value[k]);
      }
      store_pack<width>(out, row * packs + i, fill);
    }
    __syncthreads();
    if (!there) continue;
    const std::int64_t stop = offsets[chosen + 1];
    const std::int64_t begin = first_entry(columns, offsets[chosen], stop, first * width);
    const std::int64_t end = first_entry(columns, begin, stop, last * width);
    for (std::int64_t e = begin + threadIdx.x; e < end; e += blockDim.x) {
      out[row * packs * width + columns[e]] = functors::convert<Out>(values[e]);
    }
  }
}

}  // namespace

void sparse_product(const Device& device, const SparseRows& a, ConstView x, View y) {
  const std::int64_t columns = x.extent(-1);
  functors::visit_activations(x.dtype(), [&](auto element) {
    using T = decltype(element);
    const T* from = x.data_as<T>();
    T* to = y.data_as<T>();
    with_pack_width<T>(
        columns,
        [&](auto width) {
          const std::int64_t packs = columns / width(), count = y.count() / width();
          launch(multiply_rows<width(), T>, blocks_for(count), block_size, 0, activate(device), count, packs,
                 y.extent(-2), x.extent(-2), a.offsets.data_as<std::int32_t>(), a.columns.data_as<std::int32_t>(),
                 a.values.data_as<Arithmetic<T>>(), from, to);
        },
        from, to);
  });
}

void gather_sparse_rows(const Device& device, const SparseRows& table, ConstView background, ConstView rows, View out,
                        ConstView counters) {
  const std::int64_t width = out.extent(-1);
  functors::visit_floating(table.values.dtype(), [&](auto stored) {
    functors::visit_activations(out.dtype(), [&](auto element) {
      with_row_numbers(rows, counters, out.extent(-2), [&](const auto& number) {
        using T = decltype(stored);
        using Out = decltype(element);
        using Numbers = std::remove_cvref_t<decltype(number)>;
        const T* fill = background.given() ? background.data_as<T>() : nullptr;
        Out* to = out.data_as<Out>();
        const auto start = [&](auto pack) {
          const std::int64_t packs = width / pack(), tiles = ceil_divide(packs, packs_of_tile);
          const std::int64_t items = out.count() / width * tiles;
          launch(fill_rows<pack(), Out, T, Numbers>, blocks_for(items, 1), block_size, 0, activate(device), items,
                 tiles, packs, table.offsets.extent(0) - 1, table.offsets.data_as<std::int64_t>(),
                 table.columns.data_as<std::int32_t>(), table.values.data_as<T>(), fill, number, to);
        };
        const bool aligned = width % 4 == 0 && packs_aligned<4>(to) && (fill == nullptr || packs_aligned<4>(fill));
        aligned ? start(std::integral_constant<int, 4>()) : start(std::integral_constant<int, 1>());
      });
    });
  });
}

}  // namespace rtl::kernels::cuda
