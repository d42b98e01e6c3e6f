#include "kernels/backend/conv.hpp"

#include <optional>

#include "kernels/backend/gemm.hpp"
#include "kernels/backend/packed_conv.hpp"
#include "kernels/backend/pointwise.hpp"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/grouped_convolution.hpp"
#include "kernels/cuda/patch_convolution.hpp"
#include "kernels/cuda/vendor/dnn.hpp"
#include "kernels/functors.hpp"

namespace rtl::kernels::cuda {
namespace {

/// Weights in the order [out, height, width, in], in which channels lie together as they do in the images, and in the
/// dtype that multiplies them.
class PackedWeights {
 public:
  PackedWeights(const Device& device, const Shape& weights, DType dtype)
      : memory_(device, weights.count() * static_cast<std::int64_t>(size_of(dtype))),
        view_(memory_.get(), dtype, {weights[0], weights[2], weights[3], weights[1]}, device) {}
  PackedWeights(const Device& device, const ConstView& w, DType dtype) : PackedWeights(device, w.shape(), dtype) {
    cuda::cast(device, w.permuted({0, 2, 3, 1}), view_);
  }
  void unpack(const Device& device, const View& w) const { cuda::cast(device, view_.permuted({0, 3, 1, 2}), w); }
  const View& view() const { return view_; }

 private:
  Scratch<std::byte> memory_;
  View view_;
};

/// Images or weights at an address that the vendor's convolutions take: their own, or one of a copy, so that the bits
/// of a convolution do not depend on where its operands lie.
class Aligned {
 public:
  Aligned(const Device& device, const ConstView& images)
      : device_(device),
        here_(reinterpret_cast<std::uintptr_t>(images.data()) % vendor::dnn_alignment == 0),
        memory_(device, here_ ? 0 : images.count() * static_cast<std::int64_t>(size_of(images.dtype()))),
        view_(here_ ? const_cast<void*>(images.data()) : memory_.get(), images.dtype(), images.shape(), device) {}
  void load(const ConstView& images) const {
    if (!here_) cuda::cast(device_, images, view_);
  }
  void store(const View& images) const {
    if (!here_) cuda::cast(device_, view_, images);
  }
  const View& view() const { return view_; }

 private:
  const Device& device_;
  bool here_;
  Scratch<std::byte> memory_;
  View view_;
};

/// Whether as many zeros stand behind the axis as before it: "same" may want one more.
bool symmetric(std::int64_t in, std::int64_t kernel, std::int64_t out, const Conv2dOptions& options) {
  const std::int64_t padded = in + 2 * conv2d_padding(in, kernel, options);
  const std::int64_t covered = (kernel - 1) * options.dilation + 1;
  return padded >= covered && (padded - covered) / options.stride + 1 == out;
}

/// What is left to the vendor's library, if it has an algorithm. Of depthwise convolutions there is nothing to
/// multiply.
bool may_be_vendors(DType images, const Shape& x, const Shape& packed, const Shape& y, const Conv2dOptions& options) {
  const bool depthwise = options.groups > 1 && options.groups == x[3] && packed[3] == 1;
  return images != DType::f64 && !depthwise && symmetric(x[1], packed[1], y[1], options) &&
         symmetric(x[2], packed[2], y[2], options);
}

/// What follows the sums of a convolution: activation(sums [+ bias] [+ residual]).
struct Tail {
  ConstView bias, residual;
  Activation activation = Activation::none;
  bool empty() const { return !bias.given() && !residual.given() && activation == Activation::none; }
};

/// What the vendor's library leaves to do, or nothing, and nothing is computed, where it does not convolve. A sum with
/// a bias is always made in the same way, whatever follows it. Weights are packed.
std::optional<Tail> vendor_forward(const Device& device, const ConstView& x, const ConstView& w,
                                   const Conv2dOptions& options, const View& y, const Tail& tail) {
  if (!may_be_vendors(x.dtype(), x.shape(), w.shape(), y.shape(), options)) return std::nullopt;
  const Aligned in(device, x), weights(device, w), out(device, y);
  std::optional<Aligned> bias;
  in.load(x);
  weights.load(w);
  const auto done = [&](const vendor::ConvEpilogue& epilogue) {
    return vendor::conv2d_forward(device, in.view(), weights.view(), options, epilogue, out.view());
  };
  const auto left = [&]() -> std::optional<Tail> {
    if (tail.bias.given()) {
      bias.emplace(device, tail.bias).load(tail.bias);
      if (!tail.residual.given() && done({bias->view(), tail.activation})) return Tail{};
      if (done({bias->view()})) return Tail{{}, tail.residual, tail.activation};
    }
    return done({}) ? std::optional(tail) : std::nullopt;
  }();
  if (left) out.store(y);
  return left;
}

// Each gives false, having computed nothing, where the vendor's library does not do it. Weights are packed.

/// Of what is added nothing has changed where this gives false.
bool vendor_backward_data(const Device& device, const ConstView& dy, const ConstView& w, const Conv2dOptions& options,
                          const View& dx, const ConstView& added) {
  if (!may_be_vendors(dy.dtype(), dx.shape(), w.shape(), dy.shape(), options)) return false;
  const Aligned in(device, dy), weights(device, w), out(device, dx);
  in.load(dy);
  weights.load(w);
  if (added.given() && added.data() != out.view().data()) cuda::cast(device, added, out.view());
  if (!vendor::conv2d_backward_data(device, in.view(), weights.view(), options, added.given(), out.view())) {
    return false;
  }
  out.store(dx);
  return true;
}

bool vendor_backward_weights(const Device& device, const ConstView& x, const ConstView& dy,
                             const Conv2dOptions& options, const View& dw) {
  if (!may_be_vendors(x.dtype(), x.shape(), dw.shape(), dy.shape(), options)) return false;
  const Aligned images(device, x), gradients(device, dy), out(device, dw);
  images.load(x);
  gradients.load(dy);
  if (!vendor::conv2d_backward_weights(device, images.view(), gradients.view(), options, out.view())) return false;
  out.store(dw);
  return true;
}

/// y = activation(y [+ bias] [+ residual]).
template <int width, typename T, typename Parameter>
__global__ void finish_convolution(std::int64_t count, std::int64_t channels, const Parameter* bias, const T* residual,
                                   Activation activation, T* y) {
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    auto value = load_pack<width>(y, i);
    Pack<Parameter, width> offset{};
    Pack<T, width> added{};
    if (bias != nullptr) offset = load_pack<width>(bias, i % channels);
    if (residual != nullptr) added = load_pack<width>(residual, i);
    for (int k = 0; k < width; ++k) {
      Parameter sum =
          functors::convert<Parameter>(value.value[k]) + offset.value[k] + functors::convert<Parameter>(added.value[k]);
      if (activation == Activation::relu) sum = functors::Relu()(sum);
      if (activation == Activation::relu6) sum = functors::Relu6()(sum);
      value.value[k] = functors::convert<T>(sum);
    }
    store_pack<width>(y, i, value);
  }
}

template <typename T>
void finish(const Device& device, const Tail& tail, const View& y) {
  using Parameter = Arithmetic<T>;
  const Parameter* offset = tail.bias.given() ? tail.bias.data_as<Parameter>() : nullptr;
  const T* added = tail.residual.given() ? tail.residual.data_as<T>() : nullptr;
  const std::int64_t channels = y.extent(3);
  const auto start = [&](auto width) {
    const std::int64_t count = y.count() / width;
    launch(finish_convolution<width(), T, Parameter>, blocks_for(count), block_size, 0, activate(device), count,
           channels / width, offset, added, tail.activation, y.data_as<T>());
  };
  with_pack_width<T>(channels, start, offset, added, y.data_as<T>());
}

void forward(const Device& device, const ConstView& x, const ConstView& packed, const ConstView& bias,
             const Conv2dOptions& options, const View& y, Activation activation, const ConstView& residual) {
  Tail tail{bias, residual, activation};
  if (const auto left = vendor_forward(device, x, packed, options, y, tail)) {
    tail = *left;
  } else {
    (options.groups == 1 ? patch_forward : grouped_forward)(device, x, packed, options, y);
  }
  if (tail.empty()) return;
  functors::visit_activations(y.dtype(), [&](auto element) { finish<decltype(element)>(device, tail, y); });
}

void add_up_bias(const Device& device, const ConstView& dy, const View& dbias) {
  if (dbias.given()) cuda::column_sums(device, dy.reshaped({dy.count() / dy.extent(3), dy.extent(3)}), dbias);
}

}  // namespace

