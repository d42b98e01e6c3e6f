#include "kernels/backend/sparse.hpp"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/functors.hpp"

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

}  // namespace rtl::kernels::cuda
