#include "rtl/solvers/batched_ridge.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "rtl/kernels/gemm.hpp"
#include "rtl/kernels/linear_algebra.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/reduce.hpp"
#include "rtl/kernels/ridge_path.hpp"
#include "rtl/solvers/ridge_path.hpp"
#include "solvers/accurate_solution.hpp"
#include "solvers/arguments.hpp"

namespace rtl::solvers {
namespace {

using kernels::BinaryOp;
using kernels::GramOf;
using kernels::Transpose;
using kernels::UnaryOp;

constexpr const char* call = "batched_ridge";
// As for RidgePath in f64.
constexpr double resolution = 1e-12;

struct Extents {
  std::int64_t heads, n, p, k;
  std::int64_t order() const { return std::min(n, p); }
  bool primal() const { return p <= n; }
};

void check(const Device& device, const ConstView& x, const ConstView& y, std::span<const double> penalties,
           const BatchedRidgeOptions& options) {
  for (const auto& [name, view] : {std::pair<const char*, const ConstView&>{"x", x}, {"y", y}}) {
    if (!view.given() || view.rank() != 3 || !view.is_contiguous()) {
      throw ShapeError(fmt::format("{}: '{}' is {}, but contiguous rank 3 is needed: problems, rows, columns", call,
                                   name, view.given() ? view.shape().to_string() : "missing"));
    }
    arguments::matrix(call, device, name, view.reshaped({view.extent(0) * view.extent(1), view.extent(2)}));
  }
  if (x.extent(0) != y.extent(0) || x.extent(1) != y.extent(1)) {
    throw ShapeError(fmt::format("{}: 'x' {} and 'y' {} differ in problems or rows", call, x.shape().to_string(),
                                 y.shape().to_string()));
  }
  if (x.count() == 0 || y.count() == 0 || penalties.empty()) {
    throw ValueError(fmt::format("{}: 'x' {} and 'y' {} must have rows and columns, and there must be penalties ({})",
                                 call, x.shape().to_string(), y.shape().to_string(), penalties.size()));
  }
  if (options.intercept && x.extent(1) < 2) {
    throw ValueError(fmt::format("{}: a single row determines the intercept; use at least two rows", call));
  }
  arguments::check_penalties(call, penalties);
}

/// Some problems that pass through all steps together.
class Group {
 public:
  Group(const Device& device, ConstView x, ConstView y, std::int64_t first, const std::vector<double>& penalties,
        bool intercept)
      : device_(device),
        e_{x.extent(0), x.extent(1), x.extent(2), y.extent(2)},
        first_(first),
        penalties_(penalties),
        intercept_(intercept),
        raw_x_(x),
        raw_y_(y) {
    x_ = centred(x, x_means_);
    y_ = centred(y, y_means_);
    factorise();
    rotate();
  }

  /// Appends the scores of the group's problems, and writes their coefficients.
  void finish(BatchedRidge& result) {
    score(result);
    solve(result);
    solve_again(result);
  }

 private:
  Tensor product(Transpose ta, Transpose tb, const Tensor& a, const Tensor& b) const {
    Tensor c({e_.heads, a.extent(ta == Transpose::no ? 1 : 2), b.extent(tb == Transpose::no ? 2 : 1)}, DType::f64,
             device_);
    kernels::gemm_batched(device_, ta, tb, 1.0, a, b, 0.0, c);
    return c;
  }

  /// In f64, less the means over rows if there is an intercept.
  Tensor centred(ConstView values, Tensor& means) const {
    Tensor wide(values.shape(), DType::f64, device_);
    kernels::cast(device_, values, wide);
    means = Tensor::zeros({e_.heads, 1, values.extent(2)}, DType::f64, device_);
    if (intercept_) {
      kernels::reduce(device_, kernels::ReduceOp::mean, wide, means);
      kernels::binary(device_, BinaryOp::subtract, wide, means, wide);
    }
    return wide;
  }

