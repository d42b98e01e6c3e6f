// Makes OpenMP regions of the calling thread (ours, oneDNN's and OpenBLAS's) use the device's thread count.
#pragma once

#include <omp.h>

#include "rtl/core/device.hpp"

namespace rtl::kernels::cpu {

class ThreadScope {
 public:
  explicit ThreadScope(const Device& device) : before_(omp_get_max_threads()) { omp_set_num_threads(device.threads()); }
  ~ThreadScope() { omp_set_num_threads(before_); }
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int before_;
};

}  // namespace rtl::kernels::cpu
