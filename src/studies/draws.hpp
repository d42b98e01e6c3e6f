// Independent draws of a simulation, several at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "core/captured_exception.hpp"

namespace rtl::studies {

/// draw(0) .. draw(count - 1) in this order, on all cores, one thread each; `draw` must allow that, and give the same
/// whatever the thread. progress(share done) is called between blocks of at least `block` draws, on the calling thread.
/// The first error is thrown.
template <typename Draw>
auto simulate_draws(std::int64_t count, const Draw& draw, const std::function<void(double)>& progress,
                    std::int64_t block = 16) {
  std::vector<decltype(draw(std::int64_t{}))> results(static_cast<std::size_t>(count));
  block = std::max(block, count / 40);
  for (std::int64_t first = 0; first < count; first += block) {
    const std::int64_t end = std::min(count, first + block);
    CapturedException fault;
#pragma omp parallel for schedule(dynamic)
    for (std::int64_t i = first; i < end; ++i) {
      fault.guard([&] { results[static_cast<std::size_t>(i)] = draw(i); });
    }
    fault.rethrow();
    progress(static_cast<double>(end) / static_cast<double>(count));
  }
  return results;
}

}  // namespace rtl::studies
