// The end of a step, as the host and CUDA kernels do it.
#pragma once

#include "rtl/core/macros.hpp"
#include "rtl/kernels/step_state.hpp"

namespace rtl::kernels {

template <typename Loss, typename Stored>
RTL_HOST_DEVICE void advance_replica(std::int64_t replica, std::int64_t* counters, Stored* losses, std::int64_t batches,
                                     const Loss* loss, std::int64_t batch_size) {
  std::int64_t* own = counters + replica * Counters::count;
  losses[replica * batches + own[Counters::batch]] = static_cast<Stored>(loss[replica]);
  own[Counters::step] += 1;
  own[Counters::begin] += batch_size;
  own[Counters::batch] += 1;
}

}  // namespace rtl::kernels
