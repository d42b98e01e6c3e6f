// One matrix product, and a batch of them, as the host's libraries are asked for them.
#pragma once

#include <cstdint>

#include "rtl/core/dtype.hpp"

namespace rtl::kernels::cpu {

/// c = epilogue(alpha * op(a) * op(b) + beta * c), a and b of type T, c of type Result.
template <typename T, typename Result = T>
struct Problem {
  using Number = Arithmetic<T>;
  bool transpose_a, transpose_b;
  std::int64_t m, n, k;
  Number alpha;
  const T* a;
  std::int64_t lda;
  const T* b;
  std::int64_t ldb;
  Number beta;
  Result* c;
  std::int64_t ldc;
  const Number* bias;  ///< [n] or null
  bool relu;

  bool empty() const { return m == 0 || n == 0; }
  /// Rows, or columns, [begin, end) of the result.
  Problem part(bool rows, std::int64_t begin, std::int64_t end) const {
    Problem p = *this;
    (rows ? p.m : p.n) = end - begin;
    if (rows) {
      p.a += begin * (transpose_a ? 1 : lda);
      p.c += begin * ldc;
    } else {
      p.b += begin * (transpose_b ? ldb : 1);
      p.c += begin;
      if (bias != nullptr) p.bias += begin;
    }
    return p;
  }
};

/// As many problems of one kind: the distances between their operands, 0 where they share one.
template <typename T, typename Result = T>
struct Batch {
  Problem<T, Result> first;
  std::int64_t count, stride_a, stride_b, stride_c, stride_bias;

  Problem<T, Result> operator[](std::int64_t i) const {
    Problem<T, Result> p = first;
    p.a += i * stride_a;
    p.b += i * stride_b;
    p.c += i * stride_c;
    if (p.bias != nullptr) p.bias += i * stride_bias;
    return p;
  }
};

}  // namespace rtl::kernels::cpu
