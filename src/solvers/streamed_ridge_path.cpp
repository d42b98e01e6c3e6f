// The path from accumulated sums, and leave-one-out by a second pass over the rows.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "rtl/kernels/gemm.hpp"
#include "rtl/kernels/linear_algebra.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/reduce.hpp"
#include "rtl/kernels/ridge_path.hpp"
#include "rtl/solvers/gram_stream.hpp"
#include "solvers/accurate_solution.hpp"
#include "solvers/arguments.hpp"
#include "solvers/ridge_scores.hpp"
#include "solvers/row_block.hpp"

namespace rtl::solvers {
namespace {

using kernels::Transpose;

// As for the primal form of RidgePath in f64.
constexpr double resolution = 1e-12;

/// The lower triangle, and its mirror image above.
Tensor whole(const Device& device, const Tensor& lower) {
  const std::int64_t n = lower.extent(0);
  const std::vector<double> values = lower.to_vector<double>();
  std::vector<double> all(values);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = i + 1; j < n; ++j) {
      all[static_cast<std::size_t>(i * n + j)] = values[static_cast<std::size_t>(j * n + i)];
    }
  }
  return Tensor::from(all, lower.shape(), device);
}

/// [X R]'[X R] with R = Y - X C from [X Y]'[X Y]: T'GT with T = [I -C; 0 I].
Tensor shifted_by_centre(const Device& device, const Tensor& products, const Tensor& centre) {
  const std::int64_t p = centre.extent(0), width = products.extent(0);
  Tensor change = Tensor::zeros({width, width}, DType::f64, device);
  const View diagonal(change.view().data(), DType::f64, Shape{width}, Strides{width + 1}, &device.context());
  kernels::fill(device, 1.0, diagonal);
  kernels::scale_add(device, -1.0, centre, 0.0, change.view().slice(0, 0, p).slice(1, p, width));
  Tensor half({width, width}, DType::f64, device), result({width, width}, DType::f64, device);
  kernels::gemm(device, Transpose::no, Transpose::no, 1.0, whole(device, products), change, 0.0, half);
  kernels::gemm(device, Transpose::yes, Transpose::no, 1.0, change, half, 0.0, result);
  return result;
}

}  // namespace

struct StreamedRidgePath::State {
  Device device;
  std::int64_t features, outputs, rows, counted_rows;
  double weight;
  bool intercept;
  Tensor means;     ///< of the rows that were accumulated
  Tensor centre;    ///< not defined: 0
  Tensor products;  ///< [X Y]'[X Y], lower triangle
  Spectrum spectrum;
  RidgeScores scores;

  State(const GramAccumulator& sums, std::span<const double> penalties, const StreamOptions& options)
      : device(sums.device()),
        features(sums.features()),
        outputs(sums.outputs()),
        rows(sums.rows()),
        counted_rows(sums.counted_rows()),
        weight(sums.total_weight()),
        intercept(options.intercept),
        means(sums.means().clone()) {
    constexpr const char* call = "StreamedRidgePath";
    arguments::check_penalties(call, penalties);
    if (!(weight > 0)) throw ValueError("StreamedRidgePath: the accumulator has seen no rows of positive weight");
    products = sums.products().clone();
    if (!intercept) {
      // Products about 0: those about the means, and the means'.
      kernels::gram(device, kernels::GramOf::columns, weight, means.view().reshaped({1, features + outputs}), 1.0,
                    products);
    }
    if (options.centre.given()) {
      const ConstView given = arguments::columns(call, device, "centre", options.centre);
      if (given.shape() != Shape{features, outputs}) {
        throw ShapeError(fmt::format("{}: 'centre' is {}, but {} is needed", call, given.shape().to_string(),
                                     Shape{features, outputs}.to_string()));
      }
      arguments::throw_if_not_finite(call, device, "centre", given);
      centre = Tensor(given.shape(), DType::f64, device);
      kernels::cast(device, given, centre);
    }
    spectrum =
        spectrum_of_gram(device, centre.defined() ? shifted_by_centre(device, products, centre) : products.clone(),
                         features, counted_rows, resolution);
    check(call, penalties);
    if (!penalties.empty()) scores = scores_of_spectrum(spectrum, basis(), penalties);
  }

