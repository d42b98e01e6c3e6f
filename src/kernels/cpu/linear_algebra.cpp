// Linear algebra on the host: OpenBLAS and LAPACK. LAPACK thinks in columns: a row-major matrix is the transposed
// column-major one, so the lower triangle here is its upper one, and rows of eigenvectors are its columns.
#include <cblas.h>
#include <fmt/format.h>
#include <lapacke.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/captured_exception.hpp"
#include "kernels/backend/gemm.hpp"
#include "kernels/backend/linear_algebra.hpp"
#include "kernels/backend/pointwise.hpp"
#include "kernels/cpu/blas_parts.hpp"
#include "kernels/cpu/blas_turn.hpp"

namespace rtl::kernels::cpu {
namespace {

void syrk(CBLAS_TRANSPOSE transpose, int order, int inner, float alpha, const float* x, int stride, float beta,
          float* g, int g_stride) {
  cblas_ssyrk(CblasRowMajor, CblasLower, transpose, order, inner, alpha, x, stride, beta, g, g_stride);
}
void syrk(CBLAS_TRANSPOSE transpose, int order, int inner, double alpha, const double* x, int stride, double beta,
          double* g, int g_stride) {
  cblas_dsyrk(CblasRowMajor, CblasLower, transpose, order, inner, alpha, x, stride, beta, g, g_stride);
}
void gemm(CBLAS_TRANSPOSE a, CBLAS_TRANSPOSE b, int m, int n, int k, float alpha, const float* x, const float* y,
          int stride, float beta, float* c, int c_stride) {
  cblas_sgemm(CblasRowMajor, a, b, m, n, k, alpha, x, stride, y, stride, beta, c, c_stride);
}
void gemm(CBLAS_TRANSPOSE a, CBLAS_TRANSPOSE b, int m, int n, int k, double alpha, const double* x, const double* y,
          int stride, double beta, double* c, int c_stride) {
  cblas_dgemm(CblasRowMajor, a, b, m, n, k, alpha, x, stride, y, stride, beta, c, c_stride);
}
int sytrd(int n, float* a, float* d, float* e, float* tau) {
  return LAPACKE_ssytrd(LAPACK_COL_MAJOR, 'U', n, a, n, d, e, tau);
}
int sytrd(int n, double* a, double* d, double* e, double* tau) {
  return LAPACKE_dsytrd(LAPACK_COL_MAJOR, 'U', n, a, n, d, e, tau);
}
int stedc(int n, float* d, float* e, float* z) { return LAPACKE_sstedc(LAPACK_COL_MAJOR, 'I', n, d, e, z, n); }
int stedc(int n, double* d, double* e, double* z) { return LAPACKE_dstedc(LAPACK_COL_MAJOR, 'I', n, d, e, z, n); }
int ormtr(int n, int columns, const float* a, const float* tau, float* z) {
  return LAPACKE_sormtr(LAPACK_COL_MAJOR, 'L', 'U', 'N', n, columns, a, n, tau, z, n);
}
int ormtr(int n, int columns, const double* a, const double* tau, double* z) {
  return LAPACKE_dormtr(LAPACK_COL_MAJOR, 'L', 'U', 'N', n, columns, a, n, tau, z, n);
}
int potrf(int n, float* a, int stride) { return LAPACKE_spotrf(LAPACK_COL_MAJOR, 'U', n, a, stride); }
int potrf(int n, double* a, int stride) { return LAPACKE_dpotrf(LAPACK_COL_MAJOR, 'U', n, a, stride); }
void solve_rows(int m, int n, const float* l, float* b, int stride) {
  cblas_strsm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, m, n, 1, l, stride, b, stride);
}
void solve_rows(int m, int n, const double* l, double* b, int stride) {
  cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, m, n, 1, l, stride, b, stride);
}
void trsm(CBLAS_TRANSPOSE transpose, int n, int m, const float* l, float* b, int stride) {
  cblas_strsm(CblasRowMajor, CblasLeft, CblasLower, transpose, CblasNonUnit, n, m, 1, l, n, b, stride);
}
void trsm(CBLAS_TRANSPOSE transpose, int n, int m, const double* l, double* b, int stride) {
  cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, transpose, CblasNonUnit, n, m, 1, l, n, b, stride);
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
  if (info == LAPACK_WORK_MEMORY_ERROR || info == LAPACK_TRANSPOSE_MEMORY_ERROR) {
    throw OutOfMemory(fmt::format("{}: LAPACK has no memory for its workspace", routine));
  }
  throw Error(fmt::format("{} refused argument {}", routine, -info));
}

