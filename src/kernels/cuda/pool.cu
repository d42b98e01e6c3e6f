#include "kernels/backend/pool.hpp"

#include "kernels/cuda/reduce.cuh"
#include "kernels/functors.hpp"

namespace rtl::kernels::cuda {
namespace {

/// Extents of a pooling, and where element i of an [N, H, W, C] tensor lies in it.
struct PoolShape {
  std::int64_t height, width, channels, out_height, out_width;
  int window, stride, padding;
};

struct Position {
  std::int64_t image, row, column, channel;
};

__device__ Position position_of(std::int64_t i, std::int64_t height, std::int64_t width, std::int64_t channels) {
  const std::int64_t pixel = i / channels, line = pixel / width, image = line / height;
  return {image, line - image * height, pixel - line * width, i - pixel * channels};
}

PoolShape make_shape(const Shape& in, const Shape& out, const PoolOptions& options) {
  return {in[1], in[2], in[3], out[1], out[2], options.window, options.stride, options.padding};
}

/// The windows [begin, end) along one axis that cover coordinate `at`.
struct Windows {
  std::int64_t begin, end;
  __device__ Windows(std::int64_t at, std::int64_t out, int window, int stride)
      : begin(at < window ? 0 : (at - window) / stride + 1), end(at / stride + 1 < out ? at / stride + 1 : out) {}
};

template <typename T>
__global__ void max_pool(std::int64_t count, const PoolShape shape, const T* x, T* y, std::int32_t* winners) {
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const Position at = position_of(i, shape.out_height, shape.out_width, shape.channels);
    const T* image = x + at.image * shape.height * shape.width * shape.channels + at.channel;
    const std::int64_t top = at.row * shape.stride - shape.padding, left = at.column * shape.stride - shape.padding;
    const std::int64_t first_row = top < 0 ? 0 : top, first_column = left < 0 ? 0 : left;
    const std::int64_t last_row = top + shape.window < shape.height ? top + shape.window : shape.height;
    const std::int64_t last_column = left + shape.window < shape.width ? left + shape.window : shape.width;
    const std::int64_t first = first_row * shape.width + first_column;
    std::int64_t winner = first;
    auto best = functors::convert<Arithmetic<T>>(image[first * shape.channels]);
    for (std::int64_t row = first_row; row < last_row; ++row) {
      for (std::int64_t column = first_column; column < last_column; ++column) {
        const std::int64_t pixel = row * shape.width + column;
        const auto value = functors::convert<Arithmetic<T>>(image[pixel * shape.channels]);
        if (value > best || (value != value && best == best)) {
          best = value;
          winner = pixel;
        }
      }
    }
    y[i] = functors::convert<T>(best);
    winners[i] = static_cast<std::int32_t>(winner);
  }
}

/// Every input gathers what the windows over it send back: no two threads write one element, the order is fixed.
template <bool largest_only, typename T>
__global__ void pool_gradient(std::int64_t count, const PoolShape shape, const T* dy, const std::int32_t* winners,
                              T* dx) {
  using A = Arithmetic<T>;
  const A share = largest_only ? A{1} : A{1} / static_cast<A>(shape.window * shape.window);
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const Position at = position_of(i, shape.height, shape.width, shape.channels);
    const Windows rows(at.row + shape.padding, shape.out_height, shape.window, shape.stride);
    const Windows columns(at.column + shape.padding, shape.out_width, shape.window, shape.stride);
    A sum = 0;
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      for (std::int64_t column = columns.begin; column < columns.end; ++column) {
        const std::int64_t from =
            ((at.image * shape.out_height + row) * shape.out_width + column) * shape.channels + at.channel;
        if (!largest_only || winners[from] == at.row * shape.width + at.column) {
          sum += functors::convert<A>(dy[from]);
        }
      }
    }
    dx[i] = functors::convert<T>(sum * share);
  }
}

template <typename T>
__global__ void gather_winners(std::int64_t count, const PoolShape shape, const T* x, const std::int32_t* winners,
                               T* y) {
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const Position at = position_of(i, shape.out_height, shape.out_width, shape.channels);
    const std::int64_t pixel = at.image * shape.height * shape.width + winners[i];
    y[i] = x[pixel * shape.channels + at.channel];
  }
}

template <typename T>
__global__ void average_pool(std::int64_t count, const PoolShape shape, const T* x, T* y) {
  using A = Arithmetic<T>;
  const A share = A{1} / static_cast<A>(shape.window * shape.window);
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const Position at = position_of(i, shape.out_height, shape.out_width, shape.channels);
    A sum = 0;
    for (int row = 0; row < shape.window; ++row) {
      const std::int64_t line = (at.image * shape.height + at.row * shape.stride + row) * shape.width;
      for (int column = 0; column < shape.window; ++column) {
        sum += functors::convert<A>(x[(line + at.column * shape.stride + column) * shape.channels + at.channel]);
      }
    }
    y[i] = functors::convert<T>(sum * share);
  }
}

