#include "kernels/cuda/patch_convolution.hpp"

#include "kernels/backend/gemm.hpp"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/functors.hpp"

namespace rtl::kernels::cuda {
namespace {

/// Extents of a convolution; `channels` counts packs of channels where a kernel moves packs.
struct PatchShape {
  std::int64_t height, width, channels, out_height, out_width, kernel_height, kernel_width;
  int stride, dilation;
  std::int64_t padding_top, padding_left;
};

/// patches[image, row, column, i, j, channel] = x[image, row * stride + i * dilation - padding, ..., channel], 0
/// outside.
template <int width, typename T>
__global__ void gather_patches(std::int64_t count, const PatchShape shape, const T* x, T* patches) {
  for (std::int64_t at = grid_thread(); at < count; at += grid_threads()) {
    std::int64_t rest = at / shape.channels;
    const std::int64_t channel = at - rest * shape.channels;
    const std::int64_t tap = rest % (shape.kernel_height * shape.kernel_width);
    rest /= shape.kernel_height * shape.kernel_width;
    const std::int64_t out_column = rest % shape.out_width;
    rest /= shape.out_width;
    const std::int64_t image = rest / shape.out_height, out_row = rest - image * shape.out_height;
    const std::int64_t row = out_row * shape.stride + tap / shape.kernel_width * shape.dilation - shape.padding_top;
    const std::int64_t column =
        out_column * shape.stride + tap % shape.kernel_width * shape.dilation - shape.padding_left;
    Pack<T, width> value{};
    if (row >= 0 && row < shape.height && column >= 0 && column < shape.width) {
      value = load_pack<width>(x, ((image * shape.height + row) * shape.width + column) * shape.channels + channel);
    }
    store_pack<width>(patches, at, value);
  }
}

/// Every input gathers the patch elements that were copied from it, in a fixed order.
template <int width, typename Sum, typename T>
__global__ void sum_patches(std::int64_t count, const PatchShape shape, const Sum* patches, T* dx) {
  for (std::int64_t at = grid_thread(); at < count; at += grid_threads()) {
    std::int64_t rest = at / shape.channels;
    const std::int64_t channel = at - rest * shape.channels;
    const std::int64_t column = rest % shape.width;
    rest /= shape.width;
    const std::int64_t image = rest / shape.height, row = rest - image * shape.height;
    Pack<Sum, width> sum{};
    for (std::int64_t i = 0; i < shape.kernel_height; ++i) {
      const std::int64_t from_row = row + shape.padding_top - i * shape.dilation, out_row = from_row / shape.stride;
      if (from_row < 0 || from_row != out_row * shape.stride || out_row >= shape.out_height) continue;
      for (std::int64_t j = 0; j < shape.kernel_width; ++j) {
        const std::int64_t from_column = column + shape.padding_left - j * shape.dilation,
                           out_column = from_column / shape.stride;
        if (from_column < 0 || from_column != out_column * shape.stride || out_column >= shape.out_width) continue;
        const std::int64_t pixel = (image * shape.out_height + out_row) * shape.out_width + out_column;
        const std::int64_t tap = (pixel * shape.kernel_height + i) * shape.kernel_width + j;
        const auto part = load_pack<width>(patches, tap * shape.channels + channel);
        for (int k = 0; k < width; ++k) sum.value[k] += part.value[k];
      }
    }
    Pack<T, width> rounded;
    for (int k = 0; k < width; ++k) rounded.value[k] = functors::convert<T>(sum.value[k]);
    store_pack<width>(dx, at, rounded);
  }
}

/// The pieces of one convolution of images of element type T. Patches of images are T, those that are to be added up
/// Patch, in which T is calculated with.
template <typename T, typename Patch>
class PatchConvolution {
 public:
  PatchConvolution(const Device& device, const Shape& x, const Shape& w, const Shape& y, const Conv2dOptions& options)
      : device_(device),
        shape_{x[1],
               x[2],
               x[3],
               y[1],
               y[2],
               w[1],
               w[2],
               options.stride,
               options.dilation,
               conv2d_padding(x[1], w[1], options),
               conv2d_padding(x[2], w[2], options)},
        images_(x[0]),
        pixels_(y[1] * y[2]),
        length_(w[1] * w[2] * w[3]),
        outputs_(w[0]),
        images_a_piece_(std::clamp<std::int64_t>(budget / std::max<std::int64_t>(pixels_ * length_, 1), 1, images_)),
        patches_(device, images_a_piece_ * pixels_ * length_) {}

