#include "core/cuda/upload.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "core/cuda/error.hpp"
#include "rtl/core/error.hpp"

namespace rtl::detail {

Uploader::~Uploader() {
  cudaSetDevice(context_.index());
  for (Buffer& buffer : buffers_) {
    if (buffer.in_use) cudaEventSynchronize(buffer.copied);
    release(buffer);
    if (buffer.copied != nullptr) cudaEventDestroy(buffer.copied);
  }
}

void Uploader::release(Buffer& buffer) noexcept {
  if (buffer.locked) {
    cudaFreeHost(buffer.memory);
  } else {
    std::free(buffer.memory);
  }
  buffer.memory = nullptr;
  buffer.capacity = 0;
}

void Uploader::wait_for(Buffer& buffer) {
  if (!std::exchange(buffer.in_use, false)) return;
  RTL_CUDA_CHECK(cudaEventSynchronize(buffer.copied));
}

void Uploader::make_room(Buffer& buffer, std::size_t bytes) {
  wait_for(buffer);
  if (buffer.copied == nullptr) RTL_CUDA_CHECK(cudaEventCreateWithFlags(&buffer.copied, cudaEventDisableTiming));
  if (buffer.capacity >= bytes) return;
  release(buffer);
  void* memory = nullptr;
  buffer.locked = cudaHostAlloc(&memory, bytes, cudaHostAllocDefault) == cudaSuccess;
  if (!buffer.locked) {
    cudaGetLastError();
    memory = std::malloc(bytes);
    if (memory == nullptr)
      throw OutOfMemory("upload: no host memory for a piece of " + std::to_string(bytes) + " bytes");
  }
  buffer.memory = static_cast<std::byte*>(memory);
  buffer.capacity = bytes;
}

void Uploader::copy(std::byte* to, std::size_t bytes, Buffer& buffer) {
  const auto stream = static_cast<cudaStream_t>(context_.stream());
  RTL_CUDA_CHECK(cudaMemcpyAsync(to, buffer.memory, bytes, cudaMemcpyHostToDevice, stream));
  RTL_CUDA_CHECK(cudaEventRecord(buffer.copied, stream));
  buffer.in_use = true;
  if (!buffer.locked) wait_for(buffer);
}

void Uploader::upload(std::byte* to, std::size_t bytes, std::size_t granule, const FillPiece& fill) {
  const std::lock_guard turn(mutex_);
  RTL_CUDA_CHECK(cudaSetDevice(context_.index()));
  const std::size_t piece = std::min(bytes, std::max(granule, usual_piece / granule * granule));
  std::size_t turn_of = 0;
  for (std::size_t begin = 0; begin < bytes; begin += piece) {
    Buffer& buffer = buffers_[turn_of];
    turn_of = 1 - turn_of;
    const std::size_t count = std::min(piece, bytes - begin);
    make_room(buffer, piece);
    fill(buffer.memory, begin, count);
    copy(to + begin, count, buffer);
  }
}

std::shared_ptr<std::byte> allocate_page_locked(Context& context, std::size_t bytes) {
  RTL_CUDA_CHECK(cudaSetDevice(context.index()));
  void* memory = nullptr;
  if (cudaHostAlloc(&memory, bytes, cudaHostAllocDefault) != cudaSuccess) {
    cudaGetLastError();
    throw OutOfMemory("page-locked host memory: none for " + std::to_string(bytes) + " bytes");
  }
  return {static_cast<std::byte*>(memory), [](std::byte* own) { cudaFreeHost(own); }};
}

bool is_host_memory(Context& context, const void* memory) {
  RTL_CUDA_CHECK(cudaSetDevice(context.index()));
  cudaPointerAttributes attributes{};
  RTL_CUDA_CHECK(cudaPointerGetAttributes(&attributes, memory));
  return attributes.type == cudaMemoryTypeHost;
}

}  // namespace rtl::detail
