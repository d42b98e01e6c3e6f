#include "kernels/backend/gather.hpp"

#include <algorithm>
#include <bit>
#include <type_traits>

#include "kernels/augmented_image.hpp"
#include "kernels/backend/fetch.hpp"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/sort_keys.hpp"
#include "kernels/functors.hpp"
#include "kernels/row_numbers.hpp"

namespace rtl::kernels::cuda {
namespace {

std::int64_t row_length(const ConstView& table) {
  std::int64_t length = 1;
  for (int axis = 1; axis < table.rank(); ++axis) length *= table.extent(axis);
  return length;
}

/// Of a grid that reads a table for the batch that is next. Rows that are fetched ahead come over a bus, beside other
/// kernels, which need the multiprocessors: 128 blocks ask for 128 kB (of u8, four a thread) to 512 kB (of f32) at a
/// time, as much as 64 GB/s bring in the 2 us that a byte takes, and hold an eighth of the threads of 132
/// multiprocessors.
template <typename Numbers>
unsigned grid_for(std::int64_t count) {
  constexpr unsigned most_beside = 128;
  const unsigned blocks = blocks_for(count);
  return std::is_same_v<Numbers, PlacedRowsAhead> ? std::min(blocks, most_beside) : blocks;
}

/// out[i] = table[rows[i]], or zeros for a number that is no row; `length` counts the packs of a row.
template <int width, typename Out, typename T, typename Numbers>
__global__ void gather(std::int64_t count, std::int64_t length, std::int64_t table_rows, const T* table,
                       const Numbers number, Out* out) {
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const std::int64_t row = i / length, chosen = number(row);
    Pack<Out, width> converted{};
    if (chosen >= 0 && chosen < table_rows) {
      const Pack<T, width> in = load_pack<width>(table, chosen * length + i - row * length);
      for (int k = 0; k < width; ++k) converted.value[k] = functors::convert<Out>(in.value[k]);
    }
    store_pack<width>(out, i, converted);
  }
}

/// `rows` counts those of all replicas.
template <int width, typename Out, typename T, typename Numbers>
void launch_gather(const Device& device, std::int64_t rows, std::int64_t length, std::int64_t table_rows,
                   const T* table, const Numbers& number, Out* out) {
  const std::int64_t packs = length / width, count = rows * packs;
  launch(gather<width, Out, T, Numbers>, grid_for<Numbers>(count), block_size, 0, activate(device), count, packs,
         table_rows, table, number, out);
}

template <typename Out, typename T, typename Numbers>
void launch_conversion(const Device& device, std::int64_t rows, std::int64_t length, std::int64_t table_rows,
                       const T* table, const Numbers& number, Out* out) {
  if (length % 4 == 0 && packs_aligned<4>(table) && packs_aligned<4>(out)) {
    launch_gather<4>(device, rows, length, table_rows, table, number, out);
  } else {
    launch_gather<1>(device, rows, length, table_rows, table, number, out);
  }
}

/// Rows of one dtype are moved as bytes, in the largest units that fit.
template <typename Numbers>
void gather_bytes(const Device& device, const ConstView& table, const Numbers& number, const View& out) {
  const std::int64_t rows = out.count() / row_length(table);
  const auto bytes = row_length(table) * static_cast<std::int64_t>(size_of(table.dtype()));
  const auto* from = static_cast<const std::uint8_t*>(table.data());
  auto* to = static_cast<std::uint8_t*>(out.data());
  if (bytes % 16 == 0 && packs_aligned<16>(from, to)) {
    launch_gather<16>(device, rows, bytes, table.extent(0), from, number, to);
  } else if (bytes % 4 == 0 && packs_aligned<4>(from, to)) {
    launch_gather<4>(device, rows, bytes, table.extent(0), from, number, to);
  } else {
    launch_gather<1>(device, rows, bytes, table.extent(0), from, number, to);
  }
}

/// What becomes of stored features where they are read; a thread has a pack of a row.
template <int width, typename Out, typename T, typename Numbers>
__global__ void gather_transformed(std::int64_t count, std::int64_t packs, std::int64_t table_rows, const T* table,
                                   const Numbers number, const float* transform, float bound, Out* out) {
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const std::int64_t row = i / packs, column = i - row * packs, chosen = number(row);
    Pack<Out, width> result{};
    if (chosen >= 0 && chosen < table_rows) {
      const Pack<T, width> in = load_pack<width>(table, chosen * packs + column);
      const Pack<float, width> shift = load_pack<width>(transform, column);
      const Pack<float, width> factor = load_pack<width>(transform, packs + column);
      const Pack<float, width> offset = load_pack<width>(transform, 2 * packs + column);
      for (int k = 0; k < width; ++k) {
        float value = (functors::convert<float>(in.value[k]) - shift.value[k]) * factor.value[k] + offset.value[k];
        value = value > bound ? bound : value;
        value = value < -bound ? -bound : value;
        result.value[k] = functors::convert<Out>(value);
      }
    }
    store_pack<width>(out, i, result);
  }
}