  void forward(const T* x, const ConstView& w, const View& y) {
    for_each_piece([&](std::int64_t first, std::int64_t count) {
      gather(x, first, count);
      cuda::gemm(device_, Transpose::no, Transpose::yes, 1.0, patches(count), matrix_of(w), 0.0,
                 rows_of(y, first, count), Epilogue::none, {});
    });
  }

  void backward_data(const ConstView& dy, const ConstView& w, T* dx) {
    for_each_piece([&](std::int64_t first, std::int64_t count) {
      cuda::gemm(device_, Transpose::no, Transpose::no, 1.0, rows_of(dy, first, count), matrix_of(w), 0.0,
                 patches(count), Epilogue::none, {});
      sum(dx, first, count);
    });
  }

  void backward_weights(const T* x, const ConstView& dy, const View& dw) {
    for_each_piece([&](std::int64_t first, std::int64_t count) {
      gather(x, first, count);
      cuda::gemm(device_, Transpose::yes, Transpose::no, 1.0, rows_of(dy, first, count), patches(count),
                 first == 0 ? 0.0 : 1.0, matrix_of(dw), Epilogue::none, {});
    });
  }

 private:
  static constexpr std::int64_t budget = (64 << 20) / static_cast<std::int64_t>(sizeof(Patch));

  template <typename F>
  void for_each_piece(const F& f) {
    for (std::int64_t first = 0; first < images_; first += images_a_piece_) {
      f(first, std::min(images_a_piece_, images_ - first));
    }
  }

  View patches(std::int64_t count) {
    return {patches_.get(), dtype_of<Patch>(), Shape{count * pixels_, length_}, device_};
  }
  template <typename V>
  V matrix_of(const V& weights) const {
    return weights.reshaped({outputs_, length_});
  }
  /// The output pixels of some images.
  template <typename V>
  V rows_of(const V& output, std::int64_t first, std::int64_t count) const {
    return output.slice(0, first, first + count).reshaped({count * pixels_, outputs_});
  }

  void gather(const T* x, std::int64_t first, std::int64_t count) {
    const T* images = x + first * shape_.height * shape_.width * shape_.channels;
    const auto start = [&](auto width) {
      const std::int64_t packs = count * pixels_ * length_ / width;
      launch(gather_patches<width(), T>, blocks_for(packs), block_size, 0, activate(device_), packs, packed(width),
             images, patches_.get());
    };
    with_pack_width<T>(shape_.channels, start, images, patches_.get());
  }

  void sum(T* dx, std::int64_t first, std::int64_t count) {
    const std::int64_t image = shape_.height * shape_.width * shape_.channels;
    T* images = dx + first * image;
    const auto start = [&](auto width) {
      const std::int64_t packs = count * image / width;
      launch(sum_patches<width(), Patch, T>, blocks_for(packs), block_size, 0, activate(device_), packs, packed(width),
             patches_.get(), images);
    };
    with_pack_width<Patch>(shape_.channels, start, images, patches_.get());
  }

  PatchShape packed(int width) const {
    PatchShape shape = shape_;
    shape.channels /= width;
    return shape;
  }

  Device device_;
  PatchShape shape_;
  std::int64_t images_, pixels_, length_, outputs_, images_a_piece_;
  Scratch<Patch> patches_;
};

}  // namespace

void patch_forward(const Device& device, const ConstView& x, const ConstView& w, const Conv2dOptions& options,
                   const View& y) {
  functors::visit_activations(y.dtype(), [&](auto element) {
    using T = decltype(element);
    PatchConvolution<T, T>(device, x.shape(), w.shape(), y.shape(), options).forward(x.data_as<T>(), w, y);
  });
}

void patch_backward_data(const Device& device, const ConstView& dy, const ConstView& w, const Conv2dOptions& options,
                         const View& dx) {
  functors::visit_activations(dx.dtype(), [&](auto element) {
    using T = decltype(element);
    PatchConvolution<T, Arithmetic<T>>(device, dx.shape(), w.shape(), dy.shape(), options)
        .backward_data(dy, w, dx.data_as<T>());
  });
}

void patch_backward_weights(const Device& device, const ConstView& x, const ConstView& dy, const Conv2dOptions& options,
                            const View& dw) {
  functors::visit_activations(x.dtype(), [&](auto element) {
    using T = decltype(element);
    PatchConvolution<T, T>(device, x.shape(), dw.shape(), dy.shape(), options).backward_weights(x.data_as<T>(), dy, dw);
  });
}

}  // namespace rtl::kernels::cuda
