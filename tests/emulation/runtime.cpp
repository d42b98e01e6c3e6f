#include "emulation/runtime.hpp"

#include <sys/mman.h>
#if RTL_EMULATION_ASAN
#include <sanitizer/asan_interface.h>
#endif

#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>

namespace {

/// One range of addresses, of which blocks are taken; page by page, so that all of it can be locked with one call.
/// AddressSanitizer sees a block's exact size.
class DeviceMemory {
 public:
  void* allocate(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (base_ == nullptr && !reserve()) return nullptr;
    const std::size_t size = (bytes / page + 2) * page;  // with a gap behind it
    std::byte* block = nullptr;
    if (const auto found = free_.find(size); found != free_.end()) {
      block = found->second;
      free_.erase(found);
    } else if (size <= reserved - used_) {
      block = base_ + used_;
      used_ += size;
      if (open_ > 0) mprotect(block, size, PROT_READ | PROT_WRITE);
    } else {
      return nullptr;
    }
    blocks_[block] = size;
#if RTL_EMULATION_ASAN
    __asan_unpoison_memory_region(block, bytes);
    __asan_poison_memory_region(block + bytes, size - bytes);
#endif
    return block;
  }
  void deallocate(void* pointer) {
    const std::lock_guard lock(mutex_);
    const auto found = blocks_.find(static_cast<std::byte*>(pointer));
    if (found == blocks_.end()) return;
#if RTL_EMULATION_ASAN
    __asan_poison_memory_region(found->first, found->second);
#endif
    if (found->second >= large) madvise(found->first, found->second, MADV_DONTNEED);
    free_.emplace(found->second, found->first);
    blocks_.erase(found);
  }
  void open() {
    const std::lock_guard lock(mutex_);
    if (open_++ == 0 && used_ > 0) mprotect(base_, used_, PROT_READ | PROT_WRITE);
  }
  void close() {
    const std::lock_guard lock(mutex_);
    if (--open_ == 0 && used_ > 0) mprotect(base_, used_, PROT_NONE);
  }

 private:
  static constexpr std::size_t page = 4096, large = std::size_t{4} << 20, reserved = std::size_t{1} << 38;

  bool reserve() {
    void* range = mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) return false;
    madvise(range, reserved, MADV_HUGEPAGE);  // locking takes its time for each page
    base_ = static_cast<std::byte*>(range);
    return true;
  }

  std::mutex mutex_;
  std::byte* base_ = nullptr;
  std::size_t used_ = 0;
  int open_ = 0;
  std::map<std::byte*, std::size_t> blocks_;
  std::multimap<std::size_t, std::byte*> free_;
};

/// Never ends: tensors of static storage duration may be returned to it.
DeviceMemory& device_memory() {
  static DeviceMemory& instance = *new DeviceMemory;
  return instance;
}

thread_local cudaError_t last_error = cudaSuccess;

cudaError_t remember(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

}  // namespace

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
  }
  return "unknown error";
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidDevice:
      return "invalid device ordinal";
  }
  return "unknown error";
}

cudaError_t cudaGetLastError() {
  const cudaError_t error = last_error;
  last_error = cudaSuccess;
  return error;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int index) { return remember(index == 0 ? cudaSuccess : cudaErrorInvalidDevice); }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int index) {
  if (index != 0) return remember(cudaErrorInvalidDevice);
  *properties = {"emulator (kernels run on the host)", std::size_t{4} << 30, 0, 0};
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = nullptr;
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }

cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  cudaDeviceProp properties;
  cudaGetDeviceProperties(&properties, 0);
  *pointer = bytes > properties.totalGlobalMem ? nullptr : device_memory().allocate(bytes);
  if (*pointer == nullptr) return remember(cudaErrorMemoryAllocation);
  const emulation::DeviceAccess access;
  std::memset(*pointer, 0xff, bytes);
  return cudaSuccess;
}

cudaError_t cudaFree(void* pointer) {
  device_memory().deallocate(pointer);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t) {
  const emulation::DeviceAccess access;
  if (bytes > 0) std::memmove(to, from, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t) {
  const emulation::DeviceAccess access;
  if (bytes > 0) std::memset(to, value, bytes);
  return cudaSuccess;
}

namespace emulation {

DeviceAccess::DeviceAccess() { device_memory().open(); }
DeviceAccess::~DeviceAccess() { device_memory().close(); }

}  // namespace emulation
