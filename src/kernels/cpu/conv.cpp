// Two-dimensional convolution on the host: f32 and bf16 by Winograd where that applies and by oneDNN elsewhere, f64 by
// patches and OpenBLAS's dgemm.
#include <cblas.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "kernels/backend/conv.hpp"
#include "kernels/backend/gemm.hpp"
#include "kernels/cpu/blas_turn.hpp"
#include "kernels/cpu/conv_onednn.hpp"
#include "kernels/cpu/depthwise.hpp"
#include "kernels/cpu/few_channels.hpp"
#include "kernels/cpu/onednn.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/pointwise_conv.hpp"
#include "kernels/cpu/prepared_conv.hpp"
#include "kernels/cpu/threads.hpp"
#include "kernels/cpu/widened.hpp"
#include "kernels/cpu/winograd.hpp"
#include "kernels/cpu/workspace.hpp"
#include "kernels/functors.hpp"

namespace rtl::kernels::cpu {
namespace {

ConvShape shape_of(const Shape& x, const Shape& w, const Shape& y, const Conv2dOptions& options) {
  return {x[0],
          x[1],
          x[2],
          x[3],
          y[1],
          y[2],
          y[3],
          w[2],
          w[3],
          options.stride,
          options.dilation,
          options.groups,
          conv2d_padding(x[1], w[2], options),
          conv2d_padding(x[2], w[3], options)};
}

/// The f64 convolutions, as matrix products with patches: row i of `patches` holds what output pixel i looks at, in the
/// order kernel row, kernel column, channel, so that each piece of a row is contiguous in x. A group of channels is a
/// convolution of its own.
class PatchConvolution {
 public:
  PatchConvolution(const Device& device, const ConvShape& shape)
      : shape_(shape),
        pixels_(shape.out_height * shape.out_width),
        channels_(shape.channels / shape.groups),
        outputs_(shape.out_channels / shape.groups),
        width_(shape.kernel_height * shape.kernel_width * channels_),
        images_a_chunk_(std::clamp<std::int64_t>(patch_budget / std::max<std::int64_t>(1, pixels_ * width_), 1,
                                                 std::max<std::int64_t>(1, shape.images))),
        patches_(device, images_a_chunk_ * pixels_ * width_),
        weights_(device, shape.out_channels * width_) {}

  void pack_weights(const double* w) {
    for_each_weight([&](std::int64_t plain, std::int64_t packed) { weights_[packed] = w[plain]; });
  }
  void unpack_weights(double* w) {
    for_each_weight([&](std::int64_t plain, std::int64_t packed) { w[plain] = weights_[packed]; });
  }

  void forward(const double* x, double beta, double* y) {
    for_each_chunk([&](std::int64_t first, std::int64_t count, std::int64_t group) {
      gather(x, first, count, group);
      product(CblasNoTrans, CblasTrans, count * pixels_, outputs_, width_, patches(), width_, weights(group), width_,
              beta, y + output_at(first, group), shape_.out_channels);
    });
  }

  void backward_data(const double* dy, double* dx) {
    std::fill(dx, dx + shape_.images * shape_.height * shape_.width * shape_.channels, 0.0);
    for_each_chunk([&](std::int64_t first, std::int64_t count, std::int64_t group) {
      product(CblasNoTrans, CblasNoTrans, count * pixels_, width_, outputs_, dy + output_at(first, group),
              shape_.out_channels, weights(group), width_, 0.0, patches(), width_);
      scatter(dx, first, count, group);
    });
  }

  void backward_weights(const double* x, const double* dy) {
    std::fill(weights_.begin(), weights_.end(), 0.0);
    for_each_chunk([&](std::int64_t first, std::int64_t count, std::int64_t group) {
      gather(x, first, count, group);
      product(CblasTrans, CblasNoTrans, outputs_, width_, count * pixels_, dy + output_at(first, group),
              shape_.out_channels, patches(), width_, 1.0, weights(group), width_);
    });
  }

 private:
  static constexpr std::int64_t patch_budget = 1 << 20;  ///< elements of `patches_`: 8 MiB

  double* patches() { return patches_.data(); }
  double* weights(std::int64_t group) { return weights_.data() + group * outputs_ * width_; }
  std::int64_t output_at(std::int64_t image, std::int64_t group) const {
    return image * pixels_ * shape_.out_channels + group * outputs_;
  }

