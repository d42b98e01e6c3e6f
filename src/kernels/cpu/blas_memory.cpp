#include "kernels/cpu/blas_memory.hpp"

#include <execinfo.h>
#include <fmt/format.h>
#include <omp.h>

#include <atomic>
#include <limits>
#include <mutex>
#include <vector>

#include "core/memory_limit.hpp"
#include "rtl/core/error.hpp"

// What OpenBLAS itself calls for a buffer; other libraries of BLAS do not have them.
extern "C" {
[[gnu::weak]] void* blas_memory_alloc(int position);
[[gnu::weak]] void blas_memory_free(void* buffer);
}

namespace rtl::kernels::cpu {
namespace {

std::atomic<int> threads_ready{0};

void take_buffers(int threads) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  const int before = threads_ready.load();
  if (before >= threads) return;
  if (!detail::memory_limited() || blas_memory_alloc == nullptr || blas_memory_free == nullptr) {
    threads_ready = std::numeric_limits<int>::max();
    return;
  }
  const auto more = static_cast<std::size_t>(threads - before);
  if (!detail::memory_left(more * detail::blas_buffer_bytes)) {
    throw OutOfMemory(fmt::format(
        "no memory for the buffers of OpenBLAS: with {} thread{} it takes {} MiB more, which the limited address space "
        "(ulimit -v) does not have; raise the limit or use fewer threads",
        threads, threads == 1 ? "" : "s", (more * detail::blas_buffer_bytes) >> 20));
  }
  std::vector<void*> buffers(static_cast<std::size_t>(threads));
  for (void*& buffer : buffers) buffer = blas_memory_alloc(0);
  for (void* buffer : buffers) blas_memory_free(buffer);
  threads_ready = threads;
}

}  // namespace

void ensure_blas_memory() {
  const int threads = omp_in_parallel() != 0 ? omp_get_num_threads() : omp_get_max_threads();
  if (threads_ready.load(std::memory_order_acquire) < threads) take_buffers(threads);
}

void ensure_onednn_memory() {
  static const bool limited = [] {
    if (!detail::memory_limited()) return false;
    // The C library loads its unwinder when a thread of OpenMP ends, and aborts where it cannot: so now.
    void* frame = nullptr;
    ::backtrace(&frame, 1);
    return true;
  }();
  if (limited && !detail::memory_left(0)) {
    throw OutOfMemory("no memory for the code that oneDNN generates: the address space is limited (ulimit -v)");
  }
}

}  // namespace rtl::kernels::cpu
