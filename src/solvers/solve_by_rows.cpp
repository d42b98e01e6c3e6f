// The dual form: n unknowns for each output, where there are at least as many columns as rows.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "rtl/kernels/gemm.hpp"
#include "rtl/kernels/linear_algebra.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "solvers/accurate_solution.hpp"

namespace rtl::solvers {
namespace {

using kernels::Transpose;

/// A change of W [p, k] and of A [n, k].
struct Change {
  Tensor w, a;
};
/// The change that answers what is missing in X W + total A = Y [n, k] and too much in W - C - X'A [p, k].
using Solver = std::function<Change(const Tensor& missing, const Tensor& surplus)>;

/// All rows, and the equations on them.
class RowEquations {
 public:
  RowEquations(const RidgeRows& rows, double total)
      : rows_(rows), total_(total), all_({rows.rows(), rows.features() + rows.outputs()}, DType::f64, rows.device()) {
    rows.prepare_plain(0, rows.rows(), all_);
    const std::vector<double> values = all_.to_vector<double>();
    std::vector<double> squares(static_cast<std::size_t>(all_.extent(1)));
    for (std::size_t i = 0; i < values.size(); ++i) squares[i % squares.size()] += values[i] * values[i];
    for (const double square : squares) norms_.push_back(std::sqrt(square));
  }

  const Device& device() const { return rows_.device(); }
  std::int64_t features() const { return rows_.features(); }
  std::int64_t outputs() const { return rows_.outputs(); }
  double total() const { return total_; }
  ConstView x() const { return all_.view().slice(1, 0, features()); }
  ConstView y() const { return all_.view().slice(1, features(), all_.extent(1)); }
  double norm(std::int64_t column) const { return norms_[static_cast<std::size_t>(column)]; }
  Tensor product(Transpose a_transposed, ConstView a, ConstView b) const {
    Tensor c({a.extent(a_transposed == Transpose::no ? 0 : 1), b.extent(1)}, DType::f64, device());
    kernels::gemm(device(), a_transposed, Transpose::no, 1.0, a, b, 0.0, c);
    return c;
  }

  /// W, refined as long as that pays; nothing where its predictions do not become exact.
  std::optional<Tensor> refine(const Solver& solver) const {
    constexpr int most_steps = 8;
    constexpr double converging = 0.25, exact = 1e-14;
    Tensor w = Tensor::zeros({features(), outputs()}, DType::f64, device()), kept = w.clone();
    Tensor a = Tensor::zeros({rows_.rows(), outputs()}, DType::f64, device());
    double least = std::numeric_limits<double>::infinity();
    for (int step = 0; step < most_steps; ++step) {
      const Tensor missing = missing_of(w, a);
      const double size = relative_size(missing, w);
      if (!(size < converging * least)) break;
      least = size;
      kept = w.clone();
      const Change change = solver(missing, surplus_of(w, a));
      kernels::scale_add(device(), 1.0, change.w, 1.0, w);
      kernels::scale_add(device(), 1.0, change.a, 1.0, a);
    }
    if (!(least <= exact)) return std::nullopt;
    return kept;
  }

 private:
  Tensor missing_of(const Tensor& w, const Tensor& a) const {
    Tensor missing(a.shape(), DType::f64, device());
    kernels::unary(device(), kernels::UnaryOp::copy, y(), missing);
    kernels::gemm(device(), Transpose::no, Transpose::no, -1.0, x(), w, 1.0, missing);
    kernels::scale_add(device(), -total_, a, 1.0, missing);
    return missing;
  }
  Tensor surplus_of(const Tensor& w, const Tensor& a) const {
    Tensor surplus = w.clone();
    if (rows_.centre().given()) kernels::scale_add(device(), -1.0, rows_.centre(), 1.0, surplus);
    kernels::gemm(device(), Transpose::yes, Transpose::no, -1.0, x(), a, 1.0, surplus);
    return surplus;
  }
  /// Of the worst output, beside the sizes of what is subtracted there.
  double relative_size(const Tensor& missing, const Tensor& w) const {
    const auto k = static_cast<std::size_t>(outputs());
    std::vector<double> squares(k), sizes(norms_.end() - outputs(), norms_.end());
    const std::vector<double> left = missing.to_vector<double>(), weights = w.to_vector<double>();
    for (std::size_t i = 0; i < left.size(); ++i) squares[i % k] += left[i] * left[i];
    for (std::size_t i = 0; i < weights.size(); ++i) sizes[i % k] += norms_[i / k] * std::fabs(weights[i]);
    double worst = 0;
    for (std::size_t o = 0; o < k; ++o) {
      if (squares[o] == 0) continue;
      const double share = std::sqrt(squares[o]) / sizes[o];
      if (!(share <= worst)) worst = share;  // NaN too
    }
    return worst;
  }

