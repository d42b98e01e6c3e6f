// Gradients of small linear layers in one launch, alone or behind the loss of the layer's outputs.
#include "core/cuda/context.hpp"
#include "kernels/backend/linear.hpp"
#include "kernels/backend/softmax.hpp"
#include "kernels/cuda/softmax_rows.cuh"

namespace rtl::kernels::cuda {
namespace {

// A block makes tile x tile elements of dx or dw. For dw it sums over a range of rows; the last block of a tile adds up
// the ranges. Its threads, tile x lines, have a column each and four rows.
constexpr int tile = warp_size;
constexpr int lines = block_size / tile, rows_of_thread = tile / lines;
constexpr std::int64_t rows_of_range = 128;

/// Two factors of a tile, summed along the first axis. One column more keeps columns in different banks.
template <typename A>
using Factor = A[tile][tile + 1];

/// How the work of a replica is cut, the same for any number of them: first the tiles of dx, then those of dw, each
/// with its ranges of rows.
struct Tiles {
  std::int64_t rows, inputs, outputs, dx_count, dw_count, ranges;

  RTL_HOST_DEVICE std::int64_t count() const { return dx_count + dw_count * ranges; }
};

Tiles make_tiles(const LinearExtents& extents, bool dw, bool dx) {
  const std::int64_t columns = ceil_divide(extents.inputs, tile);
  return {extents.rows,
          extents.inputs,
          extents.outputs,
          dx ? ceil_divide(extents.rows, tile) * columns : 0,
          dw ? ceil_divide(extents.outputs, tile) * columns : 0,
          std::max<std::int64_t>(1, ceil_divide(extents.rows, rows_of_range))};
}

/// Of the sums of a range, in global memory: the tile's, then those of its columns of dy.
constexpr std::int64_t range_size = tile * tile + tile;

/// T is the dtype of the activations.
template <typename T>
struct Layer {
  using A = Arithmetic<T>;
  Tiles tiles;
  const T *x, *dy;
  const A* w;
  std::int64_t x_step, w_step;  // from one replica to the next; 0 where they share
  T* dx;
  A *dw, *dbias;
  A* partials;        // [replicas, tiles of dw, ranges, range_size], where there are several ranges
  unsigned* tickets;  // [replicas, tiles of dw]
  bool relu;
};

/// sum[j] += over depth of a[depth][4 * line + j] * b[depth][column], in order; column_sum += a[depth][column].
/// `load(depth)` fills this thread's part of both factors.
template <typename A, typename Load>
__device__ inline void multiply_tile(std::int64_t begin, std::int64_t end, const Load& load, const Factor<A>& a,
                                     const Factor<A>& b, A (&sum)[rows_of_thread], A& column_sum) {
  const auto column = static_cast<int>(threadIdx.x), line = static_cast<int>(threadIdx.y);
  for (std::int64_t depth = begin; depth < end; depth += tile) {
    load(depth);
    __syncthreads();
    for (int k = 0; k < tile; ++k) {
      const A factor = b[k][column];
#pragma unroll
      for (int j = 0; j < rows_of_thread; ++j) sum[j] += a[k][line * rows_of_thread + j] * factor;
    }
    if (line == 0) {
      for (int k = 0; k < tile; ++k) column_sum += a[k][column];
    }
    __syncthreads();
  }
}

/// dx = dy w, through the ReLU before.
template <typename T>
__device__ inline void make_dx_tile(const Layer<T>& layer, std::int64_t replica, std::int64_t number,
                                    Factor<Arithmetic<T>>& a, Factor<Arithmetic<T>>& b) {
  using A = Arithmetic<T>;
  const Tiles& t = layer.tiles;
  const std::int64_t columns = ceil_divide(t.inputs, tile);
  const std::int64_t row_begin = number / columns * tile, column_begin = number % columns * tile;
  const auto column = static_cast<int>(threadIdx.x), line = static_cast<int>(threadIdx.y);
  const T* dy = layer.dy + replica * t.rows * t.outputs;
  const A* w = layer.w + replica * layer.w_step;
  A sum[rows_of_thread] = {}, unused = 0;
  const auto load = [&](std::int64_t depth) {
    for (int i = line; i < tile; i += lines) {
      const std::int64_t row = row_begin + i, output = depth + column;
      a[column][i] = row < t.rows && output < t.outputs ? functors::convert<A>(dy[row * t.outputs + output]) : A{0};
      const std::int64_t from = depth + i, input = column_begin + column;
      b[i][column] = from < t.outputs && input < t.inputs
                         ? functors::convert<A>(functors::convert<T>(w[from * t.inputs + input]))
                         : A{0};
    }
  };
  multiply_tile<A>(0, t.outputs, load, a, b, sum, unused);
  const std::int64_t input = column_begin + column;
  for (int j = 0; j < rows_of_thread; ++j) {
    const std::int64_t row = row_begin + line * rows_of_thread + j;
    if (row >= t.rows || input >= t.inputs) continue;
    const std::int64_t at = row * t.inputs + input;
    T value = functors::convert<T>(sum[j]);
    if (layer.relu) value = functors::ReluBackward()(layer.x[replica * layer.x_step + at], value);
    layer.dx[replica * t.rows * t.inputs + at] = value;
  }
}

/// A range of rows of dw = dy^T x, and of the sums of dy.
template <typename T>
__device__ inline void make_dw_tile(const Layer<T>& layer, std::int64_t replica, std::int64_t number,
                                    Factor<Arithmetic<T>>& a, Factor<Arithmetic<T>>& b) {
  using A = Arithmetic<T>;
  const Tiles& t = layer.tiles;
  const std::int64_t own = number / t.ranges, range = number % t.ranges;
  const std::int64_t columns = ceil_divide(t.inputs, tile);
  const std::int64_t output_begin = own / columns * tile, column_begin = own % columns * tile;
  const auto column = static_cast<int>(threadIdx.x), line = static_cast<int>(threadIdx.y);
  const T *dy = layer.dy + replica * t.rows * t.outputs, *x = layer.x + replica * layer.x_step;
  const std::int64_t begin = range * rows_of_range;
  const std::int64_t end = begin + rows_of_range < t.rows ? begin + rows_of_range : t.rows;
  A sum[rows_of_thread] = {}, bias = 0;
  const auto load = [&](std::int64_t depth) {
    for (int i = line; i < tile; i += lines) {
      const std::int64_t row = depth + i, output = output_begin + column, input = column_begin + column;
      a[i][column] = row < end && output < t.outputs ? functors::convert<A>(dy[row * t.outputs + output]) : A{0};
      b[i][column] = row < end && input < t.inputs ? functors::convert<A>(x[row * t.inputs + input]) : A{0};
    }
  };
  multiply_tile<A>(begin, end, load, a, b, sum, bias);
  const int first = line * rows_of_thread;
  if (t.ranges > 1) {
    const std::int64_t tile_of_all = replica * t.dw_count + own;
    A* ranges = layer.partials + tile_of_all * t.ranges * range_size;
    A* found = ranges + range * range_size;
    for (int j = 0; j < rows_of_thread; ++j) found[(first + j) * tile + column] = sum[j];
    if (line == 0) found[tile * tile + column] = bias;
    if (!is_last_block(layer.tickets + tile_of_all, static_cast<unsigned>(t.ranges), line * tile + column)) return;
    for (int j = 0; j < rows_of_thread; ++j) sum[j] = 0;
    bias = 0;
    for (std::int64_t r = 0; r < t.ranges; ++r, ranges += range_size) {
      for (int j = 0; j < rows_of_thread; ++j) sum[j] += ranges[(first + j) * tile + column];
      bias += ranges[tile * tile + column];
    }
  }
  const std::int64_t input = column_begin + column;
  for (int j = 0; j < rows_of_thread; ++j) {
    const std::int64_t output = output_begin + first + j;
    if (output < t.outputs && input < t.inputs) {
      layer.dw[(replica * t.outputs + output) * t.inputs + input] = sum[j];
    }
  }
  if (layer.dbias != nullptr && column_begin == 0 && line == 0 && output_begin + column < t.outputs) {
    layer.dbias[replica * t.outputs + output_begin + column] = bias;
  }
}

template <typename T>
__device__ inline void make_tile(const Layer<T>& layer, std::int64_t replica, std::int64_t number,
                                 Factor<Arithmetic<T>>& a, Factor<Arithmetic<T>>& b) {
  if (number < layer.tiles.dx_count) {
    make_dx_tile(layer, replica, number, a, b);
  } else {
    make_dw_tile(layer, replica, number - layer.tiles.dx_count, a, b);
  }
}

template <typename T>
__global__ void __launch_bounds__(block_size) linear_backward_tiles(const __grid_constant__ Layer<T> layer) {
  RTL_SHARED(Arithmetic<T>, a, [tile][tile + 1]);
  RTL_SHARED(Arithmetic<T>, b, [tile][tile + 1]);
  make_tile(layer, blockIdx.y, blockIdx.x, a, b);
}

/// The rows of all replicas, a warp each, then the tiles and the means of the losses.
template <typename T>
__global__ void __launch_bounds__(block_size)
    loss_and_linear_backward(std::int64_t replicas, const T* logits, const __grid_constant__ LabelSource labels,
                             T gradient_scale, T* dlogits, double* losses, T* loss,
                             const __grid_constant__ Layer<T> layer) {
  RTL_SHARED(T, a, [tile][tile + 1]);
  RTL_SHARED(T, b, [tile][tile + 1]);
  RTL_SHARED(double, sums, [block_size]);
  const std::int64_t rows = layer.tiles.rows, tiles = layer.tiles.count();
  for (std::int64_t row = std::int64_t{blockIdx.x} * lines + threadIdx.y; row < rows * replicas;
       row += std::int64_t{gridDim.x} * lines) {
    softmax_row<false>(row, layer.tiles.outputs, logits, labels, gradient_scale, dlogits, losses, &a[0][0]);
  }
  synchronize_grid();
  for (std::int64_t i = blockIdx.x; i < tiles * replicas; i += gridDim.x) {
    make_tile(layer, i / tiles, i % tiles, a, b);
  }
  for (std::int64_t replica = blockIdx.x; replica < replicas; replica += gridDim.x) {
    mean_of_losses(rows, losses + replica * rows, loss + replica, &sums[0]);
    __syncthreads();
  }
}

/// The operands of a layer, and memory for the sums of its ranges.
template <typename T>
class Operands {
 public:
  using A = Arithmetic<T>;
  Operands(const Device& device, const ConstView& x, const ConstView& w, const ConstView& dy,
           const LinearGradients& gradients)
      : tiles_(make_tiles({x.extent(1), x.extent(2), dy.extent(2)}, gradients.dw.given(), gradients.dx.given())),
        partials_(device, tiles_.ranges > 1 ? dy.extent(0) * tiles_.dw_count * tiles_.ranges * range_size : 0),
        layer_{tiles_,
               x.data_as<T>(),
               dy.data_as<T>(),
               w.data_as<A>(),
               x.extent(0) > 1 ? x.extent(1) * x.extent(2) : 0,
               w.extent(0) > 1 ? w.extent(1) * w.extent(2) : 0,
               gradients.dx.given() ? gradients.dx.data_as<T>() : nullptr,
               gradients.dw.given() ? gradients.dw.data_as<A>() : nullptr,
               gradients.dbias.given() ? gradients.dbias.data_as<A>() : nullptr,
               partials_.get(),
               detail::tickets(device.context()),
               gradients.relu} {}
  const Layer<T>& layer() const { return layer_; }

