#include "kernels/backend/ridge_path.hpp"

#include <limits>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/reduce.cuh"

namespace rtl::kernels::cuda {
namespace {

template <typename T>
struct WeightedTerm {
  const T* x;
  std::int64_t stride;
  const double* weights;
  __device__ double operator()(std::int64_t row, std::int64_t column) const {
    const double value = static_cast<double>(x[row * stride + column]);
    return weights != nullptr ? weights[row] * value : value;
  }
};

struct AddPair {
  __device__ double operator()(double a, double b) const { return a + b; }
};

struct StoreSum {
  double* sums;
  __device__ void operator()(std::int64_t column, std::int64_t, double sum) const { sums[column] = sum; }
};

template <typename From, typename To>
__global__ void center_kernel(std::int64_t rows, std::int64_t columns, const From* x, std::int64_t x_stride,
                              const double* shift, const double* scale, To* out, std::int64_t out_stride) {
  for (std::int64_t i = grid_thread(); i < rows * columns; i += grid_threads()) {
    const std::int64_t row = i / columns, column = i - row * columns;
    const double value = static_cast<double>(x[row * x_stride + column]) - (shift != nullptr ? shift[column] : 0.0);
    out[row * out_stride + column] = static_cast<To>(scale != nullptr ? value * scale[row] : value);
  }
}

// A block of 8 warps scores 64 rows at a time, two a lane. A warp owns every eighth filter, four at a time: the
// products with 32 filters are made in registers, from tiles of 16 components in shared memory in which the filters are
// already multiplied by the rotated targets of one output.
constexpr int tile_rows = 64, tile_filters = 32, tile_components = 16;
constexpr int lines = 8, rows_per_lane = tile_rows / warp_size, filters_per_line = tile_filters / lines;

template <typename T>
struct PathTables {
  std::int64_t n, r, k, filters, penalties, splits;
  // Targets, mixing and intercept_leverage may be null.
  const T *basis, *targets, *rotated, *filter, *mixing, *intercept_leverage;
  double *left_out, *residual;  // [batch, splits, L, k], added to
};

template <typename T>
struct Tiles {
  T basis[tile_components][tile_rows];
  T weights[tile_components][tile_filters];
};

/// sum[a][b]: of row lane + 32 a and filter first_filter + line + 8 b, over all components; of squares and filters
/// alone if output < 0.
template <typename T>
__device__ void multiply(const PathTables<T>& t, std::int64_t problem, std::int64_t first_row,
                         std::int64_t first_filter, std::int64_t output, Tiles<T>& tiles,
                         T (&sum)[rows_per_lane][filters_per_line]) {
  const int lane = static_cast<int>(threadIdx.x), line = static_cast<int>(threadIdx.y);
  const int thread = line * warp_size + lane;
#pragma unroll
  for (int a = 0; a < rows_per_lane; ++a) {
#pragma unroll
    for (int b = 0; b < filters_per_line; ++b) sum[a][b] = T(0);
  }
  for (std::int64_t first = 0; first < t.r; first += tile_components) {
    __syncthreads();  // the tiles of the round before have been read
    for (int i = thread; i < tile_components * tile_rows; i += warp_size * lines) {
      const std::int64_t j = first + i / tile_rows, row = first_row + i % tile_rows;
      const T value = j < t.r && row < t.n ? t.basis[(problem * t.r + j) * t.n + row] : T(0);
      tiles.basis[i / tile_rows][i % tile_rows] = output < 0 ? value * value : value;
    }
    for (int i = thread; i < tile_components * tile_filters; i += warp_size * lines) {
      const std::int64_t j = first + i % tile_components, f = first_filter + i / tile_components;
      T value = j < t.r && f < t.filters ? t.filter[(problem * t.filters + f) * t.r + j] : T(0);
      if (output >= 0 && j < t.r) value *= t.rotated[(problem * t.r + j) * t.k + output];
      tiles.weights[i % tile_components][i / tile_components] = value;
    }
    __syncthreads();
#pragma unroll
    for (int j = 0; j < tile_components; ++j) {
      T x[rows_per_lane];
#pragma unroll
      for (int a = 0; a < rows_per_lane; ++a) x[a] = tiles.basis[j][lane + a * warp_size];
#pragma unroll
      for (int b = 0; b < filters_per_line; ++b) {
        const T weight = tiles.weights[j][line + b * lines];
#pragma unroll
        for (int a = 0; a < rows_per_lane; ++a) sum[a][b] += x[a] * weight;
      }
    }
  }
}

/// What the rows of one lane add to the sums of one penalty and output.
template <typename T>
__device__ void add_errors(const PathTables<T>& t, std::int64_t problem, std::int64_t split, std::int64_t first_row,
                           std::int64_t penalty, std::int64_t output, const T (&part)[rows_per_lane],
                           const T (&share)[rows_per_lane]) {
  constexpr T least = static_cast<T>(margin_roundoffs) * std::numeric_limits<T>::epsilon() / 2;
  double outside = 0, inside = 0;
#pragma unroll
  for (int a = 0; a < rows_per_lane; ++a) {
    const std::int64_t row = first_row + static_cast<std::int64_t>(threadIdx.x) + a * warp_size;
    if (row >= t.n) continue;
    const T leverage = t.intercept_leverage != nullptr ? t.intercept_leverage[problem * t.n + row] : T(0);
    const bool complement = t.targets == nullptr;
    const T error = complement ? part[a] : t.targets[(problem * t.k + output) * t.n + row] - part[a];
    const T margin = complement ? share[a] - leverage : T(1) - share[a] - leverage;
    const double left = static_cast<double>(error / margin);
    outside += margin > least ? left * left : std::numeric_limits<double>::infinity();
    inside += static_cast<double>(error) * static_cast<double>(error);
  }
  for (int bits = warp_size / 2; bits > 0; bits /= 2) {
    outside += __shfl_xor_sync(all_lanes, outside, bits);
    inside += __shfl_xor_sync(all_lanes, inside, bits);
  }
  if (threadIdx.x != 0) return;
  const std::int64_t where = ((problem * t.splits + split) * t.penalties + penalty) * t.k + output;
  t.left_out[where] += outside;
  t.residual[where] += inside;
}

/// Penalties are the filters: 32 at a time, their leverages kept in registers for all outputs.
template <typename T>
__global__ void __launch_bounds__(warp_size* lines, 2) direct_path(const PathTables<T> t) {
  RTL_SHARED(Tiles<T>, tiles, [1]);
  const std::int64_t problem = blockIdx.x / t.splits, split = blockIdx.x % t.splits;
  for (std::int64_t first_row = split * tile_rows; first_row < t.n; first_row += t.splits * tile_rows) {
    for (std::int64_t first = 0; first < t.filters; first += tile_filters) {
      T shares[rows_per_lane][filters_per_line];
      multiply(t, problem, first_row, first, std::int64_t{-1}, tiles[0], shares);
      for (std::int64_t output = 0; output < t.k; ++output) {
        T parts[rows_per_lane][filters_per_line];
        multiply(t, problem, first_row, first, output, tiles[0], parts);
#pragma unroll
        for (int b = 0; b < filters_per_line; ++b) {
          const std::int64_t penalty = first + threadIdx.y + b * lines;
          if (penalty >= t.filters) continue;
          T part[rows_per_lane], share[rows_per_lane];
#pragma unroll
          for (int a = 0; a < rows_per_lane; ++a) {
            part[a] = parts[a][b];
            share[a] = shares[a][b];
          }
          add_errors(t, problem, split, first_row, penalty, output, part, share);
        }
      }
    }
  }
}

template <typename T>
using Kept = T[tile_filters][tile_rows];

template <typename T>
__device__ void store_tile(const T (&sum)[rows_per_lane][filters_per_line], Kept<T>& kept) {
#pragma unroll
  for (int b = 0; b < filters_per_line; ++b) {
#pragma unroll
    for (int a = 0; a < rows_per_lane; ++a) {
      kept[threadIdx.y + b * lines][threadIdx.x + a * warp_size] = sum[a][b];
    }
  }
}

/// At most 32 filters, of which those of the penalties are combinations: the products with them stay in shared memory
/// while each warp makes every eighth penalty.
template <typename T>
__global__ void __launch_bounds__(warp_size* lines, 2) mixed_path(const PathTables<T> t) {
  RTL_SHARED(Tiles<T>, tiles, [1]);
  RTL_SHARED(T, shares, [tile_filters][tile_rows]);
  RTL_SHARED(T, parts, [tile_filters][tile_rows]);
  const std::int64_t problem = blockIdx.x / t.splits, split = blockIdx.x % t.splits;
  const int lane = static_cast<int>(threadIdx.x), filters = static_cast<int>(t.filters);
  for (std::int64_t first_row = split * tile_rows; first_row < t.n; first_row += t.splits * tile_rows) {
    T sum[rows_per_lane][filters_per_line];
    multiply(t, problem, first_row, std::int64_t{0}, std::int64_t{-1}, tiles[0], sum);
    store_tile(sum, shares);
    for (std::int64_t output = 0; output < t.k; ++output) {
      multiply(t, problem, first_row, std::int64_t{0}, output, tiles[0], sum);
      store_tile(sum, parts);
      __syncthreads();
      for (std::int64_t penalty = threadIdx.y; penalty < t.penalties; penalty += lines) {
        const T* mixing = t.mixing + (problem * t.penalties + penalty) * t.filters;
        T part[rows_per_lane] = {}, share[rows_per_lane] = {};
        for (int f = 0; f < filters; ++f) {
          const T factor = mixing[f];
#pragma unroll
          for (int a = 0; a < rows_per_lane; ++a) {
            part[a] += factor * parts[f][lane + a * warp_size];
            share[a] += factor * shares[f][lane + a * warp_size];
          }
        }
        add_errors(t, problem, split, first_row, penalty, output, part, share);
      }
      __syncthreads();  // parts are free again, also where multiply has no component to wait for
    }
  }
}

/// Filters of the penalties themselves, mixed beforehand: where there are more than a block can keep.
template <typename T>
__global__ void mix_filters(std::int64_t batch, std::int64_t penalties, std::int64_t filters, std::int64_t r,
                            const T* mixing, const T* filter, T* mixed) {
  const std::int64_t count = batch * penalties * r;
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const std::int64_t component = i % r, line = i / r, problem = line / penalties;
    T sum = 0;
    for (std::int64_t f = 0; f < filters; ++f) {
      sum += mixing[line * filters + f] * filter[(problem * filters + f) * r + component];
    }
    mixed[i] = sum;
  }
}

__global__ void add_splits(std::int64_t count, std::int64_t sums, std::int64_t splits, const double* partial,
                           double* result) {
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const std::int64_t problem = i / sums, place = i - problem * sums;
    double sum = result[i];
    for (std::int64_t split = 0; split < splits; ++split) sum += partial[(problem * splits + split) * sums + place];
    result[i] = sum;
  }
}