  ScoreBasis basis() const { return {weight, static_cast<double>(counted_rows), intercept, outputs}; }

  void check(std::string_view call, std::span<const double> penalties) const {
    check_resolved(call, fmt::format("{} accumulated rows of {} columns", rows, features), spectrum, weight, penalties);
  }

  /// Where eigenvectors do not give every single coefficient, by the equilibrated Gram matrix; it resolves penalties,
  /// too, that columns of very different sizes hide from eigenvectors.
  Tensor coefficients(std::string_view call, double penalty) const {
    arguments::check_penalties(call, {&penalty, 1});
    constexpr double most_condition = 1e12;
    if (!is_well_scaled(spectrum, penalty * weight)) {
      const ConstView pull = centre.defined() ? centre.view() : ConstView();
      std::optional<ColumnSolution> found = solve_by_columns(device, products, outputs, penalty * weight, pull);
      if (found && found->condition < most_condition) return std::move(found->coefficients);
    }
    check(call, {&penalty, 1});
    Tensor result = Tensor::zeros({features, outputs}, DType::f64, device);
    if (centre.defined()) kernels::unary(device, kernels::UnaryOp::copy, centre, result);
    const Tensor scaled =
        Tensor::from(spectrum.filtered(penalty * weight, outputs), {spectrum.components(), outputs}, device);
    kernels::gemm(device, Transpose::yes, Transpose::no, 1.0, spectrum.right, scaled, 1.0, result);
    return result;
  }

  Tensor bias(const Tensor& coefficients) const {
    Tensor result = Tensor::zeros({outputs}, DType::f64, device);
    if (!intercept) return result;
    kernels::unary(device, kernels::UnaryOp::copy, means.view().slice(0, features, features + outputs), result);
    kernels::gemm(device, Transpose::no, Transpose::no, -1.0,
                  means.view().slice(0, 0, features).reshaped({1, features}), coefficients, 1.0,
                  result.view().reshaped({1, outputs}));
    return result;
  }
};

StreamedRidgePath::StreamedRidgePath(const GramAccumulator& sums, std::span<const double> penalties,
                                     const StreamOptions& options)
    : state_(std::make_unique<State>(sums, penalties, options)) {}
StreamedRidgePath::StreamedRidgePath(StreamedRidgePath&&) noexcept = default;
StreamedRidgePath& StreamedRidgePath::operator=(StreamedRidgePath&&) noexcept = default;
StreamedRidgePath::~StreamedRidgePath() = default;

const RidgeScores& StreamedRidgePath::scores() const noexcept { return state_->scores; }
const std::vector<double>& StreamedRidgePath::eigenvalues() const noexcept { return state_->spectrum.eigenvalues; }
double StreamedRidgePath::smallest_penalty() const noexcept {
  return solvers::smallest_penalty(state_->spectrum, state_->weight);
}

Tensor StreamedRidgePath::coefficients(double penalty) const {
  return state_->coefficients("StreamedRidgePath::coefficients", penalty);
}

Tensor StreamedRidgePath::intercept(double penalty) const {
  return state_->bias(state_->coefficients("StreamedRidgePath::intercept", penalty));
}

Tensor StreamedRidgePath::predict(ConstView x, double penalty) const {
  constexpr const char* call = "StreamedRidgePath::predict";
  const Tensor weights = state_->coefficients(call, penalty);
  x = arguments::matrix(call, state_->device, "x", x);
  return arguments::predict(call, state_->device, x, weights, state_->bias(weights));
}

