// OpenBLAS has one team of threads and one count of them for the whole process, and changes both while calls run.
#pragma once

#include <omp.h>

#include <mutex>

#include "kernels/cpu/blas_memory.hpp"

namespace rtl::kernels::cpu {

/// To be held around calls of BLAS and LAPACK: those that would use several threads take turns; those of one thread,
/// which never look at the team, run side by side.
class BlasTurn {
 public:
  BlasTurn() : lock_(turn(), std::defer_lock) {
    ensure_blas_memory();
    if (omp_get_max_threads() > 1 && !omp_in_parallel()) lock_.lock();
  }

 private:
  static std::mutex& turn() {
    static std::mutex mutex;
    return mutex;
  }
  std::unique_lock<std::mutex> lock_;
};

}  // namespace rtl::kernels::cpu