  static void product(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, std::int64_t m, std::int64_t n, std::int64_t k,
                      const double* a, std::int64_t lda, const double* b, std::int64_t ldb, double beta, double* c,
                      std::int64_t ldc) {
    const BlasTurn turn;
    cblas_dgemm(CblasRowMajor, ta, tb, static_cast<int>(m), static_cast<int>(n), static_cast<int>(k), 1.0, a,
                static_cast<int>(lda), b, static_cast<int>(ldb), beta, c, static_cast<int>(ldc));
  }

  template <typename Body>
  void for_each_chunk(Body&& body) {
    for (std::int64_t first = 0; first < shape_.images; first += images_a_chunk_) {
      for (std::int64_t group = 0; group < shape_.groups; ++group) {
        body(first, std::min(images_a_chunk_, shape_.images - first), group);
      }
    }
  }

  template <typename Body>
  void for_each_weight(Body&& body) {
    const std::int64_t area = shape_.kernel_height * shape_.kernel_width;
    for (std::int64_t o = 0; o < shape_.out_channels; ++o) {
      for (std::int64_t c = 0; c < channels_; ++c) {
        for (std::int64_t p = 0; p < area; ++p) {
          body((o * channels_ + c) * area + p, o * width_ + p * channels_ + c);
        }
      }
    }
  }

  /// Calls body(patch piece, offset of the pixel in the image or -1 outside) for all pieces of one image's patches.
  template <typename Body>
  void for_each_piece(double* patch, Body&& body) const {
    for (std::int64_t row = 0; row < shape_.out_height; ++row) {
      for (std::int64_t column = 0; column < shape_.out_width; ++column) {
        for (std::int64_t i = 0; i < shape_.kernel_height; ++i) {
          for (std::int64_t j = 0; j < shape_.kernel_width; ++j, patch += channels_) {
            const std::int64_t r = row * shape_.stride + i * shape_.dilation - shape_.padding_top;
            const std::int64_t c = column * shape_.stride + j * shape_.dilation - shape_.padding_left;
            const bool inside = r >= 0 && r < shape_.height && c >= 0 && c < shape_.width;
            body(patch, inside ? (r * shape_.width + c) * shape_.channels : -1);
          }
        }
      }
    }
  }

  void gather(const double* x, std::int64_t first, std::int64_t count, std::int64_t group) {
    const std::int64_t image = shape_.height * shape_.width * shape_.channels;
    const auto bytes = static_cast<std::size_t>(channels_) * sizeof(double);
    double* rows = patches();
#pragma omp parallel for schedule(static)
    for (std::int64_t n = 0; n < count; ++n) {
      const double* from = x + (first + n) * image + group * channels_;
      for_each_piece(rows + n * pixels_ * width_, [&](double* piece, std::int64_t offset) {
        if (offset < 0) {
          std::memset(piece, 0, bytes);
        } else {
          std::memcpy(piece, from + offset, bytes);
        }
      });
    }
  }

  /// Adds.
  void scatter(double* dx, std::int64_t first, std::int64_t count, std::int64_t group) {
    const std::int64_t image = shape_.height * shape_.width * shape_.channels;
    double* rows = patches();
#pragma omp parallel for schedule(static)
    for (std::int64_t n = 0; n < count; ++n) {
      double* to = dx + (first + n) * image + group * channels_;
      for_each_piece(rows + n * pixels_ * width_, [&](const double* piece, std::int64_t offset) {
        if (offset < 0) return;
        for (std::int64_t c = 0; c < channels_; ++c) to[offset + c] += piece[c];
      });
    }
  }

  ConvShape shape_;
  std::int64_t pixels_, channels_, outputs_;  ///< channels and outputs of a group
  std::int64_t width_, images_a_chunk_;
  Scratch<double> patches_, weights_;
};

void forward_f64(const Device& device, const ConvShape& shape, const double* x, const double* w, const double* bias,
                 Activation activation, const double* residual, double* y) {
  const std::int64_t rows = shape.images * shape.out_height * shape.out_width;
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t o = 0; o < shape.out_channels; ++o) {
      const std::int64_t at = i * shape.out_channels + o;
      y[at] = (bias != nullptr ? bias[o] : 0.0) + (residual != nullptr ? residual[at] : 0.0);
    }
  }
  PatchConvolution convolution(device, shape);
  convolution.pack_weights(w);
  convolution.forward(x, 1.0, y);
  if (activation == Activation::none) return;
  const bool capped = activation == Activation::relu6;
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < rows * shape.out_channels; ++i) {
    y[i] = capped ? functors::Relu6()(y[i]) : functors::Relu()(y[i]);
  }
}

