// Ridge paths on the host: two products per block of rows, then a pass over penalties and outputs along the rows.
#include <cblas.h>
#include <fmt/format.h>
#include <oneapi/dnnl/dnnl.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <vector>

#include "core/captured_exception.hpp"
#include "kernels/backend/ridge_path.hpp"
#include "kernels/cpu/blas_turn.hpp"
#include "kernels/cpu/parallel.hpp"

namespace rtl::kernels::cpu {
namespace {

std::int64_t row_stride(const ConstView& x) { return x.extent(0) > 1 ? x.strides()[0] : x.extent(1); }

template <typename T>
void sums_typed(const ConstView& x, const double* weights, double* sums) {
  constexpr std::int64_t block_rows = 64;
  const std::int64_t rows = x.extent(0), stride = row_stride(x);
  const T* values = x.data_as<T>();
  std::vector<double> partial(static_cast<std::size_t>(x.extent(1)));
  parallel_ranges(x.extent(1), grain_of(rows), [&](std::int64_t begin, std::int64_t end) {
    double* to = partial.data();
    std::fill(sums + begin, sums + end, 0.0);
    for (std::int64_t row = 0; row < rows; row += block_rows) {
      std::fill(to + begin, to + end, 0.0);
      for (std::int64_t i = row; i < std::min(rows, row + block_rows); ++i) {
        const T* line = values + i * stride;
        const double weight = weights != nullptr ? weights[i] : 1;
        for (std::int64_t j = begin; j < end; ++j) to[j] += weight * static_cast<double>(line[j]);
      }
      for (std::int64_t j = begin; j < end; ++j) sums[j] += to[j];
    }
  });
}

template <typename From, typename To>
void center_typed(const ConstView& x, const double* shift, const double* scale, const View& out) {
  const std::int64_t columns = x.extent(1), from_stride = row_stride(x), to_stride = row_stride(out);
  const From* from = x.data_as<From>();
  To* to = out.data_as<To>();
  const std::vector<double> zeros(shift == nullptr ? static_cast<std::size_t>(columns) : 0);
  const double* middle = shift != nullptr ? shift : zeros.data();
  parallel_ranges(x.extent(0), grain_of(columns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const double factor = scale != nullptr ? scale[i] : 1;
      const From* line = from + i * from_stride;
      To* result = to + i * to_stride;
      for (std::int64_t j = 0; j < columns; ++j) {
        result[j] = static_cast<To>((static_cast<double>(line[j]) - middle[j]) * factor);
      }
    }
  });
}

/// C = A B with k > 0 and rows of the given strides.
void multiply_some(std::int64_t m, std::int64_t n, std::int64_t k, const double* a, const double* b, std::int64_t ldb,
                   double* c) {
  const BlasTurn turn;
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, static_cast<int>(m), static_cast<int>(n), static_cast<int>(k),
              1, a, static_cast<int>(k), b, static_cast<int>(ldb), 0, c, static_cast<int>(n));
}
void multiply_some(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, const float* b, std::int64_t ldb,
                   float* c) {
  ensure_onednn_memory();
  const dnnl_status_t status = dnnl_sgemm('N', 'N', m, n, k, 1, a, k, b, ldb, 0, c, n);
  if (status != dnnl_success) {
    throw Error(fmt::format("ridge_path_errors: oneDNN's sgemm failed with status {}", static_cast<int>(status)));
  }
}

template <typename T>
void multiply(std::int64_t m, std::int64_t n, std::int64_t k, const T* a, const T* b, std::int64_t ldb, T* c) {
  if (k == 0) {
    std::fill(c, c + m * n, T(0));
  } else if (m > 0) {
    multiply_some(m, n, k, a, b, ldb, c);
  }
}

/// One problem of the batch.
template <typename T>
struct Problem {
  std::int64_t n, r, k, s, penalties;
  // Targets, mixing and intercept_leverage may be null.
  const T *basis, *targets, *filters, *mixing, *intercept_leverage;
  std::vector<T> scaled;  // [s, k, r]: rotated times filters

