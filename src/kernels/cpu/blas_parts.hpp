// Work sharing of calls to OpenBLAS and oneDNN's sgemm. Their own threads meet many times within a call and wait
// actively, so that on a machine with other work a product takes ten times as long as with one thread. Here each call
// has one thread, and large operations are cut into parts that meet once, at their end.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>

#include "core/captured_exception.hpp"
#include "kernels/cpu/blas_memory.hpp"
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

/// Into how many parts `count` items are cut for as many threads, where the operations are worth it.
inline int blas_part_count(std::int64_t count, double operations) {
  constexpr double operations_per_part = 1e7;
  const double useful = std::min(operations / operations_per_part, static_cast<double>(count));
  return omp_in_parallel() != 0 ? 1 : static_cast<int>(std::clamp<double>(useful, 1, omp_get_max_threads()));
}

/// Where part `part` begins. boundary(share) in [0, 1] places the cuts; it is monotone.
template <typename Boundary>
std::int64_t blas_cut(std::int64_t count, int parts, int part, const Boundary& boundary) {
  return part == parts ? count
                       : static_cast<std::int64_t>(static_cast<double>(count) *
                                                   boundary(static_cast<double>(part) / static_cast<double>(parts)));
}

/// Calls f(task) for every task, several at a time with a team, each on one thread of BLAS.
template <typename F>
void blas_tasks(std::int64_t tasks, int team, const F& f) {
  ensure_blas_memory();
  if (team == 1) {
    const OneThread one;
    for (std::int64_t task = 0; task < tasks; ++task) f(task);
    return;
  }
  CapturedException fault;
#pragma omp parallel for schedule(static) num_threads(team)
  for (std::int64_t task = 0; task < tasks; ++task) fault.guard([&] { f(task); });
  fault.rethrow();
}

/// Calls f(begin, end) on ranges that cover [0, count), several at a time if `operations` in all are worth it.
template <typename F, typename Boundary>
void blas_parts(std::int64_t count, double operations, const F& f, const Boundary& boundary) {
  const int parts = blas_part_count(count, operations);
  blas_tasks(parts, parts, [&](std::int64_t task) {
    const int part = static_cast<int>(task);
    f(blas_cut(count, parts, part, boundary), blas_cut(count, parts, part + 1, boundary));
  });
}

inline double linear_boundary(double share) { return share; }

template <typename F>
void blas_parts(std::int64_t count, double operations, const F& f) {
  blas_parts(count, operations, f, linear_boundary);
}

}  // namespace rtl::kernels::cpu