/// Pixel `row` of channel (image, channel) `column`.
template <typename T>
struct PixelTerm {
  const T* x;
  std::int64_t pixels, channels;
  __device__ double operator()(std::int64_t row, std::int64_t column) const {
    const std::int64_t image = column / channels;
    return functors::convert<double>(x[(image * pixels + row) * channels + column - image * channels]);
  }
};

template <typename T>
struct StoreShare {
  T* y;
  double share;
  __device__ void operator()(std::int64_t column, std::int64_t, double total) const {
    y[column] = functors::convert<T>(total * share);
  }
};

template <typename Mean, typename T>
__global__ void spread_average(std::int64_t count, std::int64_t pixels, std::int64_t channels, const Mean* dy, T* dx) {
  using A = Arithmetic<T>;
  const A share = A{1} / static_cast<A>(pixels);
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const std::int64_t pixel = i / channels, image = pixel / pixels;
    dx[i] = functors::convert<T>(functors::convert<A>(dy[image * channels + i - pixel * channels]) * share);
  }
}

/// Calls f(T()) with an integer of the dtype's size, for kernels that only move elements.
template <typename F>
void visit_words(DType dtype, const F& f) {
  switch (size_of(dtype)) {
    case 2:
      return f(std::uint16_t());
    case 4:
      return f(std::uint32_t());
    default:
      return f(std::uint64_t());
  }
}

constexpr int tile = 32;
constexpr int tile_lines = 8;

/// out[batch, column, row] = in[batch, row, column], by tiles, so that both sides run along memory.
template <typename T>
__global__ void transpose(std::int64_t rows, std::int64_t columns, const T* in, T* out) {
  RTL_SHARED(T, staged, [tile][tile + 1]);
  const std::int64_t row_tiles = ceil_divide(rows, tile), column_tiles = ceil_divide(columns, tile);
  const std::int64_t line_of_tiles = blockIdx.x / column_tiles, batch = line_of_tiles / row_tiles;
  const std::int64_t row = (line_of_tiles - batch * row_tiles) * tile;
  const std::int64_t column = (blockIdx.x - line_of_tiles * column_tiles) * tile;
  in += batch * rows * columns;
  out += batch * rows * columns;
  for (unsigned line = threadIdx.y; line < tile; line += tile_lines) {
    if (row + line < rows && column + threadIdx.x < columns) {
      staged[line][threadIdx.x] = in[(row + line) * columns + column + threadIdx.x];
    }
  }
  __syncthreads();
  for (unsigned line = threadIdx.y; line < tile; line += tile_lines) {
    if (column + line < columns && row + threadIdx.x < rows) {
      out[(column + line) * rows + row + threadIdx.x] = staged[threadIdx.x][line];
    }
  }
}

void transpose_batch(const Device& device, std::int64_t batch, std::int64_t rows, std::int64_t columns,
                     const ConstView& in, const View& out) {
  const std::int64_t tiles = batch * ceil_divide(rows, tile) * ceil_divide(columns, tile);
  visit_words(in.dtype(), [&](auto word) {
    using T = decltype(word);
    launch(transpose<T>, static_cast<unsigned>(tiles), dim3(tile, tile_lines), 0, activate(device), rows, columns,
           static_cast<const T*>(in.data()), static_cast<T*>(out.data()));
  });
}

struct ShortcutShape {
  std::int64_t height, width, channels, out_height, out_width, out_channels;
};

ShortcutShape make_shortcut(const Shape& in, const Shape& out) { return {in[1], in[2], in[3], out[1], out[2], out[3]}; }

template <typename T>
__global__ void shortcut_a(std::int64_t count, const ShortcutShape shape, const T* x, T* y) {
  const std::int64_t pad = (shape.out_channels - shape.channels) / 2;
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const Position at = position_of(i, shape.out_height, shape.out_width, shape.out_channels);
    const std::int64_t channel = at.channel - pad;
    const std::int64_t pixel = (at.image * shape.height + 2 * at.row) * shape.width + 2 * at.column;
    y[i] = channel >= 0 && channel < shape.channels ? x[pixel * shape.channels + channel] : T{0};
  }
}

template <typename T>
__global__ void shortcut_a_gradient(std::int64_t count, const ShortcutShape shape, const T* dy, T* dx) {
  const std::int64_t pad = (shape.out_channels - shape.channels) / 2;
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const Position at = position_of(i, shape.height, shape.width, shape.channels);
    const bool taken = at.row % 2 == 0 && at.column % 2 == 0;
    const std::int64_t pixel = (at.image * shape.out_height + at.row / 2) * shape.out_width + at.column / 2;
    dx[i] = taken ? dy[pixel * shape.out_channels + at.channel + pad] : T{0};
  }
}

}  // namespace