template <typename Numbers>
void gather_stored(const Device& device, const StoredFeatures& features, const Numbers& placed, const View& out) {
  const ConstView &table = features.table, &transform = features.transform;
  const std::int64_t length = table.extent(1), count = out.count() / length;
  if (!transform.given() && table.dtype() == out.dtype()) return gather_bytes(device, table, placed, out);
  functors::visit_activations(out.dtype(), [&](auto element) {
    functors::visit_features(table.dtype(), [&](auto stored) {
      using Out = decltype(element);
      using T = decltype(stored);
      const T* from = table.data_as<T>();
      Out* to = out.data_as<Out>();
      if (!transform.given()) return launch_conversion(device, count, length, table.extent(0), from, placed, to);
      const auto* changes = transform.data_as<float>();
      const bool packed =
          length % 4 == 0 && packs_aligned<4>(from) && packs_aligned<4>(to) && packs_aligned<4>(changes);
      const std::int64_t packs = packed ? length / 4 : length;
      launch(packed ? gather_transformed<4, Out, T, Numbers> : gather_transformed<1, Out, T, Numbers>,
             grid_for<Numbers>(count * packs), block_size, 0, activate(device), count * packs, packs, table.extent(0),
             from, placed, changes, features.bound, to);
    });
  });
}

template <typename T, typename Numbers>
__global__ void gather_pixels(std::int64_t count, std::int64_t length, std::int64_t channels, const std::uint8_t* table,
                              const Numbers number, const Arithmetic<T>* scale, const Arithmetic<T>* shift, T* out) {
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const std::int64_t row = i / length, at = i - row * length, channel = at % channels;
    const auto value = static_cast<Arithmetic<T>>(table[number(row) * length + at]);
    out[i] = functors::convert<T>(value * scale[channel] + shift[channel]);
  }
}

/// A row of blocks for each image, whose draws one thread makes for all; a thread has whole pixels.
template <typename T, typename Numbers>
__global__ void gather_augmented(const __grid_constant__ AugmentationDraws draws, std::int64_t channels,
                                 const std::uint8_t* table, const Numbers number, const Arithmetic<T>* scale,
                                 const Arithmetic<T>* shift, T* out) {
  RTL_SHARED(AugmentedImage, drawn, [1]);
  const std::int64_t row = blockIdx.x, pixels = draws.height * draws.width, length = pixels * channels;
  if (threadIdx.x == 0) drawn[0] = draws(row);
  __syncthreads();
  const AugmentedImage own = drawn[0];
  const std::uint8_t* image = table + number(row) * length;
  for (std::int64_t i = std::int64_t{blockIdx.y} * blockDim.x + threadIdx.x; i < pixels;
       i += std::int64_t{gridDim.y} * blockDim.x) {
    const std::int64_t y = i / draws.width, x = i - y * draws.width;
    const bool cut = own.cut(y, x);
    for (std::int64_t c = 0; c < channels; ++c) {
      const auto value = static_cast<Arithmetic<T>>(own.byte(image, channels, y, x, c));
      out[row * length + i * channels + c] = functors::convert<T>(cut ? Arithmetic<T>{0} : value * scale[c] + shift[c]);
    }
  }
}

/// Sorting keys: the table row above the number of the values row, so that equal table rows stay in their order;
/// what is no row becomes the one behind the table, and behind the last stand keys that are larger than all.
template <typename Row>
__global__ void make_keys(std::int64_t count, std::int64_t padded, std::int64_t table_rows, int number_bits,
                          const Row* rows, std::uint64_t* keys) {
  for (std::int64_t i = grid_thread(); i < padded; i += grid_threads()) {
    const std::int64_t chosen = i < count ? static_cast<std::int64_t>(rows[i]) : 0;
    const auto row = static_cast<std::uint64_t>(chosen >= 0 && chosen < table_rows ? chosen : table_rows);
    keys[i] = i < count ? row << number_bits | static_cast<std::uint64_t>(i) : ~std::uint64_t{0};
  }
}

