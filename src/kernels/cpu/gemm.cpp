// Matrix multiplication on the host: oneDNN's sgemm in f32 (faster than OpenBLAS on small and skinny shapes),
// OpenBLAS's dgemm in f64.
#include <cblas.h>

#include <algorithm>
#include <type_traits>
#include <vector>

#include "kernels/backend/gemm.hpp"
#include "kernels/cpu/blas_parts.hpp"
#include "kernels/cpu/onednn.hpp"

namespace rtl::kernels::cpu {
namespace {

/// Distance between rows; BLAS wants at least the row's length, also where there is one row only.
std::int64_t leading_dimension(const ConstView& view) {
  return view.extent(0) > 1 ? view.strides()[0] : std::max<std::int64_t>(1, view.extent(1));
}

template <typename T>
struct Problem {
  bool transpose_a, transpose_b;
  std::int64_t m, n, k;
  T alpha;
  const T* a;
  std::int64_t lda;
  const T* b;
  std::int64_t ldb;
  T beta;
  T* c;
  std::int64_t ldc;
};

void multiply(const Problem<float>& p) {
  const dnnl_status_t status = dnnl_sgemm(p.transpose_a ? 'T' : 'N', p.transpose_b ? 'T' : 'N', p.m, p.n, p.k, p.alpha,
                                          p.a, p.lda, p.b, p.ldb, p.beta, p.c, p.ldc);
  if (status == dnnl_out_of_memory) {
    throw OutOfMemory(fmt::format("gemm: oneDNN has no memory for m={} n={} k={}", p.m, p.n, p.k));
  }
  if (status != dnnl_success) {
    throw Error(fmt::format("gemm: oneDNN's sgemm failed with status {} for m={} n={} k={}", static_cast<int>(status),
                            p.m, p.n, p.k));
  }
}

void multiply(const Problem<double>& p) {
  cblas_dgemm(CblasRowMajor, p.transpose_a ? CblasTrans : CblasNoTrans, p.transpose_b ? CblasTrans : CblasNoTrans,
              static_cast<int>(p.m), static_cast<int>(p.n), static_cast<int>(p.k), p.alpha, p.a,
              static_cast<int>(p.lda), p.b, static_cast<int>(p.ldb), p.beta, p.c, static_cast<int>(p.ldc));
}

/// The larger side of the result is shared by the threads.
template <typename T>
void multiply_parts(const Problem<T>& p) {
  const double operations = 2.0 * static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k);
  const bool rows = p.m >= p.n;
  blas_parts(rows ? p.m : p.n, operations, [&](std::int64_t begin, std::int64_t end) {
    if (begin == end) return;
    Problem<T> part = p;
    (rows ? part.m : part.n) = end - begin;
    if (rows) {
      part.a += begin * (p.transpose_a ? 1 : p.lda);
      part.c += begin * p.ldc;
    } else {
      part.b += begin * (p.transpose_b ? p.ldb : 1);
      part.c += begin;
    }
    multiply(part);
  });
}

template <typename T>
void scale_rows(const Problem<T>& p) {
  for (std::int64_t i = 0; i < p.m; ++i) {
    T* row = p.c + i * p.ldc;
    if (p.beta == T(0)) {
      std::fill(row, row + p.n, T(0));
    } else {
      for (std::int64_t j = 0; j < p.n; ++j) row[j] *= p.beta;
    }
  }
}

template <typename T>
void apply_epilogue(const Problem<T>& p, const T* bias, bool relu) {
#pragma omp parallel for schedule(static) if (p.m * p.n > 65536)
  for (std::int64_t i = 0; i < p.m; ++i) {
    T* row = p.c + i * p.ldc;
    if (bias != nullptr) {
      for (std::int64_t j = 0; j < p.n; ++j) row[j] += bias[j];
    }
    if (relu) {
      // Written so that NaN stays NaN.
      for (std::int64_t j = 0; j < p.n; ++j) row[j] = row[j] < T(0) ? T(0) : row[j];
    }
  }
}

template <typename T>
void gemm_typed(Transpose transpose_a, Transpose transpose_b, double alpha, ConstView a, ConstView b, double beta,
                View c, Epilogue epilogue, ConstView bias) {
  const Problem<T> p{transpose_a == Transpose::yes,
                     transpose_b == Transpose::yes,
                     c.extent(0),
                     c.extent(1),
                     a.extent(transpose_a == Transpose::yes ? 0 : 1),
                     static_cast<T>(alpha),
                     a.data_as<T>(),
                     leading_dimension(a),
                     b.data_as<T>(),
                     leading_dimension(b),
                     static_cast<T>(beta),
                     c.data_as<T>(),
                     leading_dimension(c)};
  if (p.m == 0 || p.n == 0) return;
  if (p.k == 0) {
    scale_rows(p);
  } else {
    multiply_parts(p);
  }
  const bool relu = epilogue == Epilogue::relu || epilogue == Epilogue::bias_relu;
  const bool with_bias = epilogue == Epilogue::bias || epilogue == Epilogue::bias_relu;
  if (relu || with_bias) apply_epilogue(p, with_bias ? bias.data_as<T>() : nullptr, relu);
}

/// Rows are summed in blocks of fixed size, block sums in f64 in row order: the result does not depend on the number of
/// threads, which share the columns.
template <typename T>
void column_sums_typed(ConstView x, View out) {
  constexpr std::int64_t block_rows = 64;
  constexpr std::int64_t block_columns = 64;
  const std::int64_t rows = x.extent(0);
  const std::int64_t columns = x.extent(1);
  const T* values = x.data_as<T>();
  T* sums = out.data_as<T>();
#pragma omp parallel for schedule(static) if (rows * columns > 65536)
  for (std::int64_t first = 0; first < columns; first += block_columns) {
    const std::int64_t count = std::min(block_columns, columns - first);
    double total[block_columns] = {};
    for (std::int64_t row = 0; row < rows; row += block_rows) {
      T partial[block_columns] = {};
      for (std::int64_t i = row; i < std::min(rows, row + block_rows); ++i) {
        const T* line = values + i * columns + first;
        for (std::int64_t j = 0; j < count; ++j) partial[j] += line[j];
      }
      for (std::int64_t j = 0; j < count; ++j) total[j] += static_cast<double>(partial[j]);
    }
    for (std::int64_t j = 0; j < count; ++j) sums[first + j] = static_cast<T>(total[j]);
  }
}

}  // namespace

void gemm(const Device&, Transpose transpose_a, Transpose transpose_b, double alpha, ConstView a, ConstView b,
          double beta, View c, Epilogue epilogue, ConstView bias) {
  if (c.dtype() == DType::f32) {
    gemm_typed<float>(transpose_a, transpose_b, alpha, a, b, beta, c, epilogue, bias);
  } else {
    gemm_typed<double>(transpose_a, transpose_b, alpha, a, b, beta, c, epilogue, bias);
  }
}

void column_sums(const Device&, ConstView x, View out) {
  if (x.dtype() == DType::f32) {
    column_sums_typed<float>(x, out);
  } else {
    column_sums_typed<double>(x, out);
  }
}

}  // namespace rtl::kernels::cpu
