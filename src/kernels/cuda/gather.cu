#include "kernels/backend/gather.hpp"

#include "kernels/cuda/elementwise.cuh"
#include "kernels/functors.hpp"
#include "kernels/row_numbers.hpp"

namespace rtl::kernels::cuda {
namespace {

std::int64_t row_length(const ConstView& table) {
  std::int64_t length = 1;
  for (int axis = 1; axis < table.rank(); ++axis) length *= table.extent(axis);
  return length;
}

/// out[i] = table[rows[i]]; `length` counts the packs of a row.
template <int width, typename Out, typename T, typename Numbers>
__global__ void gather(std::int64_t count, std::int64_t length, const T* table, const Numbers number, Out* out) {
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const std::int64_t row = i / length;
    const Pack<T, width> in = load_pack<width>(table, number(row) * length + i - row * length);
    Pack<Out, width> converted;
    for (int k = 0; k < width; ++k) converted.value[k] = functors::convert<Out>(in.value[k]);
    store_pack<width>(out, i, converted);
  }
}

/// `rows` counts those of all replicas.
template <int width, typename Out, typename T, typename Numbers>
void launch_gather(const Device& device, std::int64_t rows, std::int64_t length, const T* table, const Numbers& number,
                   Out* out) {
  const std::int64_t packs = length / width, count = rows * packs;
  launch(gather<width, Out, T, Numbers>, blocks_for(count), block_size, 0, activate(device), count, packs, table,
         number, out);
}

/// Rows of one dtype are moved as bytes, in the largest units that fit.
template <typename Numbers>
void gather_bytes(const Device& device, const ConstView& table, const Numbers& number, const View& out) {
  const std::int64_t rows = out.count() / row_length(table);
  const auto bytes = row_length(table) * static_cast<std::int64_t>(size_of(table.dtype()));
  const auto* from = static_cast<const std::uint8_t*>(table.data());
  auto* to = static_cast<std::uint8_t*>(out.data());
  if (bytes % 16 == 0 && packs_aligned<16>(from, to)) {
    launch_gather<16>(device, rows, bytes, from, number, to);
  } else if (bytes % 4 == 0 && packs_aligned<4>(from, to)) {
    launch_gather<4>(device, rows, bytes, from, number, to);
  } else {
    launch_gather<1>(device, rows, bytes, from, number, to);
  }
}

template <typename T, typename Numbers>
__global__ void gather_pixels(std::int64_t count, std::int64_t length, std::int64_t channels, const std::uint8_t* table,
                              const Numbers number, const T* scale, const T* shift, T* out) {
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const std::int64_t row = i / length, at = i - row * length, channel = at % channels;
    const auto value = static_cast<T>(table[number(row) * length + at]);
    out[i] = value * scale[channel] + shift[channel];
  }
}

/// A block for every values row. The first row that names a table row adds all that name it, in their order; the
/// others do nothing. So no two blocks write one row, and the sum does not depend on their schedule.
template <typename T, typename Row>
__global__ void scatter_add(std::int64_t count, std::int64_t length, const T* values, const Row* rows, T* table) {
  const Row own = rows[blockIdx.x];
  int repeated = 0;
  for (std::int64_t i = threadIdx.x; i < blockIdx.x; i += blockDim.x) repeated |= rows[i] == own ? 1 : 0;
  if (__syncthreads_or(repeated) != 0) return;
  for (std::int64_t column = threadIdx.x; column < length; column += blockDim.x) {
    T sum = table[static_cast<std::int64_t>(own) * length + column];
    for (std::int64_t i = blockIdx.x; i < count; ++i) {
      if (rows[i] == own) sum += values[i * length + column];
    }
    table[static_cast<std::int64_t>(own) * length + column] = sum;
  }
}

}  // namespace

void gather_rows(const Device& device, ConstView table, ConstView rows, View out, ConstView counters) {
  with_row_numbers(rows, counters, out.extent(out.rank() - table.rank()), [&](const auto& number) {
    if (table.dtype() == out.dtype()) return gather_bytes(device, table, number, out);
    functors::visit_floating(out.dtype(), [&](auto element) {
      functors::visit_any(table.dtype(), [&](auto stored) {
        using Out = decltype(element);
        using T = decltype(stored);
        const std::int64_t length = row_length(table), count = out.count() / length;
        const T* from = table.data_as<T>();
        Out* to = out.data_as<Out>();
        if (length % 4 == 0 && packs_aligned<4>(from) && packs_aligned<4>(to)) {
          launch_gather<4>(device, count, length, from, number, to);
        } else {
          launch_gather<1>(device, count, length, from, number, to);
        }
      });
    });
  });
}

void gather_images(const Device& device, ConstView table, ConstView rows, ConstView scale, ConstView shift, View out,
                   ConstView counters) {
  functors::visit_floating(out.dtype(), [&](auto element) {
    with_row_numbers(rows, counters, out.extent(-4), [&](const auto& number) {
      using T = decltype(element);
      using Numbers = std::remove_cvref_t<decltype(number)>;
      launch(gather_pixels<T, Numbers>, blocks_for(out.count()), block_size, 0, activate(device), out.count(),
             row_length(table), table.extent(3), table.data_as<std::uint8_t>(), number, scale.data_as<T>(),
             shift.data_as<T>(), out.data_as<T>());
    });
  });
}

void scatter_add_rows(const Device& device, ConstView values, ConstView rows, View table) {
  functors::visit_floating(table.dtype(), [&](auto element) {
    using T = decltype(element);
    const auto add = [&](const auto* numbers) {
      using Row = std::remove_cv_t<std::remove_pointer_t<decltype(numbers)>>;
      launch(scatter_add<T, Row>, static_cast<unsigned>(rows.count()), 128, 0, activate(device), rows.count(),
             row_length(table), values.data_as<T>(), numbers, table.data_as<T>());
    };
    rows.dtype() == DType::i32 ? add(rows.data_as<std::int32_t>()) : add(rows.data_as<std::int64_t>());
  });
}

}  // namespace rtl::kernels::cuda