  Problem(const RidgePathRows& rows, std::int64_t index)
      : n(rows.basis.extent(2)),
        r(rows.basis.extent(1)),
        k(rows.rotated.extent(2)),
        s(rows.filters.extent(1)),
        penalties(rows.mixing.given() ? rows.mixing.extent(1) : s),
        basis(at(rows.basis, index)),
        targets(at(rows.targets, index)),
        filters(at(rows.filters, index)),
        mixing(at(rows.mixing, index)),
        intercept_leverage(at(rows.intercept_leverage, index)),
        scaled(static_cast<std::size_t>(s * k * r)) {
    const T* rotated = at(rows.rotated, index);
    for (std::int64_t f = 0; f < s; ++f) {
      for (std::int64_t o = 0; o < k; ++o) {
        T* to = scaled.data() + (f * k + o) * r;
        for (std::int64_t j = 0; j < r; ++j) to[j] = rotated[j * k + o] * filters[f * r + j];
      }
    }
  }

  static const T* at(const ConstView& view, std::int64_t index) {
    return view.given() ? view.data_as<T>() + index * (view.count() / view.extent(0)) : nullptr;
  }
};

/// Memory of one thread.
template <typename T>
class Scorer {
 public:
  Scorer(const Problem<T>& problem, std::int64_t most_rows)
      : p_(problem),
        squares_(static_cast<std::size_t>(p_.r * most_rows)),
        parts_(static_cast<std::size_t>(p_.s * p_.k * most_rows)),
        shares_(static_cast<std::size_t>(p_.s * most_rows)),
        mixed_parts_(p_.mixing != nullptr ? static_cast<std::size_t>(p_.penalties * p_.k * most_rows) : 0),
        mixed_shares_(p_.mixing != nullptr ? static_cast<std::size_t>(p_.penalties * most_rows) : 0),
        inverse_(static_cast<std::size_t>(most_rows)) {}

  /// Adds the squares of rows [begin, end) to left_out and residual, [L, k] each.
  void add(std::int64_t begin, std::int64_t end, double* left_out, double* residual) {
    const std::int64_t m = end - begin;
    for (std::int64_t j = 0; j < p_.r; ++j) {
      const T* from = p_.basis + j * p_.n + begin;
      T* to = squares_.data() + j * m;
      for (std::int64_t i = 0; i < m; ++i) to[i] = from[i] * from[i];
    }
    multiply(p_.s * p_.k, m, p_.r, p_.scaled.data(), p_.basis + begin, p_.n, parts_.data());
    multiply(p_.s, m, p_.r, p_.filters, squares_.data(), m, shares_.data());
    const T* parts = parts_.data();
    const T* shares = shares_.data();
    if (p_.mixing != nullptr) {
      multiply(p_.penalties, p_.k * m, p_.s, p_.mixing, parts, p_.k * m, mixed_parts_.data());
      multiply(p_.penalties, m, p_.s, p_.mixing, shares, m, mixed_shares_.data());
      parts = mixed_parts_.data();
      shares = mixed_shares_.data();
    }
    for (std::int64_t l = 0; l < p_.penalties; ++l) {
      invert_margins(begin, m, shares + l * m);
      for (std::int64_t o = 0; o < p_.k; ++o) {
        const T* targets = p_.targets != nullptr ? p_.targets + o * p_.n + begin : nullptr;
        add_squares(m, targets, parts + (l * p_.k + o) * m, left_out[l * p_.k + o], residual[l * p_.k + o]);
      }
    }
  }

 private:
  void invert_margins(std::int64_t begin, std::int64_t m, const T* share) {
    constexpr T least = static_cast<T>(margin_roundoffs) * std::numeric_limits<T>::epsilon() / 2;
    constexpr T infinity = std::numeric_limits<T>::infinity();
    T* inverse = inverse_.data();
    const T sign = p_.targets != nullptr ? T(-1) : T(1), all = p_.targets != nullptr ? T(1) : T(0);
    for (std::int64_t i = 0; i < m; ++i) {
      const T margin =
          all + sign * share[i] - (p_.intercept_leverage != nullptr ? p_.intercept_leverage[begin + i] : T(0));
      inverse[i] = margin > least ? T(1) / margin : infinity;
    }
  }

