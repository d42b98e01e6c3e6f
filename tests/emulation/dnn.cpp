// The stand-in for cuDNN: the host's convolutions on emulated device memory, which is host memory.
#include "kernels/cuda/vendor/dnn.hpp"

#include <cuda_runtime.h>

#include <cstdint>

#include "host_view.hpp"
#include "kernels/backend/conv.hpp"
#include "kernels/cuda/stream.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::kernels::cuda::vendor {
namespace {

/// What the wrapper of the true library asks for.
void check_suitable(const ConstView& images, const ConstView& others) {
  for (const ConstView& view : {images, others}) {
    if (view.dtype() != DType::f32 || reinterpret_cast<std::uintptr_t>(view.data()) % 16 != 0) {
      throw CudaError("images are not f32, or not aligned to 16 bytes");
    }
  }
}

/// Weights [out, height, width, in] in the host's order [out, in, height, width].
Tensor unpacked(const ConstView& packed, const Device& host) {
  const ConstView w = emulation::on_host(packed, host).permuted({0, 3, 1, 2});
  Tensor plain(w.shape(), w.dtype(), host);
  unary(host, UnaryOp::copy, w, plain);
  return plain;
}

}  // namespace

bool conv2d_forward(const Device& device, const ConstView& x, const ConstView& w, const Conv2dOptions& options,
                    const View& y) {
  check_suitable(x, y);
  RTL_CUDA_CHECK(emulation::submit(activate(device), [=] {
    const emulation::DeviceAccess access;
    const Device host = Device::cpu(1);
    cpu::conv2d_forward(host, emulation::on_host(x, host), unpacked(w, host), {}, options, emulation::on_host(y, host),
                        false, {});
  }));
  return true;
}

bool conv2d_backward_data(const Device& device, const ConstView& dy, const ConstView& w, const Conv2dOptions& options,
                          const View& dx) {
  check_suitable(dy, dx);
  RTL_CUDA_CHECK(emulation::submit(activate(device), [=] {
    const emulation::DeviceAccess access;
    const Device host = Device::cpu(1);
    cpu::conv2d_backward_data(host, emulation::on_host(dy, host), unpacked(w, host), options,
                              emulation::on_host(dx, host));
  }));
  return true;
}

bool conv2d_backward_weights(const Device& device, const ConstView& x, const ConstView& dy,
                             const Conv2dOptions& options, const View& dw) {
  check_suitable(x, dy);
  RTL_CUDA_CHECK(emulation::submit(activate(device), [=] {
    const emulation::DeviceAccess access;
    const Device host = Device::cpu(1);
    Tensor plain({dw.extent(0), dw.extent(3), dw.extent(1), dw.extent(2)}, dw.dtype(), host);
    cpu::conv2d_backward_weights(host, emulation::on_host(x, host), emulation::on_host(dy, host), options, plain, {});
    unary(host, UnaryOp::copy, plain.view().permuted({0, 2, 3, 1}), emulation::on_host(dw, host));
  }));
  return true;
}

}  // namespace rtl::kernels::cuda::vendor