/// The thread of the first key of a table row, and of a column, adds all values that belong there, in their order. So
/// no two threads write one element, and the sum does not depend on their schedule.
template <typename T>
__global__ void scatter_add(std::int64_t count, std::int64_t length, std::int64_t table_rows, int number_bits,
                            const T* values, const std::uint64_t* keys, T* table) {
  const std::uint64_t numbers = (std::uint64_t{1} << number_bits) - 1;
  for (std::int64_t i = grid_thread(); i < count * length; i += grid_threads()) {
    std::int64_t place = i / length;
    const std::int64_t column = i - place * length;
    const std::uint64_t row = keys[place] >> number_bits;
    if (row >= static_cast<std::uint64_t>(table_rows)) continue;
    if (place > 0 && keys[place - 1] >> number_bits == row) continue;
    const std::int64_t at = static_cast<std::int64_t>(row) * length + column;
    T sum = table[at];
    for (; place < count && keys[place] >> number_bits == row; ++place) {
      sum += values[static_cast<std::int64_t>(keys[place] & numbers) * length + column];
    }
    table[at] = sum;
  }
}

}  // namespace

void gather_rows(const Device& device, ConstView table, ConstView rows, View out, ConstView counters) {
  with_row_numbers(rows, counters, out.extent(out.rank() - table.rank()), [&](const auto& number) {
    if (table.dtype() == out.dtype()) return gather_bytes(device, table, number, out);
    functors::visit_activations(out.dtype(), [&](auto element) {
      functors::visit_any(table.dtype(), [&](auto stored) {
        using Out = decltype(element);
        using T = decltype(stored);
        const std::int64_t length = row_length(table);
        launch_conversion(device, out.count() / length, length, table.extent(0), table.data_as<T>(), number,
                          out.data_as<Out>());
      });
    });
  });
}

void gather_features(const Device& device, const StoredFeatures& features, ConstView rows, View out,
                     ConstView counters) {
  gather_stored(device, features, placed_rows(features, rows, counters, out.extent(-2)), out);
}

void fetch_features(const Device& device, const StoredFeatures& features, ConstView rows, View out, ConstView counters,
                    std::int64_t after) {
  gather_stored(device, features, placed_rows_ahead(features, rows, counters, out.extent(-2), after), out);
}

void gather_images(const Device& device, ConstView table, ConstView rows, ConstView scale, ConstView shift, View out,
                   ConstView counters) {
  functors::visit_activations(out.dtype(), [&](auto element) {
    with_row_numbers(rows, counters, out.extent(-4), [&](const auto& number) {
      using T = decltype(element);
      using Numbers = std::remove_cvref_t<decltype(number)>;
      launch(gather_pixels<T, Numbers>, blocks_for(out.count()), block_size, 0, activate(device), out.count(),
             row_length(table), table.extent(3), table.data_as<std::uint8_t>(), number, scale.data_as<Arithmetic<T>>(),
             shift.data_as<Arithmetic<T>>(), out.data_as<T>());
    });
  });
}

void gather_augmented_images(const Device& device, ConstView table, ConstView rows, ConstView scale, ConstView shift,
                             const ImageAugmentation& augmentation, std::uint64_t name, ConstView counters, View out) {
  constexpr std::int64_t most_blocks = 1024;
  const AugmentationDraws draws = draws_of(augmentation, name, counters, out);
  const std::int64_t pixels = draws.height * draws.width, images = out.count() / (pixels * out.extent(-1));
  const dim3 grid(static_cast<unsigned>(images),
                  static_cast<unsigned>(std::min(ceil_divide(pixels, block_size), most_blocks)));
  functors::visit_activations(out.dtype(), [&](auto element) {
    with_row_numbers(rows, counters, draws.count, [&](const auto& number) {
      using T = decltype(element);
      using Numbers = std::remove_cvref_t<decltype(number)>;
      launch(gather_augmented<T, Numbers>, grid, block_size, 0, activate(device), draws, out.extent(-1),
             table.data_as<std::uint8_t>(), number, scale.data_as<Arithmetic<T>>(), shift.data_as<Arithmetic<T>>(),
             out.data_as<T>());
    });
  });
}

void scatter_add_rows(const Device& device, ConstView values, ConstView rows, View table) {
  const std::int64_t count = rows.count(), length = row_length(table);
  const auto padded = static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(count)));
  const int number_bits = std::countr_zero(static_cast<std::uint64_t>(padded));
  const Scratch<std::uint64_t> keys(device, padded);
  const auto make = [&](const auto* numbers) {
    using Row = std::remove_cv_t<std::remove_pointer_t<decltype(numbers)>>;
    launch(make_keys<Row>, blocks_for(padded), block_size, 0, activate(device), count, padded, table.extent(0),
           number_bits, numbers, keys.get());
  };
  rows.dtype() == DType::i32 ? make(rows.data_as<std::int32_t>()) : make(rows.data_as<std::int64_t>());
  sort_keys(device, keys.get(), padded);
  functors::visit_floating(table.dtype(), [&](auto element) {
    using T = decltype(element);
    launch(scatter_add<T>, blocks_for(count * length), block_size, 0, activate(device), count, length, table.extent(0),
           number_bits, values.data_as<T>(), keys.get(), table.data_as<T>());
  });
}

}  // namespace rtl::kernels::cuda
