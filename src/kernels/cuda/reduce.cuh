// Reductions of any kind in a fixed order. The data is seen as a matrix of rows x columns; every column is reduced over
// its rows. The caller says what an element is (a strided view, a squared deviation, a value with its position), how
// two are combined, and what becomes of a column's result. Several matrices of one size may be reduced together: their
// columns are counted through.
#pragma once

#include <bit>

#include "core/cuda/context.hpp"
#include "kernels/cuda/launch.cuh"

namespace rtl::kernels::cuda {

/// The sum, or what `combine` makes of it, of a column's rows from `begin` to `end`, for line 0 of its threads: each
/// thread adds every (block_size / lanes)th row, in order; then a tree in shared memory.
template <typename Total, typename Term, typename Combine>
__device__ inline Total reduce_rows(std::int64_t begin, std::int64_t end, std::int64_t column, bool inside, int lanes,
                                    const Total& identity, const Term& term, const Combine& combine, Total* partial) {
  const int thread = static_cast<int>(threadIdx.x), line = thread / lanes, lines = block_size / lanes;
  Total total = identity;
  if (inside) {
#pragma unroll 4
    for (std::int64_t row = begin + line; row < end; row += lines) total = combine(total, term(row, column));
  }
  partial[thread] = total;
  for (int half = lines / 2; half > 0; half /= 2) {
    __syncthreads();
    if (line < half) partial[thread] = combine(partial[thread], partial[thread + half * lanes]);
  }
  return partial[thread];
}

// Each block takes `lanes` neighbouring columns of matrix blockIdx.z and a range of rows. Asking for four blocks on a
// multiprocessor grants 64 registers: left to itself, ptxas spills one to reach 32 or 48.
template <typename Total, typename Term, typename Combine, typename Finish>
__global__ void __launch_bounds__(block_size, 4)
    reduce_kernel(std::int64_t rows, std::int64_t columns, std::int64_t rows_per_split, int lanes, Total identity,
                  const __grid_constant__ Term term, Combine combine, Finish finish) {
  RTL_SHARED(Total, partial, [block_size]);
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  const std::int64_t column_of_matrix = std::int64_t{blockIdx.x} * lanes + lane;
  const std::int64_t column = blockIdx.z * columns + column_of_matrix;
  const bool inside = column_of_matrix < columns;
  const std::int64_t begin = blockIdx.y * rows_per_split;
  const std::int64_t end = begin + rows_per_split < rows ? begin + rows_per_split : rows;
  const Total total = reduce_rows(begin, end, column, inside, lanes, identity, term, combine, &partial[0]);
  // Line 0 of a column is the thread that wrote its result.
  if (static_cast<int>(threadIdx.x) < lanes && inside) finish(column, blockIdx.y, total);
}

template <typename Total>
struct StorePartial {
  Total* partials;  // [columns, splits]
  std::int64_t splits;
  __device__ void operator()(std::int64_t column, std::int64_t split, const Total& total) const {
    partials[column * splits + split] = total;
  }
};

template <typename Total>
struct LoadPartial {
  const Total* partials;
  std::int64_t splits;
  __device__ Total operator()(std::int64_t split, std::int64_t column) const {
    return partials[column * splits + split];
  }
};

/// The same in one launch: of the blocks of a column's ranges, the last one combines what all have found, with
/// last_lanes columns at a time, as a launch of reduce_kernel would.
template <typename Total, typename Term, typename Combine, typename Finish>
__global__ void __launch_bounds__(block_size, 4)
    reduce_at_once(std::int64_t rows, std::int64_t columns, std::int64_t rows_per_split, int lanes, int last_lanes,
                   Total* partials, unsigned* tickets, Total identity, const __grid_constant__ Term term,
                   Combine combine, Finish finish) {
  RTL_SHARED(Total, partial, [block_size]);
  const int thread = static_cast<int>(threadIdx.x);
  const std::int64_t first = std::int64_t{blockIdx.x} * lanes, matrix = blockIdx.z * columns, splits = gridDim.y;
  const std::int64_t own = first + thread % lanes;
  const std::int64_t begin = blockIdx.y * rows_per_split;
  const std::int64_t end = begin + rows_per_split < rows ? begin + rows_per_split : rows;
  const Total found = reduce_rows(begin, end, matrix + own, own < columns, lanes, identity, term, combine, &partial[0]);
  if (thread < lanes && own < columns) partials[(matrix + own) * splits + blockIdx.y] = found;
  if (!is_last_block(tickets + blockIdx.z * gridDim.x + blockIdx.x, gridDim.y, thread)) return;
  const LoadPartial<Total> load{partials, splits};
  for (int offset = 0; offset < lanes; offset += last_lanes) {
    const int lane = offset + thread % last_lanes;
    const bool inside = lane < lanes && first + lane < columns;
    __syncthreads();
    const Total total =
        reduce_rows(0, splits, matrix + first + lane, inside, last_lanes, identity, load, combine, &partial[0]);
    if (thread < last_lanes && inside) finish(matrix + first + lane, 0, total);
  }
}

/// Neighbouring threads read neighbouring rows (`rows`: a column lies along memory) or neighbouring columns.
enum class Neighbours { rows, columns };

struct ReductionShape {
  int lanes;
  std::int64_t splits;
  std::int64_t rows_per_split;
};

/// Depends on the sizes only, so that the order of additions is the same on every GPU.
inline ReductionShape shape_of_reduction(std::int64_t rows, std::int64_t columns, Neighbours neighbours) {
  constexpr std::int64_t wanted_blocks = 1024, rows_per_thread = 8;
  const auto power = [](std::int64_t count, std::int64_t most) {
    return static_cast<std::int64_t>(
        std::bit_ceil(static_cast<std::uint64_t>(std::clamp<std::int64_t>(count, 1, most))));
  };
  std::int64_t lanes = block_size / power(rows, block_size);
  if (neighbours == Neighbours::columns) lanes = std::max(lanes, power(columns, warp_size));
  const std::int64_t rows_per_block = block_size / lanes * rows_per_thread;
  const std::int64_t most = std::max<std::int64_t>(1, wanted_blocks / ceil_divide(columns, lanes));
  const std::int64_t splits = std::clamp<std::int64_t>(ceil_divide(rows, rows_per_block), 1, most);
  return {static_cast<int>(lanes), splits, ceil_divide(rows, splits)};
}

/// For every column: finish(column, 0, combination of term(row, column) over all rows). One launch, or, of many
/// rows, two with a partial result per range of rows between them. `matrices` (at most 65,535) do not change the order
/// of additions.
template <typename Total, typename Term, typename Combine, typename Finish>
void reduce_columns(const Device& device, std::int64_t rows, std::int64_t columns, Neighbours neighbours,
                    const Total& identity, const Term& term, const Combine& combine, const Finish& finish,
                    std::int64_t matrices = 1) {
  const cudaStream_t stream = activate(device);
  const auto grid = [&](const ReductionShape& shape) {
    return dim3(static_cast<unsigned>(ceil_divide(columns, shape.lanes)), static_cast<unsigned>(shape.splits),
                static_cast<unsigned>(matrices));
  };
  const ReductionShape shape = shape_of_reduction(rows, columns, neighbours);
  if (shape.splits == 1) {
    launch(reduce_kernel<Total, Term, Combine, Finish>, grid(shape), block_size, 0, stream, rows, columns,
           shape.rows_per_split, shape.lanes, identity, term, combine, finish);
    return;
  }
  const Scratch<Total> partials(device, matrices * columns * shape.splits);
  ReductionShape last = shape_of_reduction(shape.splits, columns, Neighbours::rows);
  last.splits = 1;
  // With more ranges, one block for all of a column's would take longer than another launch.
  constexpr std::int64_t few = 32;
  if (shape.splits <= few && matrices * ceil_divide(columns, shape.lanes) <= detail::ticket_count) {
    launch(reduce_at_once<Total, Term, Combine, Finish>, grid(shape), block_size, 0, stream, rows, columns,
           shape.rows_per_split, shape.lanes, last.lanes, partials.get(), detail::tickets(device.context()), identity,
           term, combine, finish);
    return;
  }
  using Store = StorePartial<Total>;
  using Load = LoadPartial<Total>;
  launch(reduce_kernel<Total, Term, Combine, Store>, grid(shape), block_size, 0, stream, rows, columns,
         shape.rows_per_split, shape.lanes, identity, term, combine, Store{partials.get(), shape.splits});
  launch(reduce_kernel<Total, Load, Combine, Finish>, grid(last), block_size, 0, stream, shape.splits, columns,
         shape.splits, last.lanes, identity, Load{partials.get(), shape.splits}, combine, finish);
}

/// A reduction that all blocks of a cooperative launch make together, on their way: the same ranges of rows as
/// reduce_columns has, in the same order.
struct GridReduction {
  std::int64_t rows, columns;
  ReductionShape first, last;  // ranges of rows, and the partial results of a column

