#include "solvers/ridge_scores.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "rtl/kernels/gemm.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/ridge_path.hpp"
#include "solvers/filter_basis.hpp"

namespace rtl::solvers {
namespace {

Tensor narrowed(const Device& device, const std::vector<double>& values, const Shape& shape, DType dtype) {
  if (dtype == DType::f64) return Tensor::from(values, shape, device);
  return Tensor::from(std::vector<float>(values.begin(), values.end()), shape, device);
}

double gcv_of(double residual, double freedom, double rows) {
  const double left = 1 - freedom / rows;
  return left > 1e-14 ? residual / (left * left) : std::numeric_limits<double>::infinity();
}

}  // namespace

RidgeScores scores_of_spectrum(const Spectrum& spectrum, const ScoreBasis& basis, std::span<const double> penalties) {
  RidgeScores scores;
  scores.penalties.assign(penalties.begin(), penalties.end());
  const auto outputs = static_cast<std::size_t>(basis.outputs);
  const bool from_gram = spectrum.form == SpectrumForm::gram;
  const double negligible = std::max(spectrum.resolution * 1e-4, 1e-16) * spectrum.largest();
  for (const double penalty : penalties) {
    const double total = penalty * basis.rows;
    double freedom = basis.intercept ? 1 : 0, squares = 0;
    for (const double square : spectrum.squares) squares += square;
    for (std::size_t j = 0; j < spectrum.eigenvalues.size(); ++j) {
      const double eigenvalue = spectrum.eigenvalues[j], sum = eigenvalue + total;
      if (!(sum > 0)) continue;
      freedom += eigenvalue / sum;
      // c^2 (1 - (t / (e + t))^2) is what component j explains of the targets.
      const double explained = eigenvalue * (eigenvalue + 2 * total) / (sum * sum);
      if (from_gram && eigenvalue <= negligible) continue;
      for (std::size_t o = 0; o < outputs; ++o) {
        const double rotated = spectrum.rotated[j * outputs + o];
        squares -= rotated * rotated * explained / (from_gram ? eigenvalue : 1.0);
      }
    }
    const double residual = std::max(0.0, squares) / (basis.rows * static_cast<double>(basis.outputs));
    scores.degrees_of_freedom.push_back(freedom);
    scores.residual.push_back(residual);
    scores.gcv.push_back(gcv_of(residual, freedom, basis.positive_rows));
  }
  choose_best(scores);
  return scores;
}

PathScorer::PathScorer(const Device& device, const Spectrum& spectrum, const ScoreBasis& basis,
                       std::span<const double> penalties, DType arithmetic)
    : device_(device), spectrum_(spectrum), outputs_(basis.outputs), arithmetic_(arithmetic) {
  std::vector<double> totals(penalties.begin(), penalties.end());
  for (double& total : totals) total *= basis.rows;
  FilterBasis chosen = choose_filters(spectrum.eigenvalues, totals, arithmetic == DType::f32 ? 1e-8 : 1e-14);
  const auto r = spectrum.eigenvalues.size(), s = chosen.chosen.size();
  std::vector<double> filters(s * r);
  for (std::size_t f = 0; f < s; ++f) {
    const std::vector<double> filter = spectrum.row_filters(totals[chosen.chosen[f]]);
    std::copy(filter.begin(), filter.end(), filters.begin() + static_cast<std::ptrdiff_t>(f * r));
  }
  if (!chosen.mixing.empty() && spectrum.form == SpectrumForm::complement) {
    // Filters of this form are (e_min + t) / (e + t), not 1 / (e + t).
    const double least = spectrum.least();
    for (std::size_t l = 0; l < totals.size(); ++l) {
      for (std::size_t f = 0; f < s; ++f) {
        chosen.mixing[l * s + f] *= (least + totals[l]) / (least + totals[chosen.chosen[f]]);
      }
    }
  }
  for (const double total : totals) scales_.push_back(spectrum.row_scale(total));
  const auto count = static_cast<std::int64_t>(totals.size());
  const auto components = static_cast<std::int64_t>(r), kept = static_cast<std::int64_t>(s);
  rotated_ = narrowed(device, spectrum.rotated, {1, components, outputs_}, arithmetic);
  filters_ = narrowed(device, filters, {1, kept, components}, arithmetic);
  if (!chosen.mixing.empty()) mixing_ = narrowed(device, chosen.mixing, {1, count, kept}, arithmetic);
  if (spectrum.form == SpectrumForm::gram && arithmetic == DType::f32) {
    right_ = Tensor(spectrum.right.shape(), DType::f32, device);
    kernels::cast(device, spectrum.right, right_);
  }
  left_out_ = Tensor::zeros({1, count, outputs_}, DType::f64, device);
  residual_ = Tensor::zeros({1, count, outputs_}, DType::f64, device);
}

void PathScorer::add_rows(ConstView block, const std::vector<double>& intercept_leverage) {
  const std::int64_t m = block.extent(0), p = block.extent(1) - outputs_;
  Tensor basis({spectrum_.components(), m}, arithmetic_, device_), targets({outputs_, m}, arithmetic_, device_);
  kernels::gemm(device_, kernels::Transpose::no, kernels::Transpose::yes, 1.0,
                right_.defined() ? right_.view() : spectrum_.right.view(), block.slice(1, 0, p), 0.0, basis);
  kernels::unary(device_, kernels::UnaryOp::copy, block.slice(1, p, p + outputs_).permuted({1, 0}), targets);
  add_components(basis, targets, intercept_leverage);
}

void PathScorer::add_components(ConstView left, ConstView targets, const std::vector<double>& intercept_leverage) {
  const std::int64_t m = left.extent(1);
  const Tensor share =
      intercept_leverage.empty() ? Tensor() : narrowed(device_, intercept_leverage, {1, m}, arithmetic_);
  kernels::RidgePathRows rows;
  rows.basis = left.reshaped({1, left.extent(0), m});
  if (targets.given()) rows.targets = targets.reshaped({1, outputs_, m});
  rows.rotated = rotated_;
  rows.filters = filters_;
  if (mixing_.defined()) rows.mixing = mixing_;
  if (share.defined()) rows.intercept_leverage = share;
  kernels::ridge_path_errors(device_, rows, left_out_, residual_);
}

PathSums PathScorer::sums() const {
  PathSums sums{left_out_.to_vector<double>(), residual_.to_vector<double>()};
  const auto outputs = static_cast<std::size_t>(outputs_);
  for (std::size_t i = 0; i < sums.residual.size(); ++i) sums.residual[i] *= std::pow(scales_[i / outputs], 2);
  return sums;
}

void set_sums(RidgeScores& scores, const PathSums& sums, const ScoreBasis& basis) {
  const auto outputs = static_cast<std::size_t>(basis.outputs);
  scores.leave_one_out.clear();
  scores.leave_one_out_per_output.clear();
  for (std::size_t l = 0; l < scores.penalties.size(); ++l) {
    double left_out = 0, residual = 0;
    for (std::size_t o = 0; o < outputs; ++o) {
      scores.leave_one_out_per_output.push_back(sums.left_out[l * outputs + o] / basis.rows);
      left_out += scores.leave_one_out_per_output.back();
      residual += sums.residual[l * outputs + o];
    }
    scores.leave_one_out.push_back(left_out / static_cast<double>(basis.outputs));
    scores.residual[l] = residual / (basis.rows * static_cast<double>(basis.outputs));
    scores.gcv[l] = gcv_of(scores.residual[l], scores.degrees_of_freedom[l], basis.positive_rows);
  }
  choose_best(scores);
}

void choose_best(RidgeScores& scores) {
  const std::vector<double>& by = scores.leave_one_out.empty() ? scores.gcv : scores.leave_one_out;
  scores.best = static_cast<std::size_t>(std::min_element(by.begin(), by.end()) - by.begin());
}

}  // namespace rtl::solvers
