// In a build with AddressSanitizer, blocks of the caching allocator behave like allocations of their own: touching a
// byte beyond those asked for, or a block that was returned, is reported; fresh memory is filled with 0xff bytes, which
// are NaN in every floating format. In other builds nothing happens.
#pragma once

#include <cstddef>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>

#include <cstring>
#endif

#if RTL_CUDA_EMULATED
#include <cuda_runtime.h>
#endif
#include "rtl/core/device.hpp"

namespace rtl::detail {

#if defined(__SANITIZE_ADDRESS__)
/// The sanitizer knows nothing of a GPU's own memory.
inline bool is_guarded(DeviceKind kind) {
#if RTL_CUDA_EMULATED
  return kind == DeviceKind::cpu || kind == DeviceKind::cuda;
#else
  return kind == DeviceKind::cpu;
#endif
}

inline void open_block(DeviceKind kind, void* pointer, std::size_t bytes, std::size_t capacity) {
  if (!is_guarded(kind)) return;
#if RTL_CUDA_EMULATED
  const emulation::DeviceAccess access;
#endif
  ASAN_UNPOISON_MEMORY_REGION(pointer, capacity);
  std::memset(pointer, 0xff, capacity);
  ASAN_POISON_MEMORY_REGION(static_cast<std::byte*>(pointer) + bytes, capacity - bytes);
}

inline void close_block(DeviceKind kind, void* pointer, std::size_t capacity) {
  if (is_guarded(kind)) ASAN_POISON_MEMORY_REGION(pointer, capacity);
}
#else
inline void open_block(DeviceKind, void*, std::size_t, std::size_t) {}
inline void close_block(DeviceKind, void*, std::size_t) {}
#endif

}  // namespace rtl::detail
