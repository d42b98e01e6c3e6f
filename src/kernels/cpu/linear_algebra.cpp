// Linear algebra on the host: OpenBLAS and LAPACK. LAPACK thinks in columns: a row-major matrix is the transposed
// column-major one, so the lower triangle here is its upper one, and rows of eigenvectors are its columns.
#include <cblas.h>
#include <fmt/format.h>
#include <lapacke.h>
#include <omp.h>

#include <algorithm>
#include <vector>

#include "kernels/backend/gemm.hpp"
#include "kernels/backend/linear_algebra.hpp"
#include "kernels/cpu/blas_turn.hpp"
#include "kernels/cpu/fault.hpp"

namespace rtl::kernels::cpu {
namespace {

void syrk(GramOf of, int order, int inner, float alpha, const float* x, int stride, float beta, float* g) {
  const BlasTurn turn;
  cblas_ssyrk(CblasRowMajor, CblasLower, of == GramOf::columns ? CblasTrans : CblasNoTrans, order, inner, alpha, x,
              stride, beta, g, order);
}
void syrk(GramOf of, int order, int inner, double alpha, const double* x, int stride, double beta, double* g) {
  const BlasTurn turn;
  cblas_dsyrk(CblasRowMajor, CblasLower, of == GramOf::columns ? CblasTrans : CblasNoTrans, order, inner, alpha, x,
              stride, beta, g, order);
}
int syevd(int n, float* a, float* w) {
  const BlasTurn turn;
  return LAPACKE_ssyevd(LAPACK_COL_MAJOR, 'V', 'U', n, a, n, w);
}
int syevd(int n, double* a, double* w) {
  const BlasTurn turn;
  return LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'U', n, a, n, w);
}
int potrf(int n, float* a) {
  const BlasTurn turn;
  return LAPACKE_spotrf(LAPACK_COL_MAJOR, 'U', n, a, n);
}
int potrf(int n, double* a) {
  const BlasTurn turn;
  return LAPACKE_dpotrf(LAPACK_COL_MAJOR, 'U', n, a, n);
}
void trsm(CBLAS_TRANSPOSE transpose, int n, int m, const float* l, float* b) {
  const BlasTurn turn;
  cblas_strsm(CblasRowMajor, CblasLeft, CblasLower, transpose, CblasNonUnit, n, m, 1, l, n, b, m);
}
void trsm(CBLAS_TRANSPOSE transpose, int n, int m, const double* l, double* b) {
  const BlasTurn turn;
  cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, transpose, CblasNonUnit, n, m, 1, l, n, b, m);
}
int gelqf(int n, int m, float* a, float* tau) {
  const BlasTurn turn;
  return LAPACKE_sgelqf(LAPACK_COL_MAJOR, n, m, a, n, tau);
}
int gelqf(int n, int m, double* a, double* tau) {
  const BlasTurn turn;
  return LAPACKE_dgelqf(LAPACK_COL_MAJOR, n, m, a, n, tau);
}
int orglq(int n, int m, float* a, const float* tau) {
  const BlasTurn turn;
  return LAPACKE_sorglq(LAPACK_COL_MAJOR, n, m, n, a, n, tau);
}
int orglq(int n, int m, double* a, const double* tau) {
  const BlasTurn turn;
  return LAPACKE_dorglq(LAPACK_COL_MAJOR, n, m, n, a, n, tau);
}
int gesdd(int n, int m, float* a, float* s, float* u, float* vt) {
  const BlasTurn turn;
  return LAPACKE_sgesdd(LAPACK_COL_MAJOR, 'S', n, m, a, n, s, u, n, vt, std::min(n, m));
}
int gesdd(int n, int m, double* a, double* s, double* u, double* vt) {
  const BlasTurn turn;
  return LAPACKE_dgesdd(LAPACK_COL_MAJOR, 'S', n, m, a, n, s, u, n, vt, std::min(n, m));
}

/// LAPACK's verdict; a negative one says that we called it wrongly, or that it had no memory.
int checked(const char* routine, int info) {
  if (info >= 0) return info;
  throw Error(fmt::format("{} refused argument {} (or had no memory for its workspace)", routine, -info));
}

/// Calls f(index) for each matrix of a batch; several matrices side by side, each then with one thread of BLAS.
template <typename F>
void for_each(std::int64_t count, const F& f) {
  if (count == 1) return f(0);
  Fault fault;
#pragma omp parallel for schedule(dynamic)
  for (std::int64_t i = 0; i < count; ++i) fault.guard([&] { f(i); });
  fault.rethrow();
}

