// Lengths, pooling and rotary positions of sequences on the host.
#include "kernels/backend/sequence.hpp"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/workspace.hpp"
#include "kernels/functors.hpp"
#include "kernels/sequence_length.hpp"

namespace rtl::kernels::cpu {
namespace {

const std::int32_t* lengths_or_null(ConstView lengths) {
  return lengths.given() ? lengths.data_as<std::int32_t>() : nullptr;
}

/// Turns the pairs of one head. `stride` is the distance between the two elements of a pair, `step` between pairs.
template <typename T>
void rotate_head(const T* x, T* y, const Arithmetic<T>* cosines, const Arithmetic<T>* sines, Arithmetic<T> direction,
                 std::int64_t pairs, std::int64_t step, std::int64_t stride) {
  using A = Arithmetic<T>;
#pragma omp simd
  for (std::int64_t i = 0; i < pairs; ++i) {
    const auto a = functors::convert<A>(x[i * step]), b = functors::convert<A>(x[i * step + stride]);
    const A sine = direction * sines[i];
    y[i * step] = functors::convert<T>(a * cosines[i] - b * sine);
    y[i * step + stride] = functors::convert<T>(b * cosines[i] + a * sine);
  }
}

}  // namespace

void sequence_lengths(const Device&, ConstView ids, View lengths) {
  const std::int64_t sequences = ids.extent(0), positions = ids.extent(1);
  const auto* from = ids.data_as<std::int32_t>();
  auto* to = lengths.data_as<std::int32_t>();
  parallel_ranges(sequences, grain_of(positions), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      const std::int32_t* row = from + n * positions;
      to[n] =
          static_cast<std::int32_t>(std::find_if(row, row + positions, [](std::int32_t id) { return id < 0; }) - row);
    }
  });
}

void sequence_mean(const Device& device, ConstView x, ConstView lengths, View y) {
  const std::int64_t sequences = x.extent(0), positions = x.extent(1), columns = x.extent(2);
  const std::int32_t* counts = lengths_or_null(lengths);
  functors::visit_sums(x.dtype(), y.dtype(), [&](auto element, auto result) {
    using T = decltype(element);
    using A = Arithmetic<T>;
    using Result = decltype(result);
    const int chunks = chunk_count(sequences, grain_of(positions * columns));
    const Scratch<A> rooms(device, chunks * columns);
    parallel_chunks(sequences, chunks, [&](int chunk, std::int64_t begin, std::int64_t end) {
      A* const sums = rooms.data() + chunk * columns;
      for (std::int64_t n = begin; n < end; ++n) {
        const std::int64_t length = length_of(counts, n, positions);
        std::fill(sums, sums + columns, A{0});
        for (std::int64_t t = 0; t < length; ++t) {
          const T* row = x.data_as<T>() + (n * positions + t) * columns;
#pragma omp simd
          for (std::int64_t c = 0; c < columns; ++c) sums[c] += functors::convert<A>(row[c]);
        }
        const auto count = static_cast<A>(std::max<std::int64_t>(length, 1));
        Result* to = y.data_as<Result>() + n * columns;
        for (std::int64_t c = 0; c < columns; ++c) to[c] = functors::convert<Result>(sums[c] / count);
      }
    });
  });
}

void sequence_mean_backward(const Device&, ConstView dy, ConstView lengths, View dx) {
  const std::int64_t sequences = dx.extent(0), positions = dx.extent(1), columns = dx.extent(2);
  const std::int32_t* counts = lengths_or_null(lengths);
  functors::visit_sums(dx.dtype(), dy.dtype(), [&](auto element, auto result) {
    using T = decltype(element);
    using A = Arithmetic<T>;
    using Result = decltype(result);
    const std::size_t bytes = static_cast<std::size_t>(columns) * sizeof(T);
    parallel_ranges(sequences, grain_of(positions * columns), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) {
        const std::int64_t length = length_of(counts, n, positions);
        const Result* from = dy.data_as<Result>() + n * columns;
        T* first = dx.data_as<T>() + n * positions * columns;
        if (length > 0) {
          for (std::int64_t c = 0; c < columns; ++c) {
            first[c] = functors::convert<T>(functors::convert<A>(from[c]) / static_cast<A>(length));
          }
        }
        for (std::int64_t t = 1; t < length; ++t) std::memcpy(first + t * columns, first, bytes);
        std::fill(first + length * columns, first + positions * columns, T{});
      }
    });
  });
}

void rotate_positions(const Device&, ConstView x, ConstView cosines, ConstView sines, RotaryPairs pairs,
                      std::int64_t heads, bool back, View y) {
  const std::int64_t positions = x.extent(1), all = x.extent(2), size = x.extent(3), half = size / 2;
  const std::int64_t rows = x.extent(0) * positions;
  functors::visit_activations(x.dtype(), [&](auto element) {
    using T = decltype(element);
    using A = Arithmetic<T>;
    const bool halves = pairs == RotaryPairs::halves;
    parallel_ranges(rows, grain_of(all * size), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const T* from = x.data_as<T>() + row * all * size;
        T* to = y.data_as<T>() + row * all * size;
        const std::int64_t angles = row % positions * half;
        for (std::int64_t head = 0; head < heads; ++head) {
          rotate_head(from + head * size, to + head * size, cosines.data_as<A>() + angles, sines.data_as<A>() + angles,
                      back ? A{-1} : A{1}, half, halves ? 1 : 2, halves ? half : 1);
        }
        if (from != to) std::copy(from + heads * size, from + all * size, to + heads * size);
      }
    });
  });
}

}  // namespace rtl::kernels::cpu