void max_pool_forward(const Device& device, ConstView x, const PoolOptions& options, View y, View winners) {
  functors::visit_activations(y.dtype(), [&](auto element) {
    using T = decltype(element);
    launch(max_pool<T>, blocks_for(y.count()), block_size, 0, activate(device), y.count(),
           make_shape(x.shape(), y.shape(), options), x.data_as<T>(), y.data_as<T>(), winners.data_as<std::int32_t>());
  });
}

void max_pool_backward(const Device& device, ConstView dy, ConstView winners, const PoolOptions& options, View dx) {
  functors::visit_activations(dx.dtype(), [&](auto element) {
    using T = decltype(element);
    launch(pool_gradient<true, T>, blocks_for(dx.count()), block_size, 0, activate(device), dx.count(),
           make_shape(dx.shape(), dy.shape(), options), dy.data_as<T>(), winners.data_as<std::int32_t>(),
           dx.data_as<T>());
  });
}

void max_pool_gather(const Device& device, ConstView x, ConstView winners, const PoolOptions& options, View y) {
  visit_words(y.dtype(), [&](auto word) {
    using T = decltype(word);
    launch(gather_winners<T>, blocks_for(y.count()), block_size, 0, activate(device), y.count(),
           make_shape(x.shape(), y.shape(), options), static_cast<const T*>(x.data()), winners.data_as<std::int32_t>(),
           static_cast<T*>(y.data()));
  });
}

void average_pool_forward(const Device& device, ConstView x, const PoolOptions& options, View y) {
  functors::visit_activations(y.dtype(), [&](auto element) {
    using T = decltype(element);
    launch(average_pool<T>, blocks_for(y.count()), block_size, 0, activate(device), y.count(),
           make_shape(x.shape(), y.shape(), options), x.data_as<T>(), y.data_as<T>());
  });
}

void average_pool_backward(const Device& device, ConstView dy, const PoolOptions& options, View dx) {
  functors::visit_activations(dx.dtype(), [&](auto element) {
    using T = decltype(element);
    const std::int32_t* none = nullptr;
    launch(pool_gradient<false, T>, blocks_for(dx.count()), block_size, 0, activate(device), dx.count(),
           make_shape(dx.shape(), dy.shape(), options), dy.data_as<T>(), none, dx.data_as<T>());
  });
}

void global_average_pool_forward(const Device& device, ConstView x, View y) {
  functors::visit_sums(x.dtype(), y.dtype(), [&](auto element, auto mean) {
    using T = decltype(element);
    using Mean = decltype(mean);
    const std::int64_t pixels = x.extent(1) * x.extent(2);
    reduce_columns(device, pixels, y.count(), Neighbours::columns, 0.0,
                   PixelTerm<T>{x.data_as<T>(), pixels, x.extent(3)}, functors::Add(),
                   StoreShare<Mean>{y.data_as<Mean>(), 1.0 / static_cast<double>(pixels)});
  });
}

void global_average_pool_backward(const Device& device, ConstView dy, View dx) {
  functors::visit_sums(dx.dtype(), dy.dtype(), [&](auto element, auto mean) {
    using T = decltype(element);
    using Mean = decltype(mean);
    launch(spread_average<Mean, T>, blocks_for(dx.count()), block_size, 0, activate(device), dx.count(),
           dx.extent(1) * dx.extent(2), dx.extent(3), dy.data_as<Mean>(), dx.data_as<T>());
  });
}

void flatten_forward(const Device& device, ConstView x, View y) {
  transpose_batch(device, x.extent(0), x.extent(1) * x.extent(2), x.extent(3), x, y);
}

void flatten_backward(const Device& device, ConstView dy, View dx) {
  transpose_batch(device, dx.extent(0), dx.extent(3), dx.extent(1) * dx.extent(2), dy, dx);
}

void shortcut_a_forward(const Device& device, ConstView x, View y) {
  visit_words(y.dtype(), [&](auto word) {
    using T = decltype(word);
    launch(shortcut_a<T>, blocks_for(y.count()), block_size, 0, activate(device), y.count(),
           make_shortcut(x.shape(), y.shape()), static_cast<const T*>(x.data()), static_cast<T*>(y.data()));
  });
}

void shortcut_a_backward(const Device& device, ConstView dy, View dx) {
  visit_words(dx.dtype(), [&](auto word) {
    using T = decltype(word);
    launch(shortcut_a_gradient<T>, blocks_for(dx.count()), block_size, 0, activate(device), dx.count(),
           make_shortcut(dx.shape(), dy.shape()), static_cast<const T*>(dy.data()), static_cast<T*>(dx.data()));
  });
}

}  // namespace rtl::kernels::cuda
