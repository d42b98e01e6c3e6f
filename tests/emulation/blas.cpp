// The stand-in for cuBLASLt: emulated device memory is host memory, so the host's gemm can work on it.
#include "kernels/cuda/vendor/blas.hpp"

#include <cuda_runtime.h>

#include <cstdint>

#include "host_view.hpp"
#include "kernels/backend/gemm.hpp"
#include "kernels/cuda/stream.hpp"
#include "rtl/core/tf32.hpp"

namespace rtl::kernels::cuda::vendor {
namespace {

/// bf16 is taken from addresses and rows at multiples of 4 bytes only, so that what replaces the library runs here too.
bool takes(const ConstView& operand) {
  return operand.dtype() != DType::bf16 ||
         (reinterpret_cast<std::uintptr_t>(operand.data()) % 4 == 0 && operand.strides()[1] % 2 == 0);
}

}  // namespace

Done gemm(const Device& device, Transpose transpose_a, Transpose transpose_b, double alpha, const ConstView& a,
          const ConstView& b, double beta, const View& c, Epilogue epilogue, const ConstView& bias) {
  const bool wide = c.dtype() == a.dtype() || (a.dtype() == DType::bf16 && c.dtype() == DType::f32);
  if (a.dtype() != b.dtype() || !wide || (c.dtype() == DType::bf16 && epilogue != Epilogue::none)) {
    throw CudaError("a product of dtypes that cuBLASLt is not asked for");
  }
  if (!takes(a) || !takes(b)) return Done::nothing;
  // As with cuBLASLt, f64 has no fused epilogue, so that our own kernels for it run here too.
  const bool fused = epilogue == Epilogue::none || c.dtype() == DType::f32;
  const bool tf32 = tf32_allowed(device);
  RTL_CUDA_CHECK(emulation::submit(activate(device), [=] {
    const emulation::DeviceAccess access;
    const Device host = Device::cpu(1);
    const emulation::Factors first(a, tf32, host), second(b, tf32, host);
    emulation::Product product(c, host);
    if (beta != 0) product.load();
    cpu::gemm_batched(host, transpose_a, transpose_b, alpha, first.view(), second.view(), beta, product.view(),
                      fused ? epilogue : Epilogue::none, fused ? emulation::on_host(bias, host) : ConstView());
    product.store();
  }));
  return fused ? Done::all : Done::product;
}

}  // namespace rtl::kernels::cuda::vendor
