#include "core/upload.hpp"

#include "rtl/core/error.hpp"
#if RTL_WITH_CUDA
#include "core/cuda/upload.hpp"
#endif

namespace rtl::detail {

void upload(const Device& device, void* to, std::size_t bytes, [[maybe_unused]] std::size_t granule,
            const FillPiece& fill) {
  if (bytes == 0) return;
  if (!device.is_cuda()) return fill(static_cast<std::byte*>(to), 0, bytes);
#if RTL_WITH_CUDA
  device.context().resource<Uploader>().upload(static_cast<std::byte*>(to), bytes, granule, fill);
#else
  throw NotCompiled("upload: this build has no CUDA");
#endif
}

std::shared_ptr<std::byte> page_locked([[maybe_unused]] const Device& device, [[maybe_unused]] std::size_t bytes) {
#if RTL_WITH_CUDA
  return allocate_page_locked(device.context(), bytes);
#else
  throw NotCompiled("page_locked: this build has no CUDA");
#endif
}

bool lies_on_host([[maybe_unused]] const Device& device, [[maybe_unused]] const void* memory) {
#if RTL_WITH_CUDA
  return device.is_cuda() && is_host_memory(device.context(), memory);
#else
  return false;
#endif
}

}  // namespace rtl::detail
