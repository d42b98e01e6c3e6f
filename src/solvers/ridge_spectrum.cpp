#include "solvers/ridge_spectrum.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "rtl/kernels/gemm.hpp"
#include "rtl/kernels/linear_algebra.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/reduce.hpp"
#include "rtl/kernels/ridge_path.hpp"
#include "solvers/arguments.hpp"

namespace rtl::solvers {
namespace {

using kernels::GramOf;
using kernels::Transpose;

// A Gram matrix in f64 is wrong by some 1e-16 of its largest eigenvalue, in f32 by some 1e-8.
constexpr double resolution_f64 = 1e-12, resolution_f32 = 1e-6;
// Sums of squares in f32 within these leave its exponents room for products and inverses of all that is resolved.
constexpr double least_f32 = 1e-30, most_f32 = 1e30;

double resolution_of(const RidgeRows& rows) {
  return rows.arithmetic() == DType::f32 ? resolution_f32 : resolution_f64;
}

Tensor product(const Device& device, Transpose transpose_a, Transpose transpose_b, ConstView a, ConstView b) {
  Tensor c({a.extent(transpose_a == Transpose::no ? 0 : 1), b.extent(transpose_b == Transpose::no ? 1 : 0)}, a.dtype(),
           device);
  kernels::gemm(device, transpose_a, transpose_b, 1.0, a, b, 0.0, c);
  return c;
}

Tensor dense_copy(const Device& device, ConstView matrix) {
  Tensor copy(matrix.shape(), matrix.dtype(), device);
  kernels::unary(device, kernels::UnaryOp::copy, matrix, copy);
  return copy;
}

void clip_negative(std::vector<double>& values) {
  for (double& value : values) value = std::max(value, 0.0);
}

std::vector<double> diagonal_of(const Device& device, const Tensor& matrix) {
  const std::int64_t n = matrix.extent(0);
  Tensor diagonal({n}, DType::f64, device);
  kernels::unary(device, kernels::UnaryOp::copy,
                 ConstView(matrix.view().data(), DType::f64, Shape{n}, Strides{n + 1}, &device.context()), diagonal);
  return diagonal.to_vector<double>();
}

/// Adds c u u' to the lower triangle of q, with c above all its eigenvalues: u, which q maps to 0, becomes the
/// eigenvector of the largest, apart from other directions that q maps to 0.
void lift(const Device& device, const Tensor& direction, Tensor& q) {
  Tensor squares(q.shape(), DType::f64, device);
  kernels::unary(device, kernels::UnaryOp::square, q, squares);
  Tensor sum({1, 1}, DType::f64, device);
  kernels::reduce(device, kernels::ReduceOp::sum, squares, sum);
  const double norm = std::sqrt(2 * sum.item<double>());
  const ConstView column = direction.view().reshaped({direction.extent(0), 1});
  kernels::gram(device, GramOf::rows, norm > 0 ? 2 * norm : 1.0, column, 1.0, q);
}

std::vector<double> squares_of(const std::vector<double>& targets, std::int64_t outputs) {
  std::vector<double> squares(static_cast<std::size_t>(outputs), 0.0);
  const std::size_t rows = targets.size() / squares.size();
  for (std::size_t o = 0; o < squares.size(); ++o) {
    for (std::size_t i = 0; i < rows; ++i) squares[o] += targets[o * rows + i] * targets[o * rows + i];
  }
  return squares;
}

/// U'R, and the sums of squares, from U' [components, n].
void rotate_targets(const RidgeRows& rows, Spectrum& spectrum) {
  const Tensor targets = rows.all_targets();
  spectrum.squares = squares_of(targets.to_vector<double>(), rows.outputs());
  if (spectrum.components() == 0) return;
  spectrum.rotated = product(rows.device(), Transpose::no, Transpose::yes, spectrum.left, targets).to_vector<double>();
}

/// X in f64; an extra column for the intercept's direction if there is one.
Tensor checked_features(std::string_view call, const RidgeRows& rows, std::int64_t extra) {
  Tensor all = rows.all_features(extra);
  if (!kernels::all_finite(rows.device(), all)) rows.report_not_finite(call);
  if (!kernels::all_finite(rows.device(), rows.all_targets())) rows.report_not_finite(call);
  return all;
}

double norm_of(const Device& device, ConstView matrix) {
  Tensor squares(matrix.shape(), DType::f64, device);
  kernels::unary(device, kernels::UnaryOp::square, matrix, squares);
  Tensor sum({1, 1}, DType::f64, device);
  kernels::reduce(device, kernels::ReduceOp::sum, squares, sum);
  return std::sqrt(sum.item<double>());
}

bool in_f32_range(double squares) { return squares >= least_f32 && squares <= most_f32; }

[[noreturn]] void refuse_f32(std::string_view call, std::string_view what, double squares) {
  throw ValueError(
      fmt::format("{}: sums of squares of {} reach {:.2g} in f32 arithmetic, which is good from {} to {}; scale the "
                  "columns, or use RidgeArithmetic::f64",
                  call, what, squares, least_f32, most_f32));
}

/// `squares` of rows or columns of x were taken in f32: refuses where they leave its range but are not exactly 0.
void check_f32_features(std::string_view call, const RidgeRows& rows, std::span<const double> squares) {
  const double largest = *std::max_element(squares.begin(), squares.end());
  if (in_f32_range(largest)) return;
  if (largest < least_f32 && norm_of(rows.device(), rows.all_features()) == 0) return;
  refuse_f32(call, "x", largest);
}

/// The same for each target; one that does not vary may be 0 to rounding.
void check_f32_targets(std::string_view call, const RidgeRows& rows, std::span<const double> squares) {
  if (std::all_of(squares.begin(), squares.end(), in_f32_range)) return;
  const std::vector<double> exact = squares_of(rows.all_targets().to_vector<double>(), rows.outputs());
  const std::vector<double> negligible = rows.negligible_squares();
  for (std::size_t o = 0; o < squares.size(); ++o) {
    if (!in_f32_range(squares[o]) && exact[o] > negligible[o]) refuse_f32(call, "y", squares[o]);
  }
}

/// [X R]'[X R], lower triangle, block by block of rows.
Tensor gram_of_rows(std::string_view call, const RidgeRows& rows) {
  const Device& device = rows.device();
  const std::int64_t width = rows.features() + rows.outputs();
  Tensor gram = Tensor::zeros({width, width}, DType::f64, device);
  const bool narrow = rows.arithmetic() == DType::f32;
  const std::int64_t step = rows.block_rows();
  Tensor block({step, width}, rows.arithmetic(), device);
  Tensor partial = narrow ? Tensor::zeros(gram.shape(), DType::f32, device) : Tensor();
  Tensor widened = narrow ? Tensor(gram.shape(), DType::f64, device) : Tensor();
  for (std::int64_t begin = 0; begin < rows.rows(); begin += step) {
    const std::int64_t end = std::min(rows.rows(), begin + step);
    const View part = block.view().slice(0, 0, end - begin);
    rows.prepare(begin, end, part);
    if (!narrow) {
      kernels::gram(device, GramOf::columns, 1.0, part, begin == 0 ? 0.0 : 1.0, gram);
      continue;
    }
    kernels::gram(device, GramOf::columns, 1.0, part, 0.0, partial);
    kernels::cast(device, partial, widened);
    kernels::scale_add(device, 1.0, widened, 1.0, gram);
  }
  if (!kernels::all_finite(device, gram)) rows.report_not_finite(call);
  if (narrow) {
    const std::vector<double> squares = diagonal_of(device, gram);
    const auto p = static_cast<std::size_t>(rows.features());
    check_f32_features(call, rows, std::span(squares).first(p));
    check_f32_targets(call, rows, std::span(squares).subspan(p));
  }
  return gram;
}

/// Squares of singular values; those that are 0 to rounding become 0.
std::vector<double> squared(std::span<const double> values, std::int64_t longest) {
  const double least =
      values.empty() ? 0.0 : values.front() * static_cast<double>(longest) * std::numeric_limits<double>::epsilon();
  std::vector<double> squares(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) squares[i] = values[i] > least ? values[i] * values[i] : 0.0;
  return squares;
}

}  // namespace

double Spectrum::largest() const {
  return eigenvalues.empty() ? 0.0 : *std::max_element(eigenvalues.begin(), eigenvalues.end());
}

double Spectrum::least() const {
  return eigenvalues.empty() ? 0.0 : *std::min_element(eigenvalues.begin(), eigenvalues.end());
}

std::vector<double> Spectrum::row_filters(double total) const {
  const double shift = total > 0 ? least() + total : 0;
  std::vector<double> filters;
  for (const double eigenvalue : eigenvalues) {
    const double sum = eigenvalue + total;
    switch (form) {
      case SpectrumForm::gram:
        filters.push_back(sum > 0 ? 1 / sum : 0);
        break;
      case SpectrumForm::singular:
        filters.push_back(sum > 0 ? eigenvalue / sum : 0);
        break;
      case SpectrumForm::complement:
        filters.push_back(sum > 0 ? shift / sum : 1);
        break;
    }
  }
  return filters;
}

double Spectrum::row_scale(double total) const {
  return form == SpectrumForm::complement && total > 0 ? total / (least() + total) : 1;
}

std::vector<double> Spectrum::filtered(double total, std::int64_t outputs) const {
  std::vector<double> result(rotated);
  for (std::size_t j = 0; j < eigenvalues.size(); ++j) {
    const double sum = eigenvalues[j] + total;
    const bool from_left = form != SpectrumForm::gram && right.defined();
    const double filter = sum > 0 ? (from_left ? std::sqrt(eigenvalues[j]) : 1.0) / sum : 0.0;
    for (std::int64_t o = 0; o < outputs; ++o)
      result[j * static_cast<std::size_t>(outputs) + static_cast<std::size_t>(o)] *= filter;
  }
  return result;
}

Spectrum spectrum_of_gram(const Device& device, const Tensor& gram, std::int64_t features, std::int64_t rows,
                          double resolution) {
  Spectrum spectrum;
  spectrum.resolution = resolution;
  const std::int64_t width = gram.extent(0), outputs = width - features;
  const ConstView lower = gram.view().slice(0, features, width);
  const std::vector<double> corner = dense_copy(device, lower.slice(1, features, width)).to_vector<double>();
  for (std::int64_t o = 0; o < outputs; ++o) {
    spectrum.squares.push_back(std::max(0.0, corner[static_cast<std::size_t>(o * outputs + o)]));
  }
  Tensor vectors = dense_copy(device, gram.view().slice(0, 0, features).slice(1, 0, features));
  double least = std::numeric_limits<double>::infinity(), most = 0;
  for (const double square : diagonal_of(device, vectors)) {
    if (!(square > 0)) continue;
    least = std::min(least, square);
    most = std::max(most, square);
  }
  if (most > 0) spectrum.column_spread = most / least;
  Tensor values({features}, DType::f64, device);
  kernels::symmetric_eigen(device, vectors, values);
  spectrum.eigenvalues = values.to_vector<double>();
  clip_negative(spectrum.eigenvalues);
  // At most `rows` eigenvalues are not 0; components of the others would only carry rounding errors.
  const std::int64_t surplus = std::max<std::int64_t>(0, features - rows);
  spectrum.eigenvalues.erase(spectrum.eigenvalues.begin(), spectrum.eigenvalues.begin() + surplus);
  spectrum.right = surplus == 0 ? std::move(vectors) : dense_copy(device, vectors.view().slice(0, surplus, features));
  spectrum.rotated =
      product(device, Transpose::no, Transpose::yes, spectrum.right, lower.slice(1, 0, features)).to_vector<double>();
  spectrum.full_column_rank = surplus == 0 && spectrum.largest() > 0 && spectrum.least_total(resolution) <= 0;
  return spectrum;
}

Spectrum primal_spectrum(std::string_view call, const RidgeRows& rows) {
  Tensor gram = gram_of_rows(call, rows);
  Spectrum spectrum = spectrum_of_gram(rows.device(), gram, rows.features(), rows.rows(), resolution_of(rows));
  spectrum.gram = std::move(gram);
  return spectrum;
}

Spectrum dual_spectrum(std::string_view call, const RidgeRows& rows) {
  const Device& device = rows.device();
  const std::int64_t n = rows.rows();
  Spectrum spectrum;
  spectrum.form = SpectrumForm::complement;
  spectrum.resolution = resolution_of(rows);
  Tensor vectors = Tensor::zeros({n, n}, DType::f64, device);
  {
    const Tensor all = checked_features(call, rows, 0);
    if (rows.arithmetic() == DType::f32) {
      Tensor narrow(all.shape(), DType::f32, device);
      kernels::cast(device, all, narrow);
      Tensor products = Tensor::zeros({n, n}, DType::f32, device);
      kernels::gram(device, GramOf::rows, 1.0, narrow, 0.0, products);
      kernels::cast(device, products, vectors);
      if (kernels::all_finite(device, vectors)) check_f32_features(call, rows, diagonal_of(device, vectors));
    } else {
      kernels::gram(device, GramOf::rows, 1.0, all, 0.0, vectors);
    }
  }
  if (rows.has_intercept()) lift(device, rows.intercept_direction(), vectors);
  if (!kernels::all_finite(device, vectors)) rows.report_not_finite(call);
  Tensor values({n}, DType::f64, device);
  kernels::symmetric_eigen(device, vectors, values);
  spectrum.eigenvalues = values.to_vector<double>();
  if (rows.has_intercept()) spectrum.eigenvalues.pop_back();
  clip_negative(spectrum.eigenvalues);
  const std::int64_t kept = spectrum.components();
  spectrum.left = kept == n ? std::move(vectors) : dense_copy(device, vectors.view().slice(0, 0, kept));
  rotate_targets(rows, spectrum);
  spectrum.tall_dual = kept > rows.features();
  spectrum.full_column_rank =
      kept == rows.features() && spectrum.largest() > 0 && spectrum.least_total(spectrum.resolution) <= 0;
  return spectrum;
}

Spectrum singular_spectrum(std::string_view call, const RidgeRows& rows) {
  const Device& device = rows.device();
  const std::int64_t n = rows.rows(), p = rows.features();
  const bool tall = n > p, lifted = !tall && rows.has_intercept();
  Spectrum spectrum;
  spectrum.form = tall ? SpectrumForm::singular : SpectrumForm::complement;
  Tensor all = checked_features(call, rows, lifted ? 1 : 0);
  // Not every library's factorisations can cope with squares that overflow.
  const double norm = norm_of(device, all);
  if (!std::isfinite(norm)) rows.report_not_finite(call);
  if (lifted) {
    // As in the dual form: the intercept's direction becomes a singular vector of its own.
    kernels::scale_add(device, norm > 0 ? 2 * norm : 1.0, rows.intercept_direction().view().reshaped({n, 1}), 0.0,
                       all.view().slice(1, p, p + 1));
  }
  const std::int64_t q = tall ? p : n;
  Tensor left({q, n}, DType::f64, device), values({q}, DType::f64, device);
  Tensor right({q, all.extent(1)}, DType::f64, device);
  if (tall) {
    Tensor r({p, p}, DType::f64, device), u({p, p}, DType::f64, device);
    kernels::qr(device, all, r);
    kernels::svd(device, r, u, values, right);
    kernels::gemm(device, Transpose::yes, Transpose::yes, 1.0, u, all, 0.0, left);
  } else {
    Tensor u({n, n}, DType::f64, device);
    kernels::svd(device, all, u, values, right);
    kernels::unary(device, kernels::UnaryOp::copy, u.view().permuted({1, 0}), left);
  }
  const std::int64_t first = lifted ? 1 : 0;
  const std::vector<double> singular = values.to_vector<double>();
  spectrum.eigenvalues = squared(std::span(singular).subspan(static_cast<std::size_t>(first)), std::max(n, p));
  spectrum.left = lifted ? dense_copy(device, left.view().slice(0, 1, n)) : std::move(left);
  spectrum.right = lifted ? dense_copy(device, right.view().slice(0, first, q).slice(1, 0, p)) : std::move(right);
  rotate_targets(rows, spectrum);
  spectrum.full_column_rank = spectrum.components() == p && p > 0 && spectrum.least() > 0;
  return spectrum;
}

double smallest_penalty(const Spectrum& spectrum, double weight) {
  return std::max(0.0, spectrum.least_total(spectrum.resolution) / weight);
}

void check_resolved(std::string_view call, std::string_view problem, const Spectrum& spectrum, double weight,
                    std::span<const double> penalties) {
  arguments::check_penalties(call, penalties);
  const double smallest = smallest_penalty(spectrum, weight);
  for (const double penalty : penalties) {
    if (penalty == 0 && spectrum.tall_dual) {
      throw ValueError(
          fmt::format("{}: penalty 0, but the dual method needs a positive one where there are more rows than columns, "
                      "as in {}; use a positive penalty, RidgeMethod::primal or svd",
                      call, problem));
    }
    if (penalty == 0 && !spectrum.full_column_rank) {
      throw ValueError(
          fmt::format("{}: penalty 0, but the columns of {} are linearly dependent: the solution is not "
                      "unique; use a positive penalty",
                      call, problem));
    }
    if (penalty >= smallest) continue;
    throw ValueError(
        fmt::format("{}: penalty {} is lost in the rounding errors of this factorisation of {}, which resolves {} and "
                    "more; raise the penalty or use RidgePath in f64 with RidgeMethod::svd",
                    call, penalty, problem, smallest));
  }
}

}  // namespace rtl::solvers