  RTL_HOST_DEVICE std::int64_t tiles() const { return ceil_divide(columns, first.lanes) * first.splits; }
};

inline GridReduction grid_reduction(std::int64_t rows, std::int64_t columns) {
  const ReductionShape first = shape_of_reduction(rows, columns, Neighbours::columns);
  return {rows, columns, first, shape_of_reduction(first.splits, columns, Neighbours::rows)};
}

/// finish(column, 0, combination of term(row, column) over all rows) for every column; behind it all threads see what
/// was finished. `partials` [columns, first.splits] in global memory, `partial` [block_size] in shared memory.
template <typename Total, typename Term, typename Combine, typename Finish>
__device__ inline void reduce_in_grid(const GridReduction& shape, Total* partials, Total* partial,
                                      const Total& identity, const Term& term, const Combine& combine,
                                      const Finish& finish) {
  const int thread = static_cast<int>(threadIdx.x);
  const std::int64_t splits = shape.first.splits;
  for (std::int64_t tile = blockIdx.x; tile < shape.tiles(); tile += gridDim.x) {
    const std::int64_t split = tile % splits, column = tile / splits * shape.first.lanes + thread % shape.first.lanes;
    const std::int64_t begin = split * shape.first.rows_per_split, end = begin + shape.first.rows_per_split;
    const bool inside = column < shape.columns;
    const Total total = reduce_rows(begin, end < shape.rows ? end : shape.rows, column, inside, shape.first.lanes,
                                    identity, term, combine, partial);
    if (thread < shape.first.lanes && inside) {
      if (splits == 1) {
        finish(column, 0, total);
      } else {
        partials[column * splits + split] = total;
      }
    }
    __syncthreads();
  }
  synchronize_grid();
  if (splits == 1) return;
  const LoadPartial<Total> load{partials, splits};
  const std::int64_t lanes = shape.last.lanes;
  for (std::int64_t begin = blockIdx.x * lanes; begin < shape.columns; begin += gridDim.x * lanes) {
    const std::int64_t column = begin + thread % lanes;
    const bool inside = column < shape.columns;
    const Total total = reduce_rows(0, splits, column, inside, shape.last.lanes, identity, load, combine, partial);
    if (thread < lanes && inside) finish(column, 0, total);
    __syncthreads();
  }
  synchronize_grid();
}

/// Several sums at once.
template <int count>
struct Sums {
  double value[count];
};

struct AddSums {
  template <int count>
  __device__ Sums<count> operator()(Sums<count> a, const Sums<count>& b) const {
    for (int i = 0; i < count; ++i) a.value[i] += b.value[i];
    return a;
  }
};

}  // namespace rtl::kernels::cuda
