// The stand-in for cuDNN: the host's convolutions on emulated device memory, which is host memory.
#include "kernels/cuda/vendor/dnn.hpp"

#include <cuda_runtime.h>

#include <cstdint>

#include "host_view.hpp"
#include "kernels/backend/conv.hpp"
#include "kernels/cuda/stream.hpp"
#include "rtl/core/tf32.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::kernels::cuda::vendor {
namespace {

/// What the wrapper of the true library asks for.
void check_suitable(const ConstView& images, const ConstView& others, const ConstView& weights,
                    const ConstView& bias = {}) {
  for (const ConstView& view : {images, others, weights, bias.given() ? bias : images}) {
    if (view.dtype() == images.dtype() && (view.dtype() == DType::f32 || view.dtype() == DType::bf16) &&
        reinterpret_cast<std::uintptr_t>(view.data()) % dnn_alignment == 0) {
      continue;
    }
    throw CudaError("images, weights and bias are not all f32 or all bf16, or not aligned");
  }
}

/// The true library refuses some problems with something behind the sums that it takes without; which ones only a GPU
/// shows. Here an activation, or something to add, with an odd number of channels.
bool refuses_more(std::int64_t channels) { return channels % 2 != 0; }

/// Weights [out, height, width, in] in the host's order [out, in, height, width].
Tensor unpacked(const ConstView& packed, const Device& host) {
  const ConstView w = packed.permuted({0, 3, 1, 2});
  Tensor plain(w.shape(), w.dtype(), host);
  unary(host, UnaryOp::copy, w, plain);
  return plain;
}

}  // namespace

bool conv2d_forward(const Device& device, const ConstView& x, const ConstView& w, const Conv2dOptions& options,
                    const ConvEpilogue& epilogue, const View& y) {
  if (!may_fuse(epilogue, x.dtype())) return false;
  if (epilogue.activation != Activation::none && refuses_more(y.extent(3))) return false;
  check_suitable(x, y, w, epilogue.bias);
  const bool tf32 = tf32_allowed(device);
  RTL_CUDA_CHECK(emulation::submit(activate(device), [=] {
    const emulation::DeviceAccess access;
    const Device host = Device::cpu(1);
    const emulation::Factors images(x, tf32, host), weights(w, tf32, host);
    emulation::Product result(y, host);
    cpu::conv2d_forward(host, images.view(), unpacked(weights.view(), host), emulation::on_host(epilogue.bias, host),
                        options, result.view(), Activation::none, {});
    // The true library is asked to pass on NaN, which the host's convolutions with an activation do not.
    if (epilogue.activation == Activation::relu) unary(host, UnaryOp::relu, result.view(), result.view());
    result.store();
  }));
  return true;
}

bool conv2d_backward_data(const Device& device, const ConstView& dy, const ConstView& w, const Conv2dOptions& options,
                          bool accumulate, const View& dx) {
  if (accumulate && refuses_more(dx.extent(3))) return false;
  check_suitable(dy, dx, w);
  const bool tf32 = tf32_allowed(device);
  RTL_CUDA_CHECK(emulation::submit(activate(device), [=] {
    const emulation::DeviceAccess access;
    const Device host = Device::cpu(1);
    const emulation::Factors gradients(dy, tf32, host), weights(w, tf32, host);
    emulation::Product result(dx, host);
    if (accumulate) {
      result.load();
      Tensor found(dx.shape(), DType::f32, host);
      cpu::conv2d_backward_data(host, gradients.view(), unpacked(weights.view(), host), options, found);
      binary(host, BinaryOp::add, found, result.view(), result.view());
    } else {
      cpu::conv2d_backward_data(host, gradients.view(), unpacked(weights.view(), host), options, result.view());
    }
    result.store();
  }));
  return true;
}

bool conv2d_backward_weights(const Device& device, const ConstView& x, const ConstView& dy,
                             const Conv2dOptions& options, const View& dw) {
  check_suitable(x, dy, dw);
  const bool tf32 = tf32_allowed(device);
  RTL_CUDA_CHECK(emulation::submit(activate(device), [=] {
    const emulation::DeviceAccess access;
    const Device host = Device::cpu(1);
    const emulation::Factors images(x, tf32, host), gradients(dy, tf32, host);
    Tensor plain({dw.extent(0), dw.extent(3), dw.extent(1), dw.extent(2)}, DType::f32, host);
    cpu::conv2d_backward_weights(host, images.view(), gradients.view(), options, plain, {});
    cast(host, plain.view().permuted({0, 2, 3, 1}), emulation::on_host(dw, host));
  }));
  return true;
}

}  // namespace rtl::kernels::cuda::vendor
