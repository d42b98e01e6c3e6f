// Makes OpenMP regions of the calling thread (ours, oneDNN's and OpenBLAS's) use the device's thread count.
#pragma once

#include <omp.h>

#include <algorithm>

#include "rtl/core/device.hpp"

namespace rtl::kernels::cpu {

class ThreadScope {
 public:
  explicit ThreadScope(const Device& device) : ThreadScope(device.threads()) {}
  explicit ThreadScope(int threads) : before_(omp_get_max_threads()) { omp_set_num_threads(threads); }
  ~ThreadScope() { omp_set_num_threads(before_); }
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int before_;
};

/// Of the threads that are granted, those that floating-point operations of one call are worth: a thread that has to be
/// waited for, because the machine does other work, costs more than it saves in a fraction of a millisecond.
inline int threads_worth(double operations) {
  constexpr double operations_per_thread = 1e7;
  return static_cast<int>(std::clamp<double>(operations / operations_per_thread, 1, omp_get_max_threads()));
}

}  // namespace rtl::kernels::cpu
