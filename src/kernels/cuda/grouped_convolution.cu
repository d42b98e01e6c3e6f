#include "kernels/cuda/grouped_convolution.hpp"

#include "kernels/cuda/reduce.cuh"
#include "kernels/functors.hpp"

namespace rtl::kernels::cuda {
namespace {

struct GroupedShape {
  std::int64_t height, width, channels, out_height, out_width, out_channels, kernel_height, kernel_width;
  std::int64_t inputs, outputs;  ///< channels of a group
  int stride, dilation;
  std::int64_t padding_top, padding_left;
};

GroupedShape shape_of(const Shape& x, const Shape& w, const Shape& y, const Conv2dOptions& options) {
  return {.height = x[1],
          .width = x[2],
          .channels = x[3],
          .out_height = y[1],
          .out_width = y[2],
          .out_channels = y[3],
          .kernel_height = w[1],
          .kernel_width = w[2],
          .inputs = w[3],
          .outputs = w[0] / options.groups,
          .stride = options.stride,
          .dilation = options.dilation,
          .padding_top = conv2d_padding(x[1], w[1], options),
          .padding_left = conv2d_padding(x[2], w[2], options)};
}

template <typename T>
__global__ void convolve_groups(std::int64_t count, const __grid_constant__ GroupedShape s, const T* x, const T* w,
                                T* y) {
  using Sum = Arithmetic<T>;
  for (std::int64_t at = grid_thread(); at < count; at += grid_threads()) {
    const std::int64_t pixel = at / s.out_channels, out = at - pixel * s.out_channels;
    const std::int64_t line = pixel / s.out_width, image = line / s.out_height;
    const std::int64_t first_row = (line - image * s.out_height) * s.stride - s.padding_top;
    const std::int64_t first_column = (pixel - line * s.out_width) * s.stride - s.padding_left;
    const T* from = x + image * s.height * s.width * s.channels + out / s.outputs * s.inputs;
    const T* filter = w + out * s.kernel_height * s.kernel_width * s.inputs;
    Sum sum{0};
    for (std::int64_t i = 0; i < s.kernel_height; ++i) {
      const std::int64_t row = first_row + i * s.dilation;
      if (row < 0 || row >= s.height) continue;
      for (std::int64_t j = 0; j < s.kernel_width; ++j) {
        const std::int64_t column = first_column + j * s.dilation;
        if (column < 0 || column >= s.width) continue;
        const T* inputs = from + (row * s.width + column) * s.channels;
        const T* weights = filter + (i * s.kernel_width + j) * s.inputs;
        for (std::int64_t c = 0; c < s.inputs; ++c) {
          sum += functors::convert<Sum>(inputs[c]) * functors::convert<Sum>(weights[c]);
        }
      }
    }
    y[at] = functors::convert<T>(sum);
  }
}

/// Every input gathers what the outputs that see it send back, in a fixed order.
template <typename T>
__global__ void gather_gradients(std::int64_t count, const __grid_constant__ GroupedShape s, const T* dy, const T* w,
                                 T* dx) {
  using Sum = Arithmetic<T>;
  const std::int64_t filter = s.kernel_height * s.kernel_width * s.inputs;
  for (std::int64_t at = grid_thread(); at < count; at += grid_threads()) {
    const std::int64_t pixel = at / s.channels, channel = at - pixel * s.channels;
    const std::int64_t line = pixel / s.width, image = line / s.height;
    const std::int64_t row = line - image * s.height, column = pixel - line * s.width;
    const std::int64_t group = channel / s.inputs, first_out = group * s.outputs;
    const T* weights = w + first_out * filter + (channel - group * s.inputs);
    Sum sum{0};
    for (std::int64_t i = 0; i < s.kernel_height; ++i) {
      const std::int64_t from_row = row + s.padding_top - i * s.dilation, out_row = from_row / s.stride;
      if (from_row < 0 || from_row != out_row * s.stride || out_row >= s.out_height) continue;
      for (std::int64_t j = 0; j < s.kernel_width; ++j) {
        const std::int64_t from_column = column + s.padding_left - j * s.dilation, out_column = from_column / s.stride;
        if (from_column < 0 || from_column != out_column * s.stride || out_column >= s.out_width) continue;
        const T* outputs = dy + ((image * s.out_height + out_row) * s.out_width + out_column) * s.out_channels;
        for (std::int64_t o = 0; o < s.outputs; ++o) {
          sum += functors::convert<Sum>(outputs[first_out + o]) *
                 functors::convert<Sum>(weights[o * filter + (i * s.kernel_width + j) * s.inputs]);
        }
      }
    }
    dx[at] = functors::convert<T>(sum);
  }
}

/// A column is a weight: tap, input of the group and output, of which the last runs fastest, so that neighbouring
/// threads read neighbouring channels. A row is an output pixel.
template <typename T>
struct WeightTerm {
  GroupedShape s;
  const T* x;
  const T* dy;
  __device__ double operator()(std::int64_t pixel, std::int64_t column) const {
    const std::int64_t rest = column / s.out_channels, out = column - rest * s.out_channels;
    const std::int64_t tap = rest / s.inputs, input = rest - tap * s.inputs;
    const std::int64_t line = pixel / s.out_width, image = line / s.out_height;
    const std::int64_t i = tap / s.kernel_width, j = tap - i * s.kernel_width;
    const std::int64_t at_row = (line - image * s.out_height) * s.stride - s.padding_top + i * s.dilation;
    const std::int64_t at_column = (pixel - line * s.out_width) * s.stride - s.padding_left + j * s.dilation;
    if (at_row < 0 || at_row >= s.height || at_column < 0 || at_column >= s.width) return 0;
    const std::int64_t channel = out / s.outputs * s.inputs + input;
    return functors::convert<double>(x[((image * s.height + at_row) * s.width + at_column) * s.channels + channel]) *
           functors::convert<double>(dy[pixel * s.out_channels + out]);
  }
};

template <typename Result>
struct StoreWeight {
  GroupedShape s;
  Result* dw;
  __device__ void operator()(std::int64_t column, std::int64_t /*split*/, double total) const {
    const std::int64_t rest = column / s.out_channels, out = column - rest * s.out_channels;
    dw[out * s.kernel_height * s.kernel_width * s.inputs + rest] = functors::convert<Result>(total);
  }
};

}  // namespace

void grouped_forward(const Device& device, const ConstView& x, const ConstView& w, const Conv2dOptions& options,
                     const View& y) {
  functors::visit_activations(y.dtype(), [&](auto element) {
    using T = decltype(element);
    launch(convolve_groups<T>, blocks_for(y.count()), block_size, 0, activate(device), y.count(),
           shape_of(x.shape(), w.shape(), y.shape(), options), x.data_as<T>(), w.data_as<T>(), y.data_as<T>());
  });
}

void grouped_backward_data(const Device& device, const ConstView& dy, const ConstView& w, const Conv2dOptions& options,
                           const View& dx) {
  functors::visit_activations(dx.dtype(), [&](auto element) {
    using T = decltype(element);
    launch(gather_gradients<T>, blocks_for(dx.count()), block_size, 0, activate(device), dx.count(),
           shape_of(dx.shape(), w.shape(), dy.shape(), options), dy.data_as<T>(), w.data_as<T>(), dx.data_as<T>());
  });
}

void grouped_backward_weights(const Device& device, const ConstView& x, const ConstView& dy,
                              const Conv2dOptions& options, const View& dw) {
  functors::visit_activations(x.dtype(), [&](auto element) {
    using T = decltype(element);
    using Result = Arithmetic<T>;
    const GroupedShape shape = shape_of(x.shape(), dw.shape(), dy.shape(), options);
    reduce_columns(device, dy.count() / dy.extent(3), dw.count(), Neighbours::columns, 0.0,
                   WeightTerm<T>{shape, x.data_as<T>(), dy.data_as<T>()}, functors::Add(),
                   StoreWeight<Result>{shape, dw.data_as<Result>()});
  });
}

}  // namespace rtl::kernels::cuda
