// Work sharing of the host kernels: contiguous ranges, the same for the same thread count.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>

namespace rtl::kernels::cpu {

/// Elements below which a second thread costs more than it saves.
constexpr std::int64_t elements_per_thread = 32768;

/// Into how many chunks `count` items are cut if a thread should have at least `grain` of them; at least 1.
inline int chunk_count(std::int64_t count, std::int64_t grain) {
  const std::int64_t useful = std::max<std::int64_t>(1, count / std::max<std::int64_t>(1, grain));
  return static_cast<int>(std::min<std::int64_t>(useful, omp_get_max_threads()));
}

/// Calls f(chunk, begin, end) for each of `chunks` equal parts of [0, count).
template <typename F>
void parallel_chunks(std::int64_t count, int chunks, const F& f) {
  if (chunks == 1) {
    f(0, std::int64_t{0}, count);
    return;
  }
#pragma omp parallel for schedule(static) num_threads(chunks)
  for (int chunk = 0; chunk < chunks; ++chunk) f(chunk, count * chunk / chunks, count * (chunk + 1) / chunks);
}

/// Calls f(begin, end) on ranges that cover [0, count).
template <typename F>
void parallel_ranges(std::int64_t count, std::int64_t grain, const F& f) {
  parallel_chunks(count, chunk_count(count, grain), [&](int, std::int64_t begin, std::int64_t end) { f(begin, end); });
}

/// Items of `size` elements each that a thread should have at least.
inline std::int64_t grain_of(std::int64_t size) { return elements_per_thread / std::max<std::int64_t>(1, size) + 1; }

}  // namespace rtl::kernels::cpu
