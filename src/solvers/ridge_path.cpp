#include "rtl/solvers/ridge_path.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "rtl/kernels/gemm.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/ridge_path.hpp"
#include "solvers/accurate_solution.hpp"
#include "solvers/arguments.hpp"
#include "solvers/ridge_scores.hpp"

namespace rtl::solvers {
namespace {

using kernels::Transpose;

/// Where a Gram matrix is left for the singular values: well before its limit, so that results stay good to 1e-6.
constexpr double comfortable_share = 1e-10;
/// Rows in the basis of the components are kept up to this, and made anew for each use beyond.
constexpr std::int64_t most_component_bytes = std::int64_t{128} << 20;

ScoreBasis basis_of(const RidgeRows& rows) {
  return {static_cast<double>(rows.rows()), static_cast<double>(rows.rows_of_positive_weight()), rows.has_intercept(),
          rows.outputs()};
}

/// Targets that do not vary but by rounding become 0.
void drop_constant_targets(const RidgeRows& rows, Spectrum& spectrum) {
  const std::vector<double> negligible = rows.negligible_squares();
  for (std::size_t o = 0; o < negligible.size(); ++o) {
    if (spectrum.squares[o] > negligible[o]) continue;
    spectrum.squares[o] = 0;
    for (std::size_t at = o; at < spectrum.rotated.size(); at += negligible.size()) spectrum.rotated[at] = 0;
  }
}

Spectrum factorise(std::string_view call, const RidgeRows& rows, std::span<const double> penalties,
                   const RidgeOptions& options) {
  switch (options.method) {
    case RidgeMethod::primal:
      return primal_spectrum(call, rows);
    case RidgeMethod::dual:
      return dual_spectrum(call, rows);
    case RidgeMethod::svd:
      return singular_spectrum(call, rows);
    case RidgeMethod::automatic:
      break;
  }
  Spectrum spectrum = rows.features() <= rows.rows() ? primal_spectrum(call, rows) : dual_spectrum(call, rows);
  if (penalties.empty() || rows.arithmetic() == DType::f32) return spectrum;
  const double total = *std::min_element(penalties.begin(), penalties.end()) * static_cast<double>(rows.rows());
  return total < spectrum.least_total(comfortable_share) ? singular_spectrum(call, rows) : std::move(spectrum);
}

}  // namespace

double penalty_from_sklearn(double alpha, double n) {
  if (!(n > 0)) throw ValueError(fmt::format("penalty_from_sklearn: n is {}; it must be positive", n));
  return alpha / n;
}

double penalty_to_sklearn(double penalty, double n) {
  if (!(n > 0)) throw ValueError(fmt::format("penalty_to_sklearn: n is {}; it must be positive", n));
  return penalty * n;
}

std::vector<double> logarithmic_penalties(double low, double high, std::int64_t count) {
  if (!(low > 0) || !(high >= low) || !std::isfinite(high) || count < 1 || (count == 1 && low != high)) {
    throw ValueError(
        fmt::format("logarithmic_penalties: {} penalties from {} to {}; 0 < low <= high and at least one "
                    "are needed (low == high for one)",
                    count, low, high));
  }
  std::vector<double> penalties(static_cast<std::size_t>(count), low);
  for (std::int64_t i = 1; i < count; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(count - 1);
    penalties[static_cast<std::size_t>(i)] = std::exp(std::log(low) + share * (std::log(high) - std::log(low)));
  }
  penalties.back() = high;
  return penalties;
}

double RidgeScores::best_penalty() const {
  if (penalties.empty()) {
    throw ValueError("RidgeScores::best_penalty: no penalties were scored; give RidgePath some, or call its evaluate");
  }
  return penalties[best];
}

struct RidgePath::State {
  RidgeRows rows;
  RidgeMethod method = RidgeMethod::primal;
  bool leave_one_out;
  Spectrum spectrum;
  Tensor rotated_rows;  ///< V'X' [components, n] of the gram form in f64, where it is used and not too large
  std::vector<double> eigenvalues, rotated;  ///< as the public accessors give them
  RidgeScores scores;