  void factorise() {
    const std::int64_t m = e_.order();
    vectors_ = Tensor::zeros({e_.heads, m, m}, DType::f64, device_);
    kernels::gram(device_, e_.primal() ? GramOf::columns : GramOf::rows, 1.0, x_, 0.0, vectors_);
    if (e_.primal()) {
      take_spreads();
    } else if (intercept_) {
      lift();
    }
    Tensor squares(y_.shape(), DType::f64, device_), sums({e_.heads, 1, e_.k}, DType::f64, device_);
    kernels::unary(device_, UnaryOp::square, y_, squares);
    kernels::reduce(device_, kernels::ReduceOp::sum, squares, sums);
    if (!kernels::all_finite(device_, vectors_) || !kernels::all_finite(device_, sums)) report_not_finite();
    Tensor values({e_.heads, m}, DType::f64, device_);
    kernels::symmetric_eigen(device_, vectors_, values);
    eigenvalues_ = values.to_vector<double>();
    const auto order = static_cast<std::size_t>(m);
    const auto kept = static_cast<std::size_t>(kept_components());
    const double rows = static_cast<double>(e_.n);
    const double least = *std::min_element(penalties_.begin(), penalties_.end()) * rows;
    for (std::size_t head = 0; head < static_cast<std::size_t>(e_.heads); ++head) {
      double* own = eigenvalues_.data() + head * order;
      for (std::size_t j = 0; j < order; ++j) own[j] = std::max(own[j], 0.0);
      const double needed = resolution * own[kept - 1] - own[0];
      const bool unique = static_cast<std::int64_t>(kept) == e_.p && own[kept - 1] > 0 && needed <= 0;
      if (least >= needed && (least > 0 || unique)) continue;
      throw ValueError(
          fmt::format("{}: penalty {} is not resolved by problem {}, which needs {} or more{}; raise the "
                      "penalty",
                      call, least / rows, first_ + static_cast<std::int64_t>(head),
                      std::max(needed / rows, std::numeric_limits<double>::min()),
                      unique ? "" : " (its columns are linearly dependent)"));
    }
  }

  /// The intercept's direction becomes the eigenvector of the largest eigenvalue, which then is not used.
  std::int64_t kept_components() const { return e_.order() - (intercept_ && !e_.primal() ? 1 : 0); }

  /// Largest by smallest sum of squares of the columns of each problem's x that are not 0.
  void take_spreads() {
    const std::int64_t p = e_.p;
    Tensor diagonals({e_.heads, p}, DType::f64, device_);
    kernels::unary(
        device_, UnaryOp::copy,
        ConstView(vectors_.view().data(), DType::f64, Shape{e_.heads, p}, Strides{p * p, p + 1}, &device_.context()),
        diagonals);
    const std::vector<double> squares = diagonals.to_vector<double>();
    for (auto own = squares.begin(); own != squares.end(); own += p) {
      double least = std::numeric_limits<double>::infinity(), most = 0;
      std::for_each(own, own + p, [&](double square) {
        if (square > 0) least = std::min(least, square);
        most = std::max(most, square);
      });
      spreads_.push_back(most > 0 ? most / least : 1.0);
    }
  }

  void lift() {
    Tensor squares(vectors_.shape(), DType::f64, device_), above({e_.heads, 1, 1}, DType::f64, device_);
    kernels::unary(device_, UnaryOp::square, vectors_, squares);
    kernels::reduce(device_, kernels::ReduceOp::sum, squares, above);
    kernels::unary(device_, UnaryOp::sqrt, above, above);
    // Above twice the norm, of which half the squares may be missing; above 0 too.
    const Tensor least = Tensor::from(std::vector<double>{1e-150}, {1}, device_);
    kernels::binary(device_, BinaryOp::maximum, above, least, above);
    kernels::scale_add(device_, 3.0 / static_cast<double>(e_.n), above, 0.0, above);
    kernels::binary(device_, BinaryOp::add, vectors_, above, vectors_);
  }

  void rotate() {
    if (e_.primal()) {
      basis_ = product(Transpose::no, Transpose::yes, vectors_, x_);
      rotated_ = product(Transpose::no, Transpose::no, vectors_, product(Transpose::yes, Transpose::no, x_, y_));
    } else {
      rotated_ = product(Transpose::no, Transpose::no, vectors_, y_);
    }
    if (!kernels::all_finite(device_, rotated_)) report_not_finite();
  }

  /// As Spectrum::row_filters and row_scale have it; `least` is the problem's least eigenvalue.
  double filter(double eigenvalue, double total, double least) const {
    const double sum = eigenvalue + total;
    if (!(sum > 0)) return 0;
    return e_.primal() ? 1 / sum : (total > 0 ? least + total : 0) / sum;
  }
  double row_scale(double total, double least) const { return !e_.primal() && total > 0 ? total / (least + total) : 1; }