/// Calls f(index) for each matrix of a batch; several matrices side by side, each then with one thread of BLAS.
template <typename F>
void for_each(std::int64_t count, const F& f) {
  if (count == 1) return f(0);
  CapturedException fault;
#pragma omp parallel for schedule(dynamic)
  for (std::int64_t i = 0; i < count; ++i) fault.guard([&] { f(i); });
  fault.rethrow();
}

/// The lower triangle, in bands of rows of equal area.
template <typename T>
void symmetric_product(GramOf of, std::int64_t order, std::int64_t inner, T alpha, const T* x, int stride, T beta, T* g,
                       int g_stride) {
  const bool columns = of == GramOf::columns;
  const std::int64_t step = columns ? 1 : stride;
  const auto transpose = columns ? CblasTrans : CblasNoTrans, other = columns ? CblasNoTrans : CblasTrans;
  const double operations = static_cast<double>(order) * static_cast<double>(order) * static_cast<double>(inner);
  const auto band = [&](std::int64_t begin, std::int64_t end) {
    const auto height = static_cast<int>(end - begin), depth = static_cast<int>(inner);
    if (height == 0) return;
    T* rows = g + begin * g_stride;
    if (begin > 0) {
      gemm(transpose, other, height, static_cast<int>(begin), depth, alpha, x + begin * step, x, stride, beta, rows,
           g_stride);
    }
    syrk(transpose, height, depth, alpha, x + begin * step, stride, beta, rows + begin, g_stride);
  };
  blas_parts(order, operations, band, [](double share) { return std::sqrt(share); });
}

template <typename T>
void gram_typed(GramOf of, double alpha, const ConstView& x, double beta, const View& g) {
  const std::int64_t order = g.extent(2);
  const std::int64_t inner = x.extent(of == GramOf::columns ? 1 : 2);
  const auto stride = static_cast<int>(std::max({x.strides()[1], x.extent(2), std::int64_t{1}}));
  const T* from = x.data_as<T>();
  T* to = g.data_as<T>();
  for_each(g.extent(0), [&](std::int64_t i) {
    symmetric_product(of, order, inner, static_cast<T>(alpha), from + i * x.extent(1) * x.extent(2), stride,
                      static_cast<T>(beta), to + i * order * order, static_cast<int>(order));
  });
}

/// Scales a matrix whose largest element is so small or large that squares of its elements leave the range of T;
/// returns by how much.
template <typename T>
T scale_into_range(std::int64_t n, T* a) {
  constexpr T smallest = std::numeric_limits<T>::min() / (std::numeric_limits<T>::epsilon() / 2);
  const T low = std::sqrt(smallest), high = std::sqrt(1 / smallest);
  T largest = 0;
  for (std::int64_t i = 0; i < n * n; ++i) largest = std::max(largest, std::abs(a[i]));
  if (!(largest > 0) || !std::isfinite(largest) || (largest >= low && largest <= high)) return 1;
  const T scale = (largest < low ? low : high) / largest;
  for (std::int64_t i = 0; i < n * n; ++i) a[i] *= scale;
  return scale;
}