  const RidgeRows& rows_;
  double total_;
  Tensor all_;
  std::vector<double> norms_;
};

/// A = U (e + total)^-1 U' (missing + X surplus).
Change solve_by_basis(const RowEquations& equations, const Spectrum& spectrum, const Tensor& missing,
                      const Tensor& surplus) {
  const Device& device = equations.device();
  Tensor sum = missing.clone();
  kernels::gemm(device, Transpose::no, Transpose::no, 1.0, equations.x(), surplus, 1.0, sum);
  Tensor rotated = equations.product(Transpose::no, spectrum.left, sum);
  std::vector<double> inverse(spectrum.eigenvalues);
  for (double& value : inverse) value = 1 / (value + equations.total());
  kernels::binary(device, kernels::BinaryOp::multiply, rotated,
                  Tensor::from(inverse, {spectrum.components(), 1}, device), rotated);
  Change change{surplus.clone(), equations.product(Transpose::yes, spectrum.left, rotated)};
  kernels::gemm(device, Transpose::yes, Transpose::no, 1.0, equations.x(), change.a, -1.0, change.w);
  return change;
}

/// [X sqrt(total)]' in a basis of the samples, = Q R. Sorted by size, large rows of it are not mixed into small ones;
/// the basis, in the order of its eigenvalues, is what pivoting would choose.
class SortedFactors {
 public:
  SortedFactors(const RowEquations& equations, const Spectrum& spectrum)
      : equations_(equations), size_(spectrum.components()), features_(equations.features()) {
    sort_basis(spectrum);
    const std::vector<double> rotated =
        equations.product(Transpose::no, basis_, equations.x()).to_vector<double>();  // [size, features]
    const double root = std::sqrt(equations.total());
    const std::vector<std::int64_t> order = sorted_rows(root);
    std::vector<double> stacked(static_cast<std::size_t>((features_ + size_) * size_));
    for (std::size_t i = 0; i < order.size(); ++i) {
      double* row = stacked.data() + static_cast<std::int64_t>(i) * size_;
      for (std::int64_t c = 0; order[i] < features_ && c < size_; ++c) {
        row[c] = rotated[static_cast<std::size_t>(c * features_ + order[i])];
      }
      if (order[i] >= features_) row[order[i] - features_] = root;
    }
    Tensor q = Tensor::from(stacked, {features_ + size_, size_}, equations.device());
    Tensor r({size_, size_}, DType::f64, equations.device());
    kernels::qr(equations.device(), q, r);
    triangle_ = r.to_vector<double>();
    const std::vector<double> all = q.to_vector<double>();
    std::vector<double> own(static_cast<std::size_t>(features_ * size_));
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (order[i] >= features_) continue;
      std::copy_n(all.data() + static_cast<std::int64_t>(i) * size_, size_, own.data() + order[i] * size_);
    }
    q_ = Tensor::from(own, {features_, size_}, equations.device());
  }