/// With images of bf16, Winograd's f32 arithmetic competes with the direct form in bf16, where the processor has that.
/// GFLOP/s of the direct form and of Winograd's, counted alike, with one thread of a Zen 5 and 256 images, forward: 375
/// and 341 with 16 channels, 497 and 646 with 32, 559 and 818 with 64; the other way 407 and 362, 543 and 659, 520 and
/// 795. With tiles of bf16 (AMX) the direct form is far ahead.
bool winograd_serves(DType images, std::int64_t channels, std::int64_t out_channels) {
  if (!winograd_fits(channels, out_channels)) return false;
  if (images != DType::bf16 || !multiplies_bf16()) return true;
  return !multiplies_tiles() && std::min(channels, out_channels) >= 32;
}

bool by_winograd(const ConvShape& s, DType images) {
  return s.kernel_height == 3 && s.kernel_width == 3 && s.stride == 1 && s.dilation == 1 && s.groups == 1 &&
         s.padding_top == 1 && s.padding_left == 1 && s.out_height == s.height && s.out_width == s.width &&
         winograd_serves(images, s.channels, s.out_channels) && winograd_pays(s.height, s.width);
}

void fill_zero(View view) { std::memset(view.data(), 0, view.bytes()); }

template <typename T>
const T* given_or_null(const ConstView& view) {
  return view.given() ? view.data_as<T>() : nullptr;
}

/// A forward convolution. bias, residual and kept may be absent.
struct Forward {
  ConstView x, w, bias;
  View y;
  Activation activation;
  ConstView residual;
  KeptWeights* kept;
};

/// The weights' transform: what is kept, or else computed for this call.
template <typename T, typename Run>
void with_transformed(const Device& device, const ConvShape& shape, const float* w, bool backward_data,
                      const KeptWeights* kept, Run&& run) {
  if (kept != nullptr && kept->transformed.defined()) return run(kept->transformed.data_as<float>());
  const Scratch<float> transformed(device, winograd_weight_count(shape.channels, shape.out_channels));
  winograd_transform_weights(shape.channels, shape.out_channels, w,
                             {.backward_data = backward_data, .bf16 = dtype_of<T>() == DType::bf16},
                             transformed.data());
  run(transformed.data());
}

bool is_direct(const ConvShape& shape) { return depthwise_fits(shape) || few_channels_fit(shape); }

void pack_by_taps(const ConvShape& shape, const float* w, DType images, float* packed) {
  const bool bf16 = images == DType::bf16;
  if (!depthwise_fits(shape)) return few_channels_pack_weights(shape, w, bf16, packed);
  depthwise_pack_weights(shape.channels, shape.kernel_height * shape.kernel_width, w, bf16, packed);
}

/// Convolutions with kernels of their own, whose weights are packed by taps: kept so, or packed for this call.
template <typename T>
void forward_direct(const Device& device, const ConvShape& shape, const Forward& f) {
  const auto run = depthwise_fits(shape) ? depthwise_forward<T> : few_channels_forward<T>;
  const DepthwiseEpilogue<T> epilogue{given_or_null<float>(f.bias), given_or_null<T>(f.residual), f.activation,
                                      multiplies_bf16()};
  if (f.kept != nullptr && f.kept->transformed.defined()) {
    return run(shape, f.x.data_as<T>(), f.kept->transformed.data_as<float>(), epilogue, f.y.data_as<T>());
  }
  const Scratch<float> packed(device, f.w.count());
  pack_by_taps(shape, f.w.data_as<float>(), dtype_of<T>(), packed.data());
  run(shape, f.x.data_as<T>(), packed.data(), epilogue, f.y.data_as<T>());
}

/// In f32, for what oneDNN does not compute in bf16.
void forward_widened(const Device& device, const ConvShape& shape, const Forward& f) {
  const Widened x(device, f.x), w(device, f.w), y(device, f.y.shape());
  if (f.residual.given()) cpu::cast(device, f.residual, y.view());
  onednn_forward<float>(device, shape, x.data(), w.data(), given_or_null<float>(f.bias), f.activation,
                        f.residual.given(), y.data(), nullptr);
  y.round_to(f.y);
}