/// What syevd does, in its three steps: of these the first gains nothing from threads that meet at every column, and
/// the last is cut by eigenvectors. Returns LAPACK's verdict.
template <typename T>
int eigen_one(std::int64_t n, T* a, T* values) {
  if (n == 0) return 0;
  const auto order = static_cast<int>(n);
  const T scale = scale_into_range(n, a);
  std::vector<T> beside(static_cast<std::size_t>(n)), tau(static_cast<std::size_t>(n));
  std::vector<T> vectors(static_cast<std::size_t>(n * n));
  {
    const OneThread one;
    checked("sytrd", sytrd(order, a, values, beside.data(), tau.data()));
    const int verdict = checked("stedc", stedc(order, values, beside.data(), vectors.data()));
    if (verdict > 0) return verdict;
  }
  const double size = static_cast<double>(n);
  blas_parts(n, 2 * size * size * size, [&](std::int64_t begin, std::int64_t end) {
    if (begin == end) return;
    // LAPACK writes to the reflectors while it works and restores them, so parts cannot share them.
    const bool whole = begin == 0 && end == n;
    const std::vector<T> copy(whole ? nullptr : a, whole ? nullptr : a + n * n);
    const T* reflectors = whole ? a : copy.data();
    checked("ormtr", ormtr(order, static_cast<int>(end - begin), reflectors, tau.data(), vectors.data() + begin * n));
  });
  std::copy(vectors.begin(), vectors.end(), a);
  for (std::int64_t i = 0; i < n; ++i) values[i] /= scale;
  return 0;
}

template <typename T>
std::int64_t eigen_typed(const View& a, const View& values) {
  const std::int64_t n = a.extent(2);
  T* matrices = a.data_as<T>();
  T* results = values.data_as<T>();
  std::vector<int> verdicts(static_cast<std::size_t>(a.extent(0)));
  for_each(a.extent(0), [&](std::int64_t i) {
    verdicts[static_cast<std::size_t>(i)] = eigen_one(n, matrices + i * n * n, results + i * n);
  });
  return std::count_if(verdicts.begin(), verdicts.end(), [](int verdict) { return verdict > 0; });
}

/// Blocks of columns; what remains behind each is updated in parts. Returns LAPACK's verdict.
template <typename T>
int cholesky_typed(std::int64_t n, T* a) {
  constexpr std::int64_t block = 256;
  const auto stride = static_cast<int>(n);
  for (std::int64_t begin = 0; begin < n; begin += block) {
    const std::int64_t width = std::min(block, n - begin), below = n - begin - width;
    T* diagonal = a + begin * n + begin;
    {
      const OneThread one;
      const int verdict = checked("potrf", potrf(static_cast<int>(width), diagonal, stride));
      if (verdict > 0) return static_cast<int>(begin) + verdict;
    }
    if (below == 0) break;
    T* panel = diagonal + width * n;
    const double size = static_cast<double>(width);
    blas_parts(below, size * size * static_cast<double>(below), [&](std::int64_t first, std::int64_t last) {
      if (first == last) return;
      solve_rows(static_cast<int>(last - first), static_cast<int>(width), diagonal, panel + first * n, stride);
    });
    symmetric_product(GramOf::rows, below, width, T(-1), panel, stride, T(1), panel + width, stride);
  }
  return 0;
}

template <typename T>
void solve_typed(const ConstView& factor, const View& b) {
  const auto n = static_cast<int>(b.extent(0));
  const std::int64_t m = b.extent(1);
  const double size = static_cast<double>(n);
  blas_parts(m, 2 * size * size * static_cast<double>(m), [&](std::int64_t begin, std::int64_t end) {
    for (const auto transpose : {CblasNoTrans, CblasTrans}) {
      if (begin == end) break;
      trsm(transpose, n, static_cast<int>(end - begin), factor.data_as<T>(), b.data_as<T>() + begin,
           static_cast<int>(m));
    }
  });
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

std::int64_t symmetric_eigen(const Device&, View a, View values) {
  return a.dtype() == DType::f32 ? eigen_typed<float>(a, values) : eigen_typed<double>(a, values);
}

void queued_symmetric_eigen(const Device& device, View a, View values, View /*work*/) {
  const std::int64_t n = a.extent(0);
  if (cpu::symmetric_eigen(device, a.reshaped({1, n, n}), values.reshaped({1, n})) == 0) return;
  cpu::fill(device, std::numeric_limits<double>::quiet_NaN(), a);
  cpu::fill(device, std::numeric_limits<double>::quiet_NaN(), values);
}

std::int64_t cholesky_factor(const Device&, View a) {
  const auto n = static_cast<int>(a.extent(0));
  return a.dtype() == DType::f32 ? cholesky_typed(n, a.data_as<float>()) : cholesky_typed(n, a.data_as<double>());
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