  void score(BatchedRidge& result) {
    const auto heads = static_cast<std::size_t>(e_.heads), order = static_cast<std::size_t>(e_.order());
    const auto kept = static_cast<std::size_t>(kept_components());
    const std::size_t count = penalties_.size(), outputs = static_cast<std::size_t>(e_.k);
    const double rows = static_cast<double>(e_.n);
    std::vector<double> filters(heads * count * order, 0.0), freedom(heads * count, intercept_ ? 1.0 : 0.0);
    for (std::size_t at = 0; at < heads * count; ++at) {
      const double total = penalties_[at % count] * rows;
      for (std::size_t j = 0; j < kept; ++j) {
        const double eigenvalue = eigenvalues_[at / count * order + j], sum = eigenvalue + total;
        filters[at * order + j] = filter(eigenvalue, total, eigenvalues_[at / count * order]);
        freedom[at] += sum > 0 ? eigenvalue / sum : 0.0;
      }
    }
    const Shape sums{e_.heads, static_cast<std::int64_t>(count), e_.k};
    Tensor left_out = Tensor::zeros(sums, DType::f64, device_), residual = Tensor::zeros(sums, DType::f64, device_);
    const Tensor on_device = Tensor::from(filters, {e_.heads, static_cast<std::int64_t>(count), e_.order()}, device_);
    Tensor targets({e_.heads, e_.k, e_.n}, DType::f64, device_),
        intercept_leverage({e_.heads, e_.n}, DType::f64, device_);
    kernels::RidgePathRows path;
    path.basis = e_.primal() ? basis_.view() : vectors_.view();
    path.rotated = rotated_;
    path.filters = on_device;
    if (e_.primal()) {
      kernels::unary(device_, UnaryOp::copy, y_.view().permuted({0, 2, 1}), targets);
      kernels::fill(device_, intercept_ ? 1 / rows : 0.0, intercept_leverage);
      path.targets = targets;
      path.intercept_leverage = intercept_leverage;
    }
    kernels::ridge_path_errors(device_, path, left_out, residual);
    const std::vector<double> outside = left_out.to_vector<double>(), inside = residual.to_vector<double>();
    for (std::size_t at = 0; at < heads * count; ++at) {
      double left = 0, stays = 0;
      for (std::size_t o = 0; o < outputs; ++o) {
        left += outside[at * outputs + o];
        stays += inside[at * outputs + o];
      }
      stays *= std::pow(row_scale(penalties_[at % count] * rows, eigenvalues_[at / count * order]), 2);
      const double share = 1 - freedom[at] / rows, scale = rows * static_cast<double>(outputs);
      result.leave_one_out.push_back(left / scale);
      result.gcv.push_back(share > 1e-14 ? stays / scale / (share * share) : std::numeric_limits<double>::infinity());
      result.degrees_of_freedom.push_back(freedom[at]);
    }
    for (std::size_t head = 0; head < heads; ++head) {
      const auto own = result.leave_one_out.end() - static_cast<std::ptrdiff_t>((heads - head) * count);
      best_.push_back(static_cast<std::size_t>(std::min_element(own, own + static_cast<std::ptrdiff_t>(count)) - own));
    }
    result.best.insert(result.best.end(), best_.begin(), best_.end());
  }

  void solve(BatchedRidge& result) const {
    const auto heads = static_cast<std::size_t>(e_.heads), order = static_cast<std::size_t>(e_.order());
    const auto kept = static_cast<std::size_t>(kept_components()), outputs = static_cast<std::size_t>(e_.k);
    std::vector<double> scaled = rotated_.to_vector<double>();
    for (std::size_t at = 0; at < heads * order; ++at) {
      const double sum = eigenvalues_[at] + penalties_[best_[at / order]] * static_cast<double>(e_.n);
      const double factor = at % order < kept && sum > 0 ? 1 / sum : 0.0;
      for (std::size_t o = 0; o < outputs; ++o) scaled[at * outputs + o] *= factor;
    }
    const Tensor weights = Tensor::from(scaled, {e_.heads, e_.order(), e_.k}, device_);
    Tensor solution = product(Transpose::yes, Transpose::no, vectors_, weights);
    if (!e_.primal()) solution = product(Transpose::yes, Transpose::no, x_, solution);
    const Tensor shift = product(Transpose::no, Transpose::no, x_means_, solution);
    copy_bytes(solution, result.coefficients.view().slice(0, first_, first_ + e_.heads));
    const View bias = result.intercept.view().slice(0, first_, first_ + e_.heads);
    kernels::binary(device_, BinaryOp::subtract, y_means_.view().reshaped({e_.heads, e_.k}),
                    shift.view().reshaped({e_.heads, e_.k}), bias);
  }