  State(const Device& device, ConstView x, ConstView y, std::span<const double> penalties, const RidgeOptions& options)
      : rows("RidgePath", device, x, y, options), leave_one_out(options.leave_one_out) {
    arguments::check_penalties("RidgePath", penalties);
    if (rows.arithmetic() == DType::f32 && options.method == RidgeMethod::svd) {
      throw ValueError("RidgePath: f32 arithmetic has the methods primal and dual only; use f64 with svd");
    }
    if (!penalties.empty()) check_rows("RidgePath");
    spectrum = factorise("RidgePath", rows, penalties, options);
    check_finite();
    drop_constant_targets(rows, spectrum);
    method = spectrum.form == SpectrumForm::gram ? RidgeMethod::primal
             : spectrum.right.defined()          ? RidgeMethod::svd
                                                 : RidgeMethod::dual;
    expose();
    if (!penalties.empty() && leave_one_out && keeps_rotated_rows()) rotate_rows();
    if (!penalties.empty()) scores = evaluate("RidgePath", penalties);
  }

  void check_rows(std::string_view call) const {
    if (!leave_one_out || !rows.has_intercept() || rows.rows_of_positive_weight() > 1) return;
    throw ValueError(
        fmt::format("{}: a single row determines the intercept, nothing is left when it is left out; use at least two "
                    "rows, no intercept, or leave_one_out = false",
                    call));
  }

  void check_finite() const {
    for (const auto* values : {&spectrum.eigenvalues, &spectrum.squares, &spectrum.rotated}) {
      if (!std::all_of(values->begin(), values->end(), [](double value) { return std::isfinite(value); })) {
        rows.report_not_finite("RidgePath");
      }
    }
  }

  /// The min(n, p) largest eigenvalues with the targets along them, ascending.
  void expose() {
    const auto r = static_cast<std::size_t>(std::min(rows.rows(), rows.features()));
    const auto k = static_cast<std::size_t>(rows.outputs());
    eigenvalues.assign(r, 0.0);
    rotated.assign(r * k, 0.0);
    std::vector<std::size_t> order(spectrum.eigenvalues.size());
    for (std::size_t j = 0; j < order.size(); ++j) order[j] = j;
    std::stable_sort(order.begin(), order.end(), [this](std::size_t a, std::size_t b) {
      return spectrum.eigenvalues[a] > spectrum.eigenvalues[b];
    });
    const double least = spectrum.largest() * std::max(spectrum.resolution * 1e-3, 1e-300);
    for (std::size_t i = 0; i < std::min(r, order.size()); ++i) {
      const double eigenvalue = spectrum.eigenvalues[order[i]];
      eigenvalues[r - 1 - i] = eigenvalue;
      if (!(eigenvalue > least)) continue;
      const double scale = spectrum.form == SpectrumForm::gram ? 1 / std::sqrt(eigenvalue) : 1.0;
      for (std::size_t o = 0; o < k; ++o) {
        rotated[(r - 1 - i) * k + o] = scale * spectrum.rotated[order[i] * k + o];
      }
    }
  }

  bool keeps_rotated_rows() const {
    const std::int64_t most = most_component_bytes / static_cast<std::int64_t>(sizeof(double));
    return spectrum.form == SpectrumForm::gram && rows.arithmetic() == DType::f64 && spectrum.components() > 0 &&
           rows.rows() <= most / spectrum.components();
  }

  void rotate_rows() {
    rotated_rows = Tensor({spectrum.components(), rows.rows()}, DType::f64, rows.device());
    for_each_block([&](std::int64_t begin, std::int64_t end, ConstView block) {
      kernels::gemm(rows.device(), Transpose::no, Transpose::yes, 1.0, spectrum.right,
                    block.slice(1, 0, rows.features()), 0.0, rotated_rows.view().slice(1, begin, end));
    });
  }

  /// All rows along the components, [components, n]; not defined where they are made block by block.
  const Tensor& rows_by_component() const { return spectrum.form == SpectrumForm::gram ? rotated_rows : spectrum.left; }

  double total(double penalty) const { return penalty * static_cast<double>(rows.rows()); }

  void check(std::string_view call, std::span<const double> penalties) const {
    check_resolved(call, fmt::format("{}x {}", rows.has_intercept() ? "centred " : "", rows.x().shape().to_string()),
                   spectrum, static_cast<double>(rows.rows()), penalties);
  }

  /// The intercept's leverage of rows [begin, end), where the components do not show it.
  std::vector<double> intercept_leverage(std::int64_t begin, std::int64_t end) const {
    if (!rows.has_intercept() || spectrum.form == SpectrumForm::complement) return {};
    std::vector<double> shares;
    for (std::int64_t i = begin; i < end; ++i) shares.push_back(rows.weight(i) / static_cast<double>(rows.rows()));
    return shares;
  }