/// Blocks that share the rows of one problem: one where there are many problems, so that one launch does it all.
/// Depends on the sizes only.
std::int64_t splits_for(std::int64_t batch, std::int64_t n) {
  constexpr std::int64_t wanted_blocks = 512;
  return std::clamp<std::int64_t>(wanted_blocks / batch, 1, ceil_divide(n, tile_rows));
}

template <typename T>
const T* optional(const ConstView& view) {
  return view.given() ? view.data_as<T>() : nullptr;
}

template <typename T>
void launch_path(cudaStream_t stream, std::int64_t batch, const PathTables<T>& tables) {
  const dim3 grid(static_cast<unsigned>(batch * tables.splits)), block(warp_size, lines);
  launch(tables.mixing != nullptr ? mixed_path<T> : direct_path<T>, grid, block, 0, stream, tables);
}

template <typename T>
void errors_typed(const Device& device, const RidgePathRows& rows, double* left_out, double* residual) {
  const cudaStream_t stream = activate(device);
  const std::int64_t batch = rows.basis.extent(0);
  PathTables<T> t{rows.basis.extent(2),
                  rows.basis.extent(1),
                  rows.rotated.extent(2),
                  rows.filters.extent(1),
                  rows.mixing.given() ? rows.mixing.extent(1) : rows.filters.extent(1),
                  0,
                  rows.basis.data_as<T>(),
                  optional<T>(rows.targets),
                  rows.rotated.data_as<T>(),
                  rows.filters.data_as<T>(),
                  optional<T>(rows.mixing),
                  optional<T>(rows.intercept_leverage),
                  left_out,
                  residual};
  t.splits = splits_for(batch, t.n);
  const bool too_many = t.mixing != nullptr && t.filters > tile_filters;
  const Scratch<T> mixed(device, too_many ? batch * t.penalties * t.r : 0);
  if (too_many) {
    launch(mix_filters<T>, blocks_for(batch * t.penalties * t.r), block_size, 0, stream, batch, t.penalties, t.filters,
           t.r, t.mixing, t.filter, mixed.get());
    t.filter = mixed.get();
    t.filters = t.penalties;
    t.mixing = nullptr;
  }
  if (t.splits == 1) return launch_path(stream, batch, t);
  const std::int64_t sums = t.penalties * t.k, count = batch * sums;
  const Scratch<double> partial(device, 2 * count * t.splits);
  RTL_CUDA_CHECK(
      cudaMemsetAsync(partial.get(), 0, static_cast<std::size_t>(2 * count * t.splits) * sizeof(double), stream));
  t.left_out = partial.get();
  t.residual = partial.get() + count * t.splits;
  launch_path(stream, batch, t);
  launch(add_splits, blocks_for(count), block_size, 0, stream, count, sums, t.splits, t.left_out, left_out);
  launch(add_splits, blocks_for(count), block_size, 0, stream, count, sums, t.splits, t.residual, residual);
}