  /// Problems whose eigenvectors do not give every single coefficient, one by one.
  void solve_again(BatchedRidge& result) const {
    const auto order = static_cast<std::size_t>(e_.order()), kept = static_cast<std::size_t>(kept_components());
    for (std::int64_t head = 0; head < e_.heads; ++head) {
      const auto at = static_cast<std::size_t>(head);
      const double penalty = penalties_[best_[at]], spread = e_.primal() ? spreads_[at] : 1.0;
      const double* own = eigenvalues_.data() + at * order;
      if (kept == 0 || is_well_scaled(own[0], own[kept - 1], spread, penalty * static_cast<double>(e_.n))) continue;
      const auto matrix = [head](const ConstView& all) {
        return all.slice(0, head, head + 1).reshaped({all.extent(1), all.extent(2)});
      };
      try {
        const RidgeFit fit = ridge(device_, matrix(raw_x_), matrix(raw_y_), penalty, {.intercept = intercept_});
        const std::int64_t to = first_ + head;
        copy_bytes(fit.coefficients.view().reshaped({1, e_.p, e_.k}), result.coefficients.view().slice(0, to, to + 1));
        copy_bytes(fit.intercept.view().reshaped({1, e_.k}), result.intercept.view().slice(0, to, to + 1));
      } catch (const ValueError&) {
        continue;  // dependent columns: what the eigenvectors gave stands
      }
    }
  }

  [[noreturn]] void report_not_finite() const {
    for (std::int64_t head = 0; head < e_.heads; ++head) {
      const std::string of = fmt::format("{}: problem {}", call, first_ + head);
      const auto matrix = [head](const ConstView& all) {
        return all.slice(0, head, head + 1).reshaped({all.extent(1), all.extent(2)});
      };
      arguments::throw_if_not_finite(of, device_, "x", matrix(raw_x_));
      arguments::throw_if_not_finite(of, device_, "y", matrix(raw_y_));
    }
    throw ValueError(fmt::format("{}: products of entries overflow; scale the columns of x and y down", call));
  }

  Device device_;
  Extents e_;
  std::int64_t first_;
  const std::vector<double>& penalties_;
  bool intercept_;
  ConstView raw_x_, raw_y_;
  Tensor x_, y_, x_means_, y_means_, vectors_, basis_, rotated_;
  std::vector<double> eigenvalues_, spreads_;
  std::vector<std::size_t> best_;
};

/// On the host few enough to stay in the caches, but some for each thread.
std::int64_t group_size(const Device& device, const Extents& e) {
  const std::int64_t bytes = 8 * (2 * e.n * e.p + e.order() * e.order());
  const std::int64_t wanted = (device.is_cuda() ? std::int64_t{512} << 20 : std::int64_t{8} << 20) / bytes;
  return std::clamp<std::int64_t>(wanted, device.is_cuda() ? 1 : device.threads(), e.heads);
}

}  // namespace

BatchedRidge batched_ridge(const Device& device, ConstView x, ConstView y, std::span<const double> penalties,
                           const BatchedRidgeOptions& options) {
  check(device, x, y, penalties, options);
  const Extents e{x.extent(0), x.extent(1), x.extent(2), y.extent(2)};
  BatchedRidge result;
  result.penalties.assign(penalties.begin(), penalties.end());
  result.coefficients = Tensor({e.heads, e.p, e.k}, DType::f64, device);
  result.intercept = Tensor({e.heads, e.k}, DType::f64, device);
  const std::int64_t step = group_size(device, e);
  for (std::int64_t first = 0; first < e.heads; first += step) {
    const std::int64_t last = std::min(e.heads, first + step);
    Group(device, x.slice(0, first, last), y.slice(0, first, last), first, result.penalties, options.intercept)
        .finish(result);
  }
  return result;
}

}  // namespace rtl::solvers