  Change solve(const Tensor& missing, const Tensor& surplus) const {
    const std::int64_t k = missing.extent(1);
    std::vector<double> parts = equations_.product(Transpose::no, basis_, missing).to_vector<double>();
    solve_transposed(parts, k);
    const std::vector<double> taken = equations_.product(Transpose::yes, q_, surplus).to_vector<double>();
    for (std::size_t i = 0; i < parts.size(); ++i) parts[i] += taken[i];
    Change change{surplus.clone(), Tensor()};
    kernels::gemm(equations_.device(), Transpose::no, Transpose::no, 1.0, q_,
                  Tensor::from(parts, {size_, k}, equations_.device()), -1.0, change.w);
    solve_triangle(parts, k);
    change.a = equations_.product(Transpose::yes, basis_, Tensor::from(parts, {size_, k}, equations_.device()));
    return change;
  }

 private:
  void sort_basis(const Spectrum& spectrum) {
    std::vector<std::size_t> order(spectrum.eigenvalues.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return spectrum.eigenvalues[a] > spectrum.eigenvalues[b]; });
    const std::vector<double> rows = spectrum.left.to_vector<double>();
    const auto n = static_cast<std::size_t>(spectrum.left.extent(1));
    std::vector<double> sorted;
    sorted.reserve(rows.size());
    for (const std::size_t j : order) {
      const auto begin = rows.begin() + static_cast<std::ptrdiff_t>(j * n);
      sorted.insert(sorted.end(), begin, begin + static_cast<std::ptrdiff_t>(n));
    }
    basis_ = Tensor::from(sorted, spectrum.left.shape(), equations_.device());
  }
  /// Columns of X, and behind them the penalty's rows, the largest first.
  std::vector<std::int64_t> sorted_rows(double root) const {
    std::vector<std::int64_t> order(static_cast<std::size_t>(features_ + size_));
    std::iota(order.begin(), order.end(), std::int64_t{0});
    const auto size_of = [&](std::int64_t row) { return row < features_ ? equations_.norm(row) : root; };
    std::stable_sort(order.begin(), order.end(),
                     [&](std::int64_t a, std::int64_t b) { return size_of(a) > size_of(b); });
    return order;
  }
  double r(std::int64_t i, std::int64_t j) const { return triangle_[static_cast<std::size_t>(i * size_ + j)]; }
  /// b <- R'^-1 b, b [size, k].
  void solve_transposed(std::vector<double>& b, std::int64_t k) const {
    for (std::int64_t i = 0; i < size_; ++i) {
      for (std::int64_t o = 0; o < k; ++o) b[static_cast<std::size_t>(i * k + o)] /= r(i, i);
      for (std::int64_t j = i + 1; j < size_; ++j) subtract(b, k, j, r(i, j), i);
    }
  }
  /// b <- R^-1 b.
  void solve_triangle(std::vector<double>& b, std::int64_t k) const {
    for (std::int64_t i = size_ - 1; i >= 0; --i) {
      for (std::int64_t j = i + 1; j < size_; ++j) subtract(b, k, i, r(i, j), j);
      for (std::int64_t o = 0; o < k; ++o) b[static_cast<std::size_t>(i * k + o)] /= r(i, i);
    }
  }
  static void subtract(std::vector<double>& b, std::int64_t k, std::int64_t to, double factor, std::int64_t from) {
    for (std::int64_t o = 0; o < k; ++o) {
      b[static_cast<std::size_t>(to * k + o)] -= factor * b[static_cast<std::size_t>(from * k + o)];
    }
  }

  const RowEquations& equations_;
  std::int64_t size_, features_;
  Tensor basis_;  ///< [size, n]
  Tensor q_;      ///< [features, size]
  std::vector<double> triangle_;
};

}  // namespace

std::optional<Tensor> solve_by_rows(const RidgeRows& rows, const Spectrum& spectrum, double total) {
  const RowEquations equations(rows, total);
  std::optional<Tensor> w = equations.refine([&](const Tensor& missing, const Tensor& surplus) {
    return solve_by_basis(equations, spectrum, missing, surplus);
  });
  if (w) return w;
  const SortedFactors factors(equations, spectrum);
  return equations.refine(
      [&](const Tensor& missing, const Tensor& surplus) { return factors.solve(missing, surplus); });
}

}  // namespace rtl::solvers
