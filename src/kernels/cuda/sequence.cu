#include "kernels/backend/sequence.hpp"

#include "kernels/cuda/launch.cuh"
#include "kernels/functors.hpp"
#include "kernels/sequence_length.hpp"

namespace rtl::kernels::cuda {
namespace {

const std::int32_t* lengths_or_null(const ConstView& lengths) {
  return lengths.given() ? lengths.data_as<std::int32_t>() : nullptr;
}

/// A warp a sequence: the place of the first negative id.
__global__ void first_padding(std::int64_t sequences, std::int64_t positions, const std::int32_t* ids,
                              std::int32_t* lengths) {
  const std::int64_t n = std::int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  if (n >= sequences) return;  // whole warps
  std::int64_t first = positions;
  for (std::int64_t t = threadIdx.x; t < positions; t += warp_size) {
    if (ids[n * positions + t] < 0 && t < first) first = t;
  }
  for (int bits = warp_size / 2; bits > 0; bits /= 2) {
    const std::int64_t other = __shfl_xor_sync(all_lanes, first, bits);
    first = other < first ? other : first;
  }
  if (threadIdx.x == 0) lengths[n] = static_cast<std::int32_t>(first);
}

template <typename T, typename Result>
__global__ void mean_of_positions(std::int64_t count, std::int64_t positions, std::int64_t columns, const T* x,
                                  const std::int32_t* lengths, Result* y) {
  using A = Arithmetic<T>;
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const std::int64_t n = i / columns, column = i - n * columns, length = length_of(lengths, n, positions);
    A sum = 0;
    for (std::int64_t t = 0; t < length; ++t) {
      sum += functors::convert<A>(x[(n * positions + t) * columns + column]);
    }
    y[i] = functors::convert<Result>(sum / static_cast<A>(length > 0 ? length : 1));
  }
}

template <typename T, typename Result>
__global__ void spread_over_positions(std::int64_t count, std::int64_t positions, std::int64_t columns,
                                      const Result* dy, const std::int32_t* lengths, T* dx) {
  using A = Arithmetic<T>;
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const std::int64_t row = i / columns, column = i - row * columns, n = row / positions;
    const std::int64_t length = length_of(lengths, n, positions);
    const bool inside = row - n * positions < length;
    dx[i] =
        functors::convert<T>(inside ? functors::convert<A>(dy[n * columns + column]) / static_cast<A>(length) : A{0});
  }
}

/// A thread a pair; heads from `heads` on are copied.
template <typename T>
__global__ void turn_pairs(std::int64_t count, std::int64_t positions, std::int64_t all, std::int64_t heads,
                           std::int64_t half, bool halves, Arithmetic<T> direction, const T* x,
                           const Arithmetic<T>* cosines, const Arithmetic<T>* sines, T* y) {
  using A = Arithmetic<T>;
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const std::int64_t line = i / half, pair = i - line * half, row = line / all, head = line - row * all;
    const std::int64_t first = line * 2 * half + (halves ? pair : 2 * pair), second = first + (halves ? half : 1);
    if (head >= heads) {
      y[first] = x[first];
      y[second] = x[second];
      continue;
    }
    const std::int64_t angle = row % positions * half + pair;
    const auto a = functors::convert<A>(x[first]), b = functors::convert<A>(x[second]);
    const A cosine = cosines[angle], sine = direction * sines[angle];
    y[first] = functors::convert<T>(a * cosine - b * sine);
    y[second] = functors::convert<T>(b * cosine + a * sine);
  }
}

}  // namespace

void sequence_lengths(const Device& device, ConstView ids, View lengths) {
  constexpr int rows_per_block = block_size / warp_size;
  launch(first_padding, static_cast<unsigned>(ceil_divide(ids.extent(0), rows_per_block)),
         dim3(warp_size, rows_per_block), 0, activate(device), ids.extent(0), ids.extent(1),
         ids.data_as<std::int32_t>(), lengths.data_as<std::int32_t>());
}

void sequence_mean(const Device& device, ConstView x, ConstView lengths, View y) {
  functors::visit_sums(x.dtype(), y.dtype(), [&](auto element, auto result) {
    using T = decltype(element);
    using Result = decltype(result);
    launch(mean_of_positions<T, Result>, blocks_for(y.count()), block_size, 0, activate(device), y.count(), x.extent(1),
           x.extent(2), x.data_as<T>(), lengths_or_null(lengths), y.data_as<Result>());
  });
}

void sequence_mean_backward(const Device& device, ConstView dy, ConstView lengths, View dx) {
  functors::visit_sums(dx.dtype(), dy.dtype(), [&](auto element, auto result) {
    using T = decltype(element);
    using Result = decltype(result);
    launch(spread_over_positions<T, Result>, blocks_for(dx.count()), block_size, 0, activate(device), dx.count(),
           dx.extent(1), dx.extent(2), dy.data_as<Result>(), lengths_or_null(lengths), dx.data_as<T>());
  });
}

void rotate_positions(const Device& device, ConstView x, ConstView cosines, ConstView sines, RotaryPairs pairs,
                      std::int64_t heads, bool back, View y) {
  functors::visit_activations(x.dtype(), [&](auto element) {
    using T = decltype(element);
    using A = Arithmetic<T>;
    const std::int64_t count = x.count() / 2;
    launch(turn_pairs<T>, blocks_for(count), block_size, 0, activate(device), count, x.extent(1), x.extent(2), heads,
           x.extent(3) / 2, pairs == RotaryPairs::halves, back ? A{-1} : A{1}, x.data_as<T>(), cosines.data_as<A>(),
           sines.data_as<A>(), y.data_as<T>());
  });
}

}  // namespace rtl::kernels::cuda
