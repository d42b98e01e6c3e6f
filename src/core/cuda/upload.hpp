// What detail::upload does on a CUDA device.
#pragma once

#include <cuda_runtime.h>

#include <array>
#include <cstddef>
#include <mutex>

#include "core/upload.hpp"

namespace rtl::detail {

/// Two page-locked buffers of a context, which take turns: one is filled while the other is copied. Uploads of several
/// threads follow one another. Where page-locked memory cannot be had the buffers are ordinary memory, and each copy is
/// waited for.
class Uploader {
 public:
  explicit Uploader(Context& context) : context_(context) {}
  ~Uploader();
  Uploader(const Uploader&) = delete;
  Uploader& operator=(const Uploader&) = delete;

  void upload(std::byte* to, std::size_t bytes, std::size_t granule, const FillPiece& fill);

 private:
  /// At PCI Express's 50 GB/s 80 microseconds, beside which the start of a copy is little.
  static constexpr std::size_t usual_piece = std::size_t{4} << 20;

  struct Buffer {
    std::byte* memory = nullptr;
    std::size_t capacity = 0;
    bool locked = false;
    cudaEvent_t copied = nullptr;
    bool in_use = false;  ///< by a copy that was queued and not yet waited for
  };

  void make_room(Buffer& buffer, std::size_t bytes);
  static void wait_for(Buffer& buffer);
  static void release(Buffer& buffer) noexcept;
  void copy(std::byte* to, std::size_t bytes, Buffer& buffer);

  Context& context_;
  std::mutex mutex_;
  std::array<Buffer, 2> buffers_;
};

std::shared_ptr<std::byte> allocate_page_locked(Context& context, std::size_t bytes);
bool is_host_memory(Context& context, const void* memory);

}  // namespace rtl::detail