template <typename T>
void gram_typed(GramOf of, double alpha, const ConstView& x, double beta, const View& g) {
  const auto order = static_cast<int>(g.extent(2));
  const auto inner = static_cast<int>(x.extent(of == GramOf::columns ? 1 : 2));
  const auto stride = static_cast<int>(std::max({x.strides()[1], x.extent(2), std::int64_t{1}}));
  const T* from = x.data_as<T>();
  T* to = g.data_as<T>();
  for_each(g.extent(0), [&](std::int64_t i) {
    syrk(of, order, inner, static_cast<T>(alpha), from + i * x.extent(1) * x.extent(2), stride, static_cast<T>(beta),
         to + i * order * order);
  });
}

template <typename T>
std::int64_t eigen_typed(const View& a, const View& values) {
  const std::int64_t n = a.extent(2);
  T* matrices = a.data_as<T>();
  T* results = values.data_as<T>();
  std::vector<int> verdicts(static_cast<std::size_t>(a.extent(0)));
  for_each(a.extent(0), [&](std::int64_t i) {
    verdicts[static_cast<std::size_t>(i)] = syevd(static_cast<int>(n), matrices + i * n * n, results + i * n);
  });
  std::int64_t failed = 0;
  for (const int verdict : verdicts) failed += checked("syevd", verdict) > 0 ? 1 : 0;
  return failed;
}

template <typename T>
void solve_typed(const ConstView& factor, const View& b) {
  const auto n = static_cast<int>(b.extent(0)), m = static_cast<int>(b.extent(1));
  trsm(CblasNoTrans, n, m, factor.data_as<T>(), b.data_as<T>());
  trsm(CblasTrans, n, m, factor.data_as<T>(), b.data_as<T>());
}

// A' = L Q for the column-major A' that a row-major A is; so A = Q' L'.
template <typename T>
void qr_typed(const View& a, const View& r) {
  const std::int64_t m = a.extent(0), n = a.extent(1);
  std::vector<T> tau(static_cast<std::size_t>(n));
  T* matrix = a.data_as<T>();
  checked("gelqf", gelqf(static_cast<int>(n), static_cast<int>(m), matrix, tau.data()));
  T* upper = r.data_as<T>();
  // L' row by row: element (i, j) of L' is L(j, i), which is stored at i * n + j.
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j) upper[i * n + j] = j >= i ? matrix[i * n + j] : T(0);
  }
  checked("orglq", orglq(static_cast<int>(n), static_cast<int>(m), matrix, tau.data()));
}

}  // namespace

void gram(const Device&, GramOf of, double alpha, ConstView x, double beta, View g) {
  g.dtype() == DType::f32 ? gram_typed<float>(of, alpha, x, beta, g) : gram_typed<double>(of, alpha, x, beta, g);
}

void batched_gemm(const Device& device, Transpose transpose_a, Transpose transpose_b, double alpha, ConstView a,
                  ConstView b, double beta, View c) {
  const auto matrix = [](const auto& batch, std::int64_t i) {
    return batch.slice(0, i, i + 1).reshaped({batch.extent(1), batch.extent(2)});
  };
  for_each(c.extent(0), [&](std::int64_t i) {
    cpu::gemm(device, transpose_a, transpose_b, alpha, matrix(a, i), matrix(b, i), beta, matrix(c, i), Epilogue::none,
              {});
  });
}

std::int64_t symmetric_eigen(const Device&, View a, View values) {
  return a.dtype() == DType::f32 ? eigen_typed<float>(a, values) : eigen_typed<double>(a, values);
}

std::int64_t cholesky_factor(const Device&, View a) {
  const auto n = static_cast<int>(a.extent(0));
  return checked("potrf", a.dtype() == DType::f32 ? potrf(n, a.data_as<float>()) : potrf(n, a.data_as<double>()));
}

void cholesky_solve(const Device&, ConstView factor, View b) {
  b.dtype() == DType::f32 ? solve_typed<float>(factor, b) : solve_typed<double>(factor, b);
}

void qr(const Device&, View a, View r) { a.dtype() == DType::f32 ? qr_typed<float>(a, r) : qr_typed<double>(a, r); }

bool svd(const Device&, View a, View u, View values, View vt) {
  const auto m = static_cast<int>(a.extent(0)), n = static_cast<int>(a.extent(1));
  const int info =
      a.dtype() == DType::f32
          ? gesdd(n, m, a.data_as<float>(), values.data_as<float>(), vt.data_as<float>(), u.data_as<float>())
          : gesdd(n, m, a.data_as<double>(), values.data_as<double>(), vt.data_as<double>(), u.data_as<double>());
  return checked("gesdd", info) == 0;
}

}  // namespace rtl::kernels::cpu
