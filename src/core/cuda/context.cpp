#include "core/cuda/context.hpp"

#include <fmt/format.h>

#include "core/cuda/error.hpp"
#include "rtl/core/error.hpp"

namespace rtl::detail {
namespace {

cudaMemcpyKind runtime_kind(CopyKind kind) {
  switch (kind) {
    case CopyKind::within:
      return cudaMemcpyDeviceToDevice;
    case CopyKind::from_host:
      return cudaMemcpyHostToDevice;
    case CopyKind::to_host:
      break;
  }
  return cudaMemcpyDeviceToHost;
}

/// One stream. Freed blocks go back to the base class's cache at once: whoever gets them next works on the same
/// stream, behind the work that still uses them.
class CudaContext final : public Context {
 public:
  explicit CudaContext(int index) : Context(DeviceKind::cuda, index, 1) {
    RTL_CUDA_CHECK(cudaSetDevice(index));
    cudaDeviceProp properties{};
    RTL_CUDA_CHECK(cudaGetDeviceProperties(&properties, index));
    memory_ = properties.totalGlobalMem;
    RTL_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  }
  ~CudaContext() override {
    cudaSetDevice(index());
    cudaStreamSynchronize(stream_);
    release_all();
    cudaStreamDestroy(stream_);
  }

  void copy(void* to, const void* from, std::size_t bytes, CopyKind kind) override {
    if (bytes == 0) return;
    RTL_CUDA_CHECK(cudaSetDevice(index()));
    RTL_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, runtime_kind(kind), stream_));
    if (kind != CopyKind::within) synchronize();
  }
  void clear(void* to, std::size_t bytes) override {
    if (bytes == 0) return;
    RTL_CUDA_CHECK(cudaSetDevice(index()));
    RTL_CUDA_CHECK(cudaMemsetAsync(to, 0, bytes, stream_));
  }
  void synchronize() override {
    RTL_CUDA_CHECK(cudaSetDevice(index()));
    RTL_CUDA_CHECK(cudaStreamSynchronize(stream_));
  }
  void* stream() noexcept override { return stream_; }
  std::string description() const override {
    cudaDeviceProp properties{};
    RTL_CUDA_CHECK(cudaGetDeviceProperties(&properties, index()));
    return fmt::format("{}, {:.1f} GiB, compute capability {}.{}", properties.name,
                       static_cast<double>(properties.totalGlobalMem) / (std::size_t{1} << 30), properties.major,
                       properties.minor);
  }

 private:
  std::size_t system_memory() const noexcept override { return memory_; }
  void* system_allocate(std::size_t bytes) override {
    RTL_CUDA_CHECK(cudaSetDevice(index()));
    void* pointer = nullptr;
    const cudaError_t status = cudaMalloc(&pointer, bytes);
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      return nullptr;
    }
    RTL_CUDA_CHECK(status);
    return pointer;
  }
  void system_free(void* pointer) noexcept override {
    cudaSetDevice(index());
    cudaFree(pointer);
  }

  std::size_t memory_ = 0;
  cudaStream_t stream_ = nullptr;
};

}  // namespace

void throw_cuda_error(cudaError_t error, const char* call, const char* file, int line) {
  const char* remedy = "";
#if !RTL_CUDA_EMULATED
  if (error == cudaErrorInsufficientDriver) remedy = "; install a driver as new as the CUDA toolkit of this build";
  if (error == cudaErrorNoDevice) remedy = "; no GPU is visible: see CUDA_VISIBLE_DEVICES, or use Device::cpu()";
  if (error == cudaErrorNoKernelImageForDevice || error == cudaErrorUnsupportedPtxVersion) {
    remedy = "; build with this GPU's compute capability in CMAKE_CUDA_ARCHITECTURES";
  }
  if (error == cudaErrorIllegalAddress || error == cudaErrorLaunchFailure) {
    remedy = "; an earlier kernel failed: run under compute-sanitizer to find it";
  }
#endif
  const std::string text = fmt::format("{} failed with {} ({}) at {}:{}{}", call, cudaGetErrorName(error),
                                       cudaGetErrorString(error), file, line, remedy);
  cudaGetLastError();
  throw CudaError(text);
}

int cuda_device_count() noexcept {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  return count;
}

std::shared_ptr<Context> make_cuda_context(int index) {
  const int count = cuda_device_count();
  if (index < 0 || index >= count) {
    throw DeviceError(fmt::format(
        "Device::cuda({}): this machine has {} usable CUDA device{}{}", index, count, count == 1 ? "" : "s",
        count == 0 ? "; is the driver installed? Device::cpu() always works" : "; device numbers start at 0"));
  }
  return std::make_shared<CudaContext>(index);
}

}  // namespace rtl::detail