  void add_squares(std::int64_t m, const T* targets, const T* part, double& left_out, double& residual) const {
    const T* inverse = inverse_.data();
    double outside = 0, inside = 0;
    bool undetermined = false;
#pragma omp simd reduction(+ : outside, inside) reduction(|| : undetermined)
    for (std::int64_t i = 0; i < m; ++i) {
      const T error = targets != nullptr ? targets[i] - part[i] : part[i];
      const T left = error * inverse[i];
      outside += static_cast<double>(left) * static_cast<double>(left);
      inside += static_cast<double>(error) * static_cast<double>(error);
      undetermined = undetermined || inverse[i] == std::numeric_limits<T>::infinity();
    }
    // 0 times infinity would be NaN.
    left_out += undetermined ? std::numeric_limits<double>::infinity() : outside;
    residual += inside;
  }

  const Problem<T>& p_;
  std::vector<T> squares_, parts_, shares_, mixed_parts_, mixed_shares_, inverse_;
};

constexpr std::int64_t chunk_rows = 128;

/// Chunks of rows side by side; their sums are added in order.
template <typename T>
void score(const Problem<T>& problem, double* left_out, double* residual) {
  const std::int64_t chunks = (problem.n + chunk_rows - 1) / chunk_rows, sums = problem.penalties * problem.k;
  std::vector<double> partial(static_cast<std::size_t>(2 * sums * chunks), 0.0);
  CapturedException fault;
#pragma omp parallel if (chunks > 1 && !omp_in_parallel())
  {
    std::unique_ptr<Scorer<T>> scorer;
    fault.guard([&] { scorer = std::make_unique<Scorer<T>>(problem, std::min(chunk_rows, problem.n)); });
#pragma omp for schedule(static)
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
      if (!scorer) continue;
      double* own = partial.data() + 2 * sums * chunk;
      fault.guard(
          [&] { scorer->add(chunk * chunk_rows, std::min(problem.n, (chunk + 1) * chunk_rows), own, own + sums); });
    }
  }
  fault.rethrow();
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    const double* own = partial.data() + 2 * sums * chunk;
    for (std::int64_t i = 0; i < sums; ++i) {
      left_out[i] += own[i];
      residual[i] += own[sums + i];
    }
  }
}

template <typename T>
void errors_typed(const RidgePathRows& rows, double* left_out, double* residual) {
  const std::int64_t batch = rows.basis.extent(0);
  CapturedException fault;
#pragma omp parallel for schedule(dynamic) if (batch > 1)
  for (std::int64_t i = 0; i < batch; ++i) {
    fault.guard([&] {
      const Problem<T> problem(rows, i);
      const std::int64_t offset = i * problem.penalties * problem.k;
      score(problem, left_out + offset, residual + offset);
    });
  }
  fault.rethrow();
}

const double* optional(const ConstView& view) { return view.given() ? view.data_as<double>() : nullptr; }

}  // namespace

void weighted_column_sums(const Device&, ConstView x, ConstView weights, View sums) {
  double* to = sums.data_as<double>();
  x.dtype() == DType::f32 ? sums_typed<float>(x, optional(weights), to) : sums_typed<double>(x, optional(weights), to);
}

void center_rows(const Device&, ConstView x, ConstView shift, ConstView scale, View out) {
  const double *middle = optional(shift), *factors = optional(scale);
  if (x.dtype() == DType::f32) {
    out.dtype() == DType::f32 ? center_typed<float, float>(x, middle, factors, out)
                              : center_typed<float, double>(x, middle, factors, out);
  } else {
    out.dtype() == DType::f32 ? center_typed<double, float>(x, middle, factors, out)
                              : center_typed<double, double>(x, middle, factors, out);
  }
}

void ridge_path_errors(const Device&, const RidgePathRows& rows, View left_out, View residual) {
  double *outside = left_out.data_as<double>(), *inside = residual.data_as<double>();
  rows.basis.dtype() == DType::f32 ? errors_typed<float>(rows, outside, inside)
                                   : errors_typed<double>(rows, outside, inside);
}

}  // namespace rtl::kernels::cpu