void conv2d_forward(const Device& device, ConstView x, ConstView w, ConstView bias, const Conv2dOptions& options,
                    View y, Activation activation, ConstView residual) {
  const PackedWeights packed(device, w, x.dtype());
  forward(device, x, packed.view(), bias, options, y, activation, residual);
}

void packed_conv2d_forward(const Device& device, ConstView x, ConstView packed, ConstView bias,
                           const Conv2dOptions& options, View y, Activation activation, ConstView residual) {
  forward(device, x, packed, bias, options, y, activation, residual);
}

void conv2d_backward_data(const Device& device, ConstView dy, ConstView w, const Conv2dOptions& options, View dx) {
  const PackedWeights packed(device, w, dy.dtype());
  packed_conv2d_backward_data(device, dy, packed.view(), options, dx, {});
}

void packed_conv2d_backward_data(const Device& device, ConstView dy, ConstView packed, const Conv2dOptions& options,
                                 View dx, ConstView added) {
  if (vendor_backward_data(device, dy, packed, options, dx, added)) return;
  if (!added.given()) {
    return (options.groups == 1 ? patch_backward_data : grouped_backward_data)(device, dy, packed, options, dx);
  }
  const Scratch<std::byte> memory(device, dx.count() * static_cast<std::int64_t>(size_of(dx.dtype())));
  const View found(memory.get(), dx.dtype(), dx.shape(), device);
  packed_conv2d_backward_data(device, dy, packed, options, found, {});
  cuda::binary(device, BinaryOp::add, found, added, dx);
}

void conv2d_backward_weights(const Device& device, ConstView x, ConstView dy, const Conv2dOptions& options, View dw,
                             View dbias) {
  const PackedWeights packed(device, dw.shape(), x.dtype());
  packed_conv2d_backward_weights(device, x, dy, options, packed.view(), dbias);
  packed.unpack(device, dw);
}

void packed_conv2d_backward_weights(const Device& device, ConstView x, ConstView dy, const Conv2dOptions& options,
                                    View packed, View dbias) {
  if (!vendor_backward_weights(device, x, dy, options, packed)) {
    // The vendor's library, too, rounds a sum in f32 to the dtype of the images.
    const bool rounds = packed.dtype() == DType::bf16;
    const Scratch<float> memory(device, rounds ? packed.count() : 0);
    const View sums = rounds ? View(memory.get(), DType::f32, packed.shape(), device) : packed;
    (options.groups == 1 ? patch_backward_weights : grouped_backward_weights)(device, x, dy, options, sums);
    if (rounds) cuda::cast(device, sums, packed);
  }
  add_up_bias(device, dy, dbias);
}

}  // namespace rtl::kernels::cuda