  /// Calls use(first row, block, number of rows) with prepared rows, block by block.
  template <typename F>
  void for_each_block(const F& use) const {
    const std::int64_t step = rows.block_rows();
    Tensor block({step, rows.features() + rows.outputs()}, rows.arithmetic(), rows.device());
    for (std::int64_t begin = 0; begin < rows.rows(); begin += step) {
      const std::int64_t end = std::min(rows.rows(), begin + step);
      const View part = block.view().slice(0, 0, end - begin);
      rows.prepare(begin, end, part);
      use(begin, end, part);
    }
  }

  RidgeScores evaluate(std::string_view call, std::span<const double> penalties) const {
    check(call, penalties);
    const ScoreBasis basis = basis_of(rows);
    RidgeScores scores = scores_of_spectrum(spectrum, basis, penalties);
    if (!leave_one_out || penalties.empty()) return scores;
    check_rows(call);
    PathScorer scorer(rows.device(), spectrum, basis, penalties,
                      rows_by_component().defined() ? DType::f64 : rows.arithmetic());
    if (rows_by_component().defined()) {
      const Tensor targets = spectrum.form != SpectrumForm::complement ? rows.all_targets() : Tensor();
      scorer.add_components(rows_by_component(), targets.defined() ? targets.view() : ConstView(),
                            intercept_leverage(0, rows.rows()));
    } else {
      for_each_block([&](std::int64_t begin, std::int64_t end, ConstView block) {
        scorer.add_rows(block, intercept_leverage(begin, end));
      });
    }
    set_sums(scores, scorer.sums(), basis);
    return scores;
  }

  Tensor filtered(double penalty) const {
    return Tensor::from(spectrum.filtered(total(penalty), rows.outputs()), {spectrum.components(), rows.outputs()},
                        rows.device());
  }

  /// Solved again where the eigenvectors are not good enough for every single column.
  Tensor coefficients(double penalty) const {
    Tensor result = spectral_coefficients(penalty);
    if (rows.arithmetic() == DType::f32 || is_well_scaled(spectrum, total(penalty))) return result;
    const bool by_rows = spectrum.form == SpectrumForm::complement && rows.features() >= rows.rows();
    std::optional<Tensor> again;
    if (by_rows) {
      again = solve_by_rows(rows, spectrum, total(penalty));
    } else {
      // The spectrum's Gram matrix, where it has one, is of the targets less what the centre predicts.
      const bool known = spectrum.gram.defined() && !rows.centre().given();
      std::optional<ColumnSolution> found =
          solve_by_columns("RidgePath", rows, total(penalty), known ? &spectrum.gram : nullptr);
      if (found) again = std::move(found->coefficients);
    }
    if (!again) return result;
    for (std::int64_t o = 0; o < rows.outputs(); ++o) {
      if (spectrum.squares[static_cast<std::size_t>(o)] == 0) continue;  // does not vary but by rounding
      kernels::unary(rows.device(), kernels::UnaryOp::copy, again->view().slice(1, o, o + 1),
                     result.view().slice(1, o, o + 1));
    }
    return result;
  }

  Tensor spectral_coefficients(double penalty) const {
    const Device& device = rows.device();
    Tensor result = Tensor::zeros({rows.features(), rows.outputs()}, DType::f64, device);
    if (rows.centre().given()) kernels::unary(device, kernels::UnaryOp::copy, rows.centre(), result);
    if (spectrum.components() == 0) return result;
    const Tensor scaled = filtered(penalty);
    if (spectrum.right.defined()) {
      kernels::gemm(device, Transpose::yes, Transpose::no, 1.0, spectrum.right, scaled, 1.0, result);
      return result;
    }
    Tensor rows_share({rows.rows(), rows.outputs()}, DType::f64, device);
    kernels::gemm(device, Transpose::yes, Transpose::no, 1.0, spectrum.left, scaled, 0.0, rows_share);
    const std::int64_t step = rows.block_rows();
    Tensor block({step, rows.features() + rows.outputs()}, DType::f64, device);
    for (std::int64_t begin = 0; begin < rows.rows(); begin += step) {
      const std::int64_t end = std::min(rows.rows(), begin + step);
      const View part = block.view().slice(0, 0, end - begin);
      rows.prepare(begin, end, part);
      kernels::gemm(device, Transpose::yes, Transpose::no, 1.0, part.slice(1, 0, rows.features()),
                    rows_share.view().slice(0, begin, end), 1.0, result);
    }
    return result;
  }

  Tensor intercept(const Tensor& coefficients) const {
    const Device& device = rows.device();
    Tensor result = Tensor::zeros({rows.outputs()}, DType::f64, device);
    if (!rows.has_intercept()) return result;
    kernels::unary(device, kernels::UnaryOp::copy, rows.y_means(), result);
    kernels::gemm(device, Transpose::no, Transpose::no, -1.0, rows.x_means().view().reshaped({1, rows.features()}),
                  coefficients, 1.0, result.view().reshaped({1, rows.outputs()}));
    return result;
  }

