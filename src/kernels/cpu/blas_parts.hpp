// Work sharing of calls to OpenBLAS and oneDNN's sgemm. Their own threads meet many times within a call and wait
// actively, so that on a machine with other work a product takes ten times as long as with one thread. Here each call
// has one thread, and large operations are cut into parts that meet once, at their end.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/blas_memory.hpp"
#include "kernels/cpu/fault.hpp"
#include "kernels/cpu/parallel.hpp"

namespace rtl::kernels::cpu {

/// Makes calls of this thread to OpenBLAS, oneDNN and OpenMP use one thread.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

/// Calls f(begin, end) on ranges that cover [0, count), several at a time if `operations` in all are worth it, each on
/// one thread of BLAS. boundary(share) in [0, 1] places the cuts; it is monotone.
template <typename F, typename Boundary>
void blas_parts(std::int64_t count, double operations, const F& f, const Boundary& boundary) {
  ensure_blas_memory();
  constexpr double operations_per_part = 1e7;
  const double useful = std::min(operations / operations_per_part, static_cast<double>(count));
  const int parts = omp_in_parallel() != 0 ? 1 : static_cast<int>(std::clamp<double>(useful, 1, omp_get_max_threads()));
  const auto cut = [&](int part) {
    return part == parts ? count
                         : static_cast<std::int64_t>(static_cast<double>(count) *
                                                     boundary(static_cast<double>(part) / static_cast<double>(parts)));
  };
  if (parts == 1) {
    const OneThread one;
    return f(std::int64_t{0}, count);
  }
  Fault fault;
#pragma omp parallel for schedule(static, 1) num_threads(parts)
  for (int part = 0; part < parts; ++part) fault.guard([&] { f(cut(part), cut(part + 1)); });
  fault.rethrow();
}

template <typename F>
void blas_parts(std::int64_t count, double operations, const F& f) {
  blas_parts(count, operations, f, [](double share) { return share; });
}

}  // namespace rtl::kernels::cpu