/// A convolution, then its residual and activation: the bits of the three operations one after the other.
void forward_then_add(const Device& device, const ConvShape& shape, const Forward& f) {
  const std::int64_t count = f.y.count();
  const Scratch<float> sums(device, count);
  onednn_forward<float>(device, shape, f.x.data_as<float>(), f.w.data_as<float>(), given_or_null<float>(f.bias),
                        Activation::none, false, sums.data(), f.kept);
  const float* residual = f.residual.data_as<float>();
  float* y = f.y.data_as<float>();
  const auto add = [&](const auto& activation) {
    parallel_ranges(count, elements_per_thread, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) y[i] = activation(sums[i] + residual[i]);
    });
  };
  if (f.activation == Activation::relu) return add(functors::Relu());
  if (f.activation == Activation::relu6) return add(functors::Relu6());
  add([](float value) { return value; });
}

void forward_pointwise(const Device& device, const ConvShape& shape, const Forward& f) {
  const bool kept = f.kept != nullptr && f.kept->transformed.defined();
  const Tensor packed = kept ? Tensor() : pointwise_panels(device, f.w);
  pointwise_forward(shape, f.x.data_as<bfloat16>(), kept ? f.kept->transformed.view() : packed.view(),
                    given_or_null<float>(f.bias), given_or_null<bfloat16>(f.residual), f.activation,
                    f.y.data_as<bfloat16>());
}

template <typename T>
void forward_floating(const Device& device, const ConvShape& shape, const Forward& f) {
  const float* bias = given_or_null<float>(f.bias);
  T* y = f.y.data_as<T>();
  if (is_direct(shape)) return forward_direct<T>(device, shape, f);
  if (pointwise_fits(shape, dtype_of<T>())) return forward_pointwise(device, shape, f);
  if (by_winograd(shape, dtype_of<T>())) {
    return with_transformed<T>(device, shape, f.w.data_as<float>(), false, f.kept, [&](const float* transformed) {
      winograd_forward<T>(device, {shape.images, shape.height, shape.width, shape.channels, shape.out_channels},
                          f.x.data_as<T>(), transformed,
                          {bias, given_or_null<T>(f.residual), f.activation, multiplies_bf16()}, y);
    });
  }
  if constexpr (std::is_same_v<T, float>) {
    if (f.residual.given() && !adds_to_finished_sums()) return forward_then_add(device, shape, f);
  }
  if (f.residual.given() && f.residual.data() != y) std::memcpy(y, f.residual.data(), f.y.bytes());
  if (onednn_forward<T>(device, shape, f.x.data_as<T>(), f.w.data_as<float>(), bias, f.activation, f.residual.given(),
                        y, f.kept)) {
    return;
  }
  if constexpr (std::is_same_v<T, bfloat16>) forward_widened(device, shape, f);
}

template <typename T>
void backward_data_floating(const Device& device, const ConvShape& shape, ConstView dy, ConstView w, View dx) {
  if (by_winograd(shape, dtype_of<T>())) {
    return with_transformed<T>(device, shape, w.data_as<float>(), true, nullptr, [&](const float* transformed) {
      winograd_forward<T>(device, {shape.images, shape.height, shape.width, shape.out_channels, shape.channels},
                          dy.data_as<T>(), transformed, {.native = multiplies_bf16()}, dx.data_as<T>());
    });
  }
  if (onednn_backward_data<T>(device, shape, dy.data_as<T>(), w.data_as<float>(), dx.data_as<T>())) return;
  if constexpr (std::is_same_v<T, bfloat16>) {
    const Widened wide_dy(device, dy), wide_w(device, w), wide_dx(device, dx.shape());
    onednn_backward_data<float>(device, shape, wide_dy.data(), wide_w.data(), wide_dx.data());
    wide_dx.round_to(dx);
  }
}

template <typename T>
void backward_weights_floating(const Device& device, const ConvShape& shape, ConstView x, ConstView dy, View dw,
                               View dbias) {
  float* bias = dbias.given() ? dbias.data_as<float>() : nullptr;
  if (onednn_backward_weights<T>(device, shape, x.data_as<T>(), dy.data_as<T>(), dw.data_as<float>(), bias)) return;
  if constexpr (std::is_same_v<T, bfloat16>) {
    const Widened wide_x(device, x), wide_dy(device, dy);
    onednn_backward_weights<float>(device, shape, wide_x.data(), wide_dy.data(), dw.data_as<float>(), bias);
  }
}