  Tensor predict(std::string_view call, ConstView x, double penalty) const {
    x = arguments::matrix(call, rows.device(), "x", x);
    const Tensor weights = coefficients(penalty);
    return arguments::predict(call, rows.device(), x, weights, intercept(weights));
  }

  Tensor residuals(std::string_view call, double penalty) const {
    Tensor result = predict(call, rows.x(), penalty);
    Tensor y(result.shape(), DType::f64, rows.device());
    kernels::cast(rows.device(), rows.y(), y);
    kernels::binary(rows.device(), kernels::BinaryOp::subtract, y, result, result);
    return result;
  }

  /// Residuals [k, n] of the prepared rows, and 1 less the leverage of each row, both times 1 / `scale`.
  struct RowErrors {
    std::vector<double> errors, margins;
    double scale = 1;
  };

  RowErrors row_errors(double penalty) const {
    const Device& device = rows.device();
    const std::int64_t n = rows.rows(), k = rows.outputs();
    RowErrors result{std::vector<double>(static_cast<std::size_t>(n * k)),
                     std::vector<double>(static_cast<std::size_t>(n)), spectrum.row_scale(total(penalty))};
    const std::int64_t components = spectrum.components();
    const std::vector<double> filter = spectrum.row_filters(total(penalty));
    std::vector<double> weighted(spectrum.rotated);
    for (std::size_t j = 0; j < filter.size(); ++j) {
      for (std::int64_t o = 0; o < k; ++o)
        weighted[j * static_cast<std::size_t>(k) + static_cast<std::size_t>(o)] *= filter[j];
    }
    const Tensor filters = Tensor::from(filter, {1, components}, device);
    const Tensor coefficients = Tensor::from(weighted, {components, k}, device);
    const bool complement = spectrum.form == SpectrumForm::complement;
    const auto use = [&](std::int64_t begin, std::int64_t end, ConstView basis, ConstView targets) {
      Tensor squares(basis.shape(), DType::f64, device), shares({1, end - begin}, DType::f64, device);
      Tensor errors({k, end - begin}, DType::f64, device);
      if (!complement) kernels::unary(device, kernels::UnaryOp::copy, targets, errors);
      kernels::gemm(device, Transpose::yes, Transpose::no, complement ? 1.0 : -1.0, coefficients, basis,
                    complement ? 0.0 : 1.0, errors);
      kernels::unary(device, kernels::UnaryOp::square, basis, squares);
      kernels::gemm(device, Transpose::no, Transpose::no, 1.0, filters, squares, 0.0, shares);
      const std::vector<double> share = shares.to_vector<double>(), error = errors.to_vector<double>();
      const std::vector<double> intercept_share = intercept_leverage(begin, end);
      for (std::int64_t i = begin; i < end; ++i) {
        const auto at = static_cast<std::size_t>(i - begin);
        const double own = intercept_share.empty() ? 0.0 : intercept_share[at];
        result.margins[static_cast<std::size_t>(i)] = complement ? share[at] : 1 - own - share[at];
        for (std::int64_t o = 0; o < k; ++o) {
          result.errors[static_cast<std::size_t>(o * n + i)] = error[static_cast<std::size_t>(o * (end - begin)) + at];
        }
      }
    };
    if (!rows_by_component().defined()) {
      const std::int64_t p = rows.features(), step = rows.block_rows();
      Tensor block({step, p + k}, DType::f64, device);
      for (std::int64_t begin = 0; begin < n; begin += step) {
        const std::int64_t end = std::min(n, begin + step);
        const View part = block.view().slice(0, 0, end - begin);
        rows.prepare(begin, end, part);
        Tensor basis({components, end - begin}, DType::f64, device);
        kernels::gemm(device, Transpose::no, Transpose::yes, 1.0, spectrum.right, part.slice(1, 0, p), 0.0, basis);
        use(begin, end, basis, part.slice(1, p, p + k).permuted({1, 0}));
      }
    } else {
      const Tensor targets = complement ? Tensor() : rows.all_targets();
      use(0, n, rows_by_component(), targets.defined() ? targets.view() : ConstView());
    }
    return result;
  }

