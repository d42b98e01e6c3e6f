// The stream of a CUDA device, and temporary memory on it: for host code that queues work.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "core/cuda/error.hpp"
#include "rtl/core/device.hpp"
#include "rtl/core/error.hpp"

namespace rtl::kernels::cuda {

/// Makes the device current for the calling thread and gives its stream.
inline cudaStream_t activate(const Device& device) {
  RTL_CUDA_CHECK(cudaSetDevice(device.index()));
  return static_cast<cudaStream_t>(device.context().stream());
}

/// Uninitialised device memory for the length of a call. Returning it while kernels still use it is safe: it is only
/// handed out again for work on the same stream.
template <typename T>
class Scratch {
 public:
  Scratch(const Device& device, std::int64_t count)
      : context_(device.context()),
        data_(static_cast<T*>(context_.allocate(static_cast<std::size_t>(count) * sizeof(T)))) {}
  ~Scratch() { context_.deallocate(data_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T* get() const { return data_; }

 private:
  detail::Context& context_;
  T* data_;
};

}  // namespace rtl::kernels::cuda
