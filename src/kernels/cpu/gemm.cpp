// Matrix multiplication on the host: oneDNN's sgemm in f32 (faster than OpenBLAS on small and skinny shapes),
// OpenBLAS's dgemm in f64.
#include <cblas.h>

#include <algorithm>
#include <type_traits>

#include "kernels/backend/gemm.hpp"
#include "kernels/cpu/blas_parts.hpp"
#include "kernels/cpu/onednn.hpp"

namespace rtl::kernels::cpu {
namespace {

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

/// As many problems of one kind: the distances between their matrices, 0 where they share one.
template <typename T>
struct Batch {
  Problem<T> first;
  std::int64_t count, stride_a, stride_b, stride_c;

  Problem<T> operator[](std::int64_t i) const {
    Problem<T> p = first;
    p.a += i * stride_a;
    p.b += i * stride_b;
    p.c += i * stride_c;
    return p;
  }
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

/// Part [begin, end) of the rows, or columns, of the result.
template <typename T>
void multiply_part(Problem<T> p, bool rows, std::int64_t begin, std::int64_t end) {
  if (begin == end) return;
  (rows ? p.m : p.n) = end - begin;
  if (rows) {
    p.a += begin * (p.transpose_a ? 1 : p.lda);
    p.c += begin * p.ldc;
  } else {
    p.b += begin * (p.transpose_b ? p.ldb : 1);
    p.c += begin;
  }
  multiply(p);
}

/// The threads share the products and, of each, parts of the larger side of its result. A product is cut as if it were
/// alone, so that its bits do not depend on the batch.
template <typename T>
void multiply_all(const Batch<T>& batch) {
  const Problem<T>& p = batch.first;
  const double operations = 2.0 * static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k);
  const bool rows = p.m >= p.n;
  const std::int64_t side = rows ? p.m : p.n;
  const int parts = blas_part_count(side, operations);
  const std::int64_t tasks = batch.count * parts;
  const int team = std::max(parts, blas_part_count(tasks, operations * static_cast<double>(batch.count)));
  blas_tasks(tasks, team, [&](std::int64_t task) {
    const int part = static_cast<int>(task % parts);
    multiply_part(batch[task / parts], rows, blas_cut(side, parts, part, linear_boundary),
                  blas_cut(side, parts, part + 1, linear_boundary));
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

/// `bias` holds a row for each product, `bias_stride` apart; null: none.
template <typename T>
void apply_epilogue(const Batch<T>& batch, const T* bias, std::int64_t bias_stride, bool relu) {
  const Problem<T>& p = batch.first;
  const std::int64_t rows = batch.count * p.m;
#pragma omp parallel for schedule(static) if (rows * p.n > 65536)
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::int64_t product = i / p.m;
    T* row = p.c + product * batch.stride_c + (i - product * p.m) * p.ldc;
    if (bias != nullptr) {
      const T* summand = bias + product * bias_stride;
      for (std::int64_t j = 0; j < p.n; ++j) row[j] += summand[j];
    }
    if (relu) {
      // Written so that NaN stays NaN.
      for (std::int64_t j = 0; j < p.n; ++j) row[j] = row[j] < T(0) ? T(0) : row[j];
    }
  }
}

/// Distance between the matrices of a batch.
std::int64_t batch_stride(const ConstView& batch) { return batch.extent(0) > 1 ? batch.strides()[0] : 0; }

/// Distance between rows; BLAS wants at least the row's length, also where there is one row only.
std::int64_t leading_dimension(const ConstView& batch) {
  return batch.extent(1) > 1 ? batch.strides()[1] : std::max<std::int64_t>(1, batch.extent(2));
}

template <typename T>
void gemm_typed(Transpose transpose_a, Transpose transpose_b, double alpha, ConstView a, ConstView b, double beta,
                View c, Epilogue epilogue, ConstView bias) {
  const Problem<T> first{transpose_a == Transpose::yes,
                         transpose_b == Transpose::yes,
                         c.extent(1),
                         c.extent(2),
                         a.extent(transpose_a == Transpose::yes ? 1 : 2),
                         static_cast<T>(alpha),
                         a.data_as<T>(),
                         leading_dimension(a),
                         b.data_as<T>(),
                         leading_dimension(b),
                         static_cast<T>(beta),
                         c.data_as<T>(),
                         leading_dimension(c)};
  const Batch<T> batch{first, c.extent(0), batch_stride(a), batch_stride(b), batch_stride(c)};
  if (c.count() == 0) return;
  if (first.k > 0) {
    multiply_all(batch);
  } else {
    for (std::int64_t i = 0; i < batch.count; ++i) scale_rows(batch[i]);
  }
  const bool relu = epilogue == Epilogue::relu || epilogue == Epilogue::bias_relu;
  if (!relu && !bias.given()) return;
  apply_epilogue(batch, bias.given() ? bias.data_as<T>() : nullptr, bias.given() ? batch_stride(bias) : 0, relu);
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

void gemm(const Device& device, Transpose transpose_a, Transpose transpose_b, double alpha, ConstView a, ConstView b,
          double beta, View c, Epilogue epilogue, ConstView bias) {
  cpu::gemm_batched(device, transpose_a, transpose_b, alpha, batch_of_one(a), batch_of_one(b), beta, batch_of_one(c),
                    epilogue, bias.given() ? bias.reshaped({1, 1, bias.count()}) : ConstView());
}

void gemm_batched(const Device&, Transpose transpose_a, Transpose transpose_b, double alpha, ConstView a, ConstView b,
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
