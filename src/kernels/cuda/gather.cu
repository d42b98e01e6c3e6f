#include "kernels/backend/gather.hpp"

#include "kernels/cuda/elementwise.cuh"
#include "kernels/functors.hpp"

namespace rtl::kernels::cuda {
namespace {

/// Calls f(typed pointer) for row numbers of either integer type.
template <typename F>
void with_rows(const ConstView& rows, const F& f) {
  if (rows.dtype() == DType::i32) {
    f(rows.data_as<std::int32_t>());
  } else {
    f(rows.data_as<std::int64_t>());
  }
}

std::int64_t row_length(const ConstView& table) {
  std::int64_t length = 1;
  for (int axis = 1; axis < table.rank(); ++axis) length *= table.extent(axis);
  return length;
}

/// out[i] = table[rows[i]]; `length` counts the packs of a row.
template <int width, typename Out, typename T, typename Row>
__global__ void gather(std::int64_t count, std::int64_t length, const T* table, const Row* rows, Out* out) {
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const std::int64_t row = i / length;
    const Pack<T, width> in = load_pack<width>(table, static_cast<std::int64_t>(rows[row]) * length + i - row * length);
    Pack<Out, width> converted;
    for (int k = 0; k < width; ++k) converted.value[k] = functors::convert<Out>(in.value[k]);
    store_pack<width>(out, i, converted);
  }
}

template <int width, typename Out, typename T>
void launch_gather(const Device& device, const T* table, const ConstView& rows, Out* out, std::int64_t length) {
  const std::int64_t packs = length / width, count = rows.count() * packs;
  with_rows(rows, [&](const auto* numbers) {
    using Row = std::remove_cv_t<std::remove_pointer_t<decltype(numbers)>>;
    launch(gather<width, Out, T, Row>, blocks_for(count), block_size, 0, activate(device), count, packs, table, numbers,
           out);
  });
}

/// Rows of one dtype are moved as bytes, in the largest units that fit.
void gather_bytes(const Device& device, const ConstView& table, const ConstView& rows, const View& out) {
  const auto bytes = row_length(table) * static_cast<std::int64_t>(size_of(table.dtype()));
  const auto* from = static_cast<const std::uint8_t*>(table.data());
  auto* to = static_cast<std::uint8_t*>(out.data());
  if (bytes % 16 == 0 && packs_aligned<16>(from, to)) {
    launch_gather<16>(device, from, rows, to, bytes);
  } else if (bytes % 4 == 0 && packs_aligned<4>(from, to)) {
    launch_gather<4>(device, from, rows, to, bytes);
  } else {
    launch_gather<1>(device, from, rows, to, bytes);
  }
}

template <typename T, typename Row>
__global__ void gather_pixels(std::int64_t count, std::int64_t length, std::int64_t channels, const std::uint8_t* table,
                              const Row* rows, const T* scale, const T* shift, T* out) {
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const std::int64_t row = i / length, at = i - row * length, channel = at % channels;
    const auto value = static_cast<T>(table[static_cast<std::int64_t>(rows[row]) * length + at]);
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

void gather_rows(const Device& device, ConstView table, ConstView rows, View out) {
  if (table.dtype() == out.dtype()) return gather_bytes(device, table, rows, out);
  functors::visit_floating(out.dtype(), [&](auto element) {
    functors::visit_any(table.dtype(), [&](auto stored) {
      using Out = decltype(element);
      using T = decltype(stored);
      const std::int64_t length = row_length(table);
      if (length % 4 == 0 && packs_aligned<4>(table.data_as<T>()) && packs_aligned<4>(out.data_as<Out>())) {
        launch_gather<4>(device, table.data_as<T>(), rows, out.data_as<Out>(), length);
      } else {
        launch_gather<1>(device, table.data_as<T>(), rows, out.data_as<Out>(), length);
      }
    });
  });
}

void gather_images(const Device& device, ConstView table, ConstView rows, ConstView scale, ConstView shift, View out) {
  functors::visit_floating(out.dtype(), [&](auto element) {
    with_rows(rows, [&](const auto* numbers) {
      using T = decltype(element);
      using Row = std::remove_cv_t<std::remove_pointer_t<decltype(numbers)>>;
      launch(gather_pixels<T, Row>, blocks_for(out.count()), block_size, 0, activate(device), out.count(),
             row_length(table), table.extent(3), table.data_as<std::uint8_t>(), numbers, scale.data_as<T>(),
             shift.data_as<T>(), out.data_as<T>());
    });
  });
}

void scatter_add_rows(const Device& device, ConstView values, ConstView rows, View table) {
  functors::visit_floating(table.dtype(), [&](auto element) {
    with_rows(rows, [&](const auto* numbers) {
      using T = decltype(element);
      using Row = std::remove_cv_t<std::remove_pointer_t<decltype(numbers)>>;
      launch(scatter_add<T, Row>, static_cast<unsigned>(rows.count()), 128, 0, activate(device), rows.count(),
             row_length(table), values.data_as<T>(), numbers, table.data_as<T>());
    });
  });
}

}  // namespace rtl::kernels::cuda