std::int64_t row_stride(const ConstView& x) { return x.extent(0) > 1 ? x.strides()[0] : x.extent(1); }

template <typename T>
void sums_typed(const Device& device, const ConstView& x, const double* weights, double* sums) {
  reduce_columns(device, x.extent(0), x.extent(1), Neighbours::columns, 0.0,
                 WeightedTerm<T>{x.data_as<T>(), row_stride(x), weights}, AddPair(), StoreSum{sums});
}

template <typename From, typename To>
void center_typed(const Device& device, const ConstView& x, const ConstView& shift, const ConstView& scale,
                  const View& out) {
  launch(center_kernel<From, To>, blocks_for(x.count()), block_size, 0, activate(device), x.extent(0), x.extent(1),
         x.data_as<From>(), row_stride(x), optional<double>(shift), optional<double>(scale), out.data_as<To>(),
         row_stride(out));
}

}  // namespace

void weighted_column_sums(const Device& device, ConstView x, ConstView weights, View sums) {
  const auto* factors = optional<double>(weights);
  x.dtype() == DType::f32 ? sums_typed<float>(device, x, factors, sums.data_as<double>())
                          : sums_typed<double>(device, x, factors, sums.data_as<double>());
}

void center_rows(const Device& device, ConstView x, ConstView shift, ConstView scale, View out) {
  if (x.dtype() == DType::f32) {
    out.dtype() == DType::f32 ? center_typed<float, float>(device, x, shift, scale, out)
                              : center_typed<float, double>(device, x, shift, scale, out);
  } else {
    out.dtype() == DType::f32 ? center_typed<double, float>(device, x, shift, scale, out)
                              : center_typed<double, double>(device, x, shift, scale, out);
  }
}

void ridge_path_errors(const Device& device, const RidgePathRows& rows, View left_out, View residual) {
  double *outside = left_out.data_as<double>(), *inside = residual.data_as<double>();
  rows.basis.dtype() == DType::f32 ? errors_typed<float>(device, rows, outside, inside)
                                   : errors_typed<double>(device, rows, outside, inside);
}

}  // namespace rtl::kernels::cuda
