// The stand-in for cuBLASLt: emulated device memory is host memory, so the host's gemm can work on it.
#include "kernels/cuda/vendor/blas.hpp"

#include <cuda_runtime.h>

#include "host_view.hpp"
#include "kernels/backend/gemm.hpp"
#include "kernels/cuda/stream.hpp"

namespace rtl::kernels::cuda::vendor {

bool gemm(const Device& device, Transpose transpose_a, Transpose transpose_b, double alpha, const ConstView& a,
          const ConstView& b, double beta, const View& c, Epilogue epilogue, const ConstView& bias) {
  // As with cuBLASLt, f64 has no fused epilogue, so that our own kernels for it run here too.
  const bool fused = epilogue == Epilogue::none || c.dtype() == DType::f32;
  RTL_CUDA_CHECK(emulation::submit(activate(device), [=] {
    const emulation::DeviceAccess access;
    const Device host = Device::cpu(1);
    cpu::gemm_batched(host, transpose_a, transpose_b, alpha, emulation::on_host(a, host), emulation::on_host(b, host),
                      beta, emulation::on_host(c, host), fused ? epilogue : Epilogue::none,
                      fused ? emulation::on_host(bias, host) : ConstView());
  }));
  return fused;
}

}  // namespace rtl::kernels::cuda::vendor