 private:
  Tiles tiles_;
  Scratch<A> partials_;
  Layer<T> layer_;
};

/// Replicas that one launch has tickets for. The limit of a small layer leaves it some for each.
std::int64_t at_once(const ConstView& x, const ConstView& dy) {
  const Tiles tiles = make_tiles({x.extent(1), x.extent(2), dy.extent(2)}, true, false);
  return tiles.ranges == 1
             ? 65535
             : std::max<std::int64_t>(1, detail::ticket_count / std::max<std::int64_t>(1, tiles.dw_count));
}

/// Replicas from `begin` to `end` of what has as many, or of what all share.
template <typename V>
V some(const V& view, std::int64_t begin, std::int64_t end) {
  return view.given() && view.extent(0) > 1 ? view.slice(0, begin, end) : view;
}

}  // namespace

void small_linear_backward(const Device& device, ConstView x, ConstView w, ConstView dy,
                           const LinearGradients& gradients) {
  functors::visit_activations(dy.dtype(), [&](auto element) {
    using T = decltype(element);
    const std::int64_t replicas = dy.extent(0), step = at_once(x, dy);
    for (std::int64_t begin = 0; begin < replicas; begin += step) {
      const std::int64_t end = std::min(replicas, begin + step);
      const LinearGradients own{some(gradients.dw, begin, end), some(gradients.dbias, begin, end),
                                some(gradients.dx, begin, end), gradients.relu};
      const Operands<T> operands(device, some(x, begin, end), some(w, begin, end), some(dy, begin, end), own);
      launch(linear_backward_tiles<T>,
             dim3(static_cast<unsigned>(operands.layer().tiles.count()), static_cast<unsigned>(end - begin)),
             dim3(tile, lines), 0, activate(device), operands.layer());
    }
  });
}

void cross_entropy_with_small_linear_gradients(const Device& device, ConstView logits, const Labels& labels,
                                               ConstView x, ConstView w, View dlogits, View loss,
                                               const LinearGradients& gradients) {
  functors::visit_floating(logits.dtype(), [&](auto element) {
    using T = decltype(element);
    const std::int64_t replicas = logits.extent(0), rows = logits.extent(1);
    if (replicas > at_once(x, dlogits)) {
      cuda::cross_entropy_with_gradient(device, logits, labels, dlogits, loss);
      return cuda::small_linear_backward(device, x, w, dlogits, gradients);
    }
    const Operands<T> operands(device, x, w, dlogits, gradients);
    const Scratch<double> losses(device, replicas * rows);
    const std::int64_t work = std::max(operands.layer().tiles.count() * replicas, ceil_divide(replicas * rows, lines));
    launch_cooperative(device, loss_and_linear_backward<T>, work, dim3(tile, lines), replicas, logits.data_as<T>(),
                       LabelSource(labels, rows), T{1} / static_cast<T>(rows), dlogits.data_as<T>(), losses.get(),
                       loss.data_as<T>(), operands.layer());
  });
}

}  // namespace rtl::kernels::cuda