  Tensor leave_one_out_residuals(double penalty) const {
    const RowErrors found = row_errors(penalty);
    const std::int64_t n = rows.rows(), k = rows.outputs();
    std::vector<double> plain;  // rows without weight are predicted by the fit to all others, as they are
    if (rows.rows_of_positive_weight() < n) {
      plain = residuals("RidgePath::leave_one_out_residuals", penalty).to_vector<double>();
    }
    std::vector<double> result(static_cast<std::size_t>(n * k));
    for (std::int64_t i = 0; i < n; ++i) {
      const double margin = found.margins[static_cast<std::size_t>(i)], weight = rows.weight(i);
      for (std::int64_t o = 0; o < k; ++o) {
        const auto at = static_cast<std::size_t>(i * k + o);
        const double error =
            weight > 0 ? found.errors[static_cast<std::size_t>(o * n + i)] / std::sqrt(weight) : plain[at];
        result[at] = margin > 64 * 0x1p-53 ? error / margin : std::numeric_limits<double>::infinity();
      }
    }
    return Tensor::from(result, {n, k}, rows.device());
  }
};

RidgePath::RidgePath(const Device& device, ConstView x, ConstView y, std::span<const double> penalties,
                     const RidgeOptions& options)
    : state_(std::make_unique<State>(device, x, y, penalties, options)) {}
RidgePath::RidgePath(RidgePath&&) noexcept = default;
RidgePath& RidgePath::operator=(RidgePath&&) noexcept = default;
RidgePath::~RidgePath() = default;

std::int64_t RidgePath::rows() const noexcept { return state_->rows.rows(); }
std::int64_t RidgePath::counted_rows() const noexcept { return state_->rows.rows_of_positive_weight(); }
std::int64_t RidgePath::features() const noexcept { return state_->rows.features(); }
std::int64_t RidgePath::outputs() const noexcept { return state_->rows.outputs(); }
bool RidgePath::has_intercept() const noexcept { return state_->rows.has_intercept(); }
const Device& RidgePath::device() const noexcept { return state_->rows.device(); }
RidgeMethod RidgePath::method() const noexcept { return state_->method; }
const RidgeScores& RidgePath::scores() const noexcept { return state_->scores; }
const std::vector<double>& RidgePath::eigenvalues() const noexcept { return state_->eigenvalues; }
const std::vector<double>& RidgePath::rotated_targets() const noexcept { return state_->rotated; }
const std::vector<double>& RidgePath::sum_squares() const noexcept { return state_->spectrum.squares; }
double RidgePath::smallest_penalty() const noexcept {
  return solvers::smallest_penalty(state_->spectrum, static_cast<double>(rows()));
}

RidgeScores RidgePath::evaluate(std::span<const double> penalties) const {
  return state_->evaluate("RidgePath::evaluate", penalties);
}

Tensor RidgePath::coefficients(double penalty) const {
  state_->check("RidgePath::coefficients", {&penalty, 1});
  return state_->coefficients(penalty);
}

Tensor RidgePath::intercept(double penalty) const {
  state_->check("RidgePath::intercept", {&penalty, 1});
  return state_->intercept(state_->coefficients(penalty));
}

RidgeFit RidgePath::fit(double penalty) const {
  state_->check("RidgePath::fit", {&penalty, 1});
  RidgeFit result;
  result.coefficients = state_->coefficients(penalty);
  result.intercept = state_->intercept(result.coefficients);
  result.condition = condition(penalty);
  return result;
}

Tensor RidgePath::predict(ConstView x, double penalty) const {
  state_->check("RidgePath::predict", {&penalty, 1});
  return state_->predict("RidgePath::predict", x, penalty);
}

Tensor RidgePath::leave_one_out_residuals(double penalty) const {
  state_->check("RidgePath::leave_one_out_residuals", {&penalty, 1});
  return state_->leave_one_out_residuals(penalty);
}

Tensor RidgePath::residuals(double penalty) const {
  state_->check("RidgePath::residuals", {&penalty, 1});
  return state_->residuals("RidgePath::residuals", penalty);
}

Tensor RidgePath::leverages(double penalty) const {
  state_->check("RidgePath::leverages", {&penalty, 1});
  const auto found = state_->row_errors(penalty);
  std::vector<double> values = found.margins;
  for (double& value : values) value = 1 - found.scale * value;
  return Tensor::from(values, {rows()}, device());
}

double RidgePath::condition(double penalty) const {
  state_->check("RidgePath::condition", {&penalty, 1});
  const std::vector<double>& values = state_->eigenvalues;
  const double total = state_->total(penalty);
  const double least = features() > rows() ? 0.0 : values.front();
  return (values.back() + total) / (least + total);
}

}  // namespace rtl::solvers