void forward_any(const Device& device, const Conv2dOptions& options, const Forward& f) {
  if (f.y.count() == 0) return;
  const ConvShape shape = shape_of(f.x.shape(), f.w.shape(), f.y.shape(), options);
  functors::visit_activations(f.x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_same_v<T, double>) {
      forward_f64(device, shape, f.x.data_as<double>(), f.w.data_as<double>(), given_or_null<double>(f.bias),
                  f.activation, given_or_null<double>(f.residual), f.y.data_as<double>());
    } else {
      forward_floating<T>(device, shape, f);
    }
  });
}

}  // namespace

std::shared_ptr<KeptWeights> keep_weights(const Device& device, ConstView w, const Conv2dOptions& options,
                                          DType images) {
  auto kept = std::make_shared<KeptWeights>(device);
  const ConvShape shape{.channels = w.extent(1) * options.groups,
                        .out_channels = w.extent(0),
                        .kernel_height = w.extent(2),
                        .kernel_width = w.extent(3),
                        .stride = options.stride,
                        .groups = options.groups,
                        .padding_top = options.same ? 0 : options.padding,
                        .padding_left = options.same ? 0 : options.padding};
  if (is_direct(shape)) {
    kept->transformed = Tensor({w.count()}, DType::f32, device);
    pack_by_taps(shape, w.data_as<float>(), images, kept->transformed.data_as<float>());
    return kept;
  }
  if (pointwise_fits(shape, images)) {
    kept->transformed = pointwise_panels(device, w);
    return kept;
  }
  const bool tiled = w.extent(2) == 3 && w.extent(3) == 3 && options.stride == 1 && options.dilation == 1 &&
                     options.groups == 1 && (options.padding == 1 || options.same);
  if (!tiled || !winograd_serves(images, w.extent(1), w.extent(0))) return kept;
  kept->transformed = Tensor({winograd_weight_count(w.extent(1), w.extent(0))}, DType::f32, device);
  const ThreadScope threads(device);
  winograd_transform_weights(w.extent(1), w.extent(0), w.data_as<float>(), {.bf16 = images == DType::bf16},
                             kept->transformed.data_as<float>());
  return kept;
}

void conv2d_forward_kept(const Device& device, ConstView x, ConstView w, ConstView bias, const Conv2dOptions& options,
                         View y, Activation activation, ConstView residual, KeptWeights& kept) {
  const ThreadScope threads(device);
  forward_any(device, options, {x, w, bias, y, activation, residual, &kept});
}

void conv2d_forward(const Device& device, ConstView x, ConstView w, ConstView bias, const Conv2dOptions& options,
                    View y, Activation activation, ConstView residual) {
  forward_any(device, options, {x, w, bias, y, activation, residual, nullptr});
}

void conv2d_backward_data(const Device& device, ConstView dy, ConstView w, const Conv2dOptions& options, View dx) {
  if (dx.count() == 0) return;
  if (dy.count() == 0) return fill_zero(dx);
  const ConvShape shape = shape_of(dx.shape(), w.shape(), dy.shape(), options);
  functors::visit_activations(dx.dtype(), [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_same_v<T, double>) {
      PatchConvolution convolution(device, shape);
      convolution.pack_weights(w.data_as<double>());
      convolution.backward_data(dy.data_as<double>(), dx.data_as<double>());
    } else {
      backward_data_floating<T>(device, shape, dy, w, dx);
    }
  });
}

void conv2d_backward_weights(const Device& device, ConstView x, ConstView dy, const Conv2dOptions& options, View dw,
                             View dbias) {
  if (x.count() == 0 || dy.count() == 0 || dw.count() == 0) {
    fill_zero(dw);
    if (dbias.given()) fill_zero(dbias);
    return;
  }
  const ConvShape shape = shape_of(x.shape(), dw.shape(), dy.shape(), options);
  functors::visit_activations(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_same_v<T, double>) {
      PatchConvolution convolution(device, shape);
      convolution.backward_weights(x.data_as<double>(), dy.data_as<double>());
      convolution.unpack_weights(dw.data_as<double>());
      if (!dbias.given()) return;
      column_sums(device, dy.reshaped({shape.images * shape.out_height * shape.out_width, shape.out_channels}), dbias);
    } else {
      backward_weights_floating<T>(device, shape, x, dy, dw, dbias);
    }
  });
}

}  // namespace rtl::kernels::cpu