struct StreamedRidgePath::LeaveOneOut::State {
  const StreamedRidgePath::State& path;
  std::vector<double> penalties;
  PathScorer scorer;
  std::int64_t rows = 0;
  double weight = 0;

  State(const StreamedRidgePath::State& of, std::span<const double> wanted)
      : path(of),
        penalties(wanted.begin(), wanted.end()),
        scorer(of.device, of.spectrum, of.basis(), wanted, DType::f64) {}
};

StreamedRidgePath::LeaveOneOut::LeaveOneOut(std::unique_ptr<State> state) : state_(std::move(state)) {}
StreamedRidgePath::LeaveOneOut::LeaveOneOut(LeaveOneOut&&) noexcept = default;
StreamedRidgePath::LeaveOneOut::~LeaveOneOut() = default;

StreamedRidgePath::LeaveOneOut StreamedRidgePath::leave_one_out(std::span<const double> penalties) const {
  constexpr const char* call = "StreamedRidgePath::leave_one_out";
  state_->check(call, penalties);
  if (penalties.empty()) throw ValueError(fmt::format("{}: no penalties", call));
  if (state_->intercept && state_->counted_rows < 2) {
    throw ValueError(fmt::format("{}: a single row determines the intercept; use at least two", call));
  }
  return LeaveOneOut(std::make_unique<LeaveOneOut::State>(*state_, penalties));
}

void StreamedRidgePath::LeaveOneOut::add(ConstView x, ConstView y, ConstView weights) {
  const StreamedRidgePath::State& path = state_->path;
  const std::int64_t p = path.features, width = p + path.outputs;
  constexpr const char* call = "StreamedRidgePath::LeaveOneOut::add";
  const RowBlock block(call, path.device, x, y, weights, p, path.outputs);
  if (block.rows() == 0) return;
  const std::int64_t step = block.piece_rows();
  Tensor piece({step, width}, DType::f64, path.device);
  const auto score = [&](std::int64_t begin, std::int64_t end) {
    const View part = piece.view().slice(0, 0, end - begin);
    block.prepare(begin, end, path.intercept ? path.means.view() : ConstView(), part);
    if (path.centre.defined()) {
      kernels::gemm(path.device, Transpose::no, Transpose::no, -1.0, part.slice(1, 0, p), path.centre, 1.0,
                    part.slice(1, p, width));
    }
    if (!kernels::all_finite(path.device, part)) {
      block.check_finite();
      throw ValueError(fmt::format("{}: products of entries overflow; scale the columns of x and y down", call));
    }
    std::vector<double> intercept_leverage;
    for (std::int64_t i = begin; path.intercept && i < end; ++i)
      intercept_leverage.push_back(block.weight_of(i) / path.weight);
    state_->scorer.add_rows(part, intercept_leverage);
  };
  PathScorer::Sums before = state_->scorer.snapshot();
  try {
    for (std::int64_t begin = 0; begin < block.rows(); begin += step) {
      score(begin, std::min(block.rows(), begin + step));
    }
  } catch (...) {
    state_->scorer.restore(std::move(before));
    throw;
  }
  state_->rows += block.rows();
  state_->weight += block.weight();
}

RidgeScores StreamedRidgePath::LeaveOneOut::scores() const {
  const StreamedRidgePath::State& path = state_->path;
  if (state_->rows != path.rows || std::fabs(state_->weight - path.weight) > 1e-9 * path.weight) {
    throw ValueError(
        fmt::format("StreamedRidgePath::LeaveOneOut::scores: the second pass saw {} rows of weight {}, the "
                    "first {} rows of weight {}; give it the same rows",
                    state_->rows, state_->weight, path.rows, path.weight));
  }
  RidgeScores scores = scores_of_spectrum(path.spectrum, path.basis(), state_->penalties);
  set_sums(scores, state_->scorer.sums(), path.basis());
  return scores;
}

}  // namespace rtl::solvers
