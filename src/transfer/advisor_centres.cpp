#include "transfer/advisor_centres.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "rtl/kernels/gemm.hpp"
#include "rtl/kernels/linear_algebra.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::transfer {
namespace {

/// Solves S a = b for a small symmetric positive semidefinite S [m, m]; directions that S lacks get 0, and so do those
/// of which no more than `least` [m] is left.
std::vector<double> solve_small(std::vector<double> s, std::vector<double> b, const std::vector<double>& least) {
  const std::size_t m = b.size();
  std::vector<bool> used(m, false);
  // Gauss-Jordan with diagonal pivots.
  for (std::size_t step = 0; step < m; ++step) {
    std::size_t pivot = m;
    for (std::size_t i = 0; i < m; ++i) {
      const double value = s[i * m + i];
      if (!used[i] && value > least[i] && (pivot == m || value > s[pivot * m + pivot])) pivot = i;
    }
    if (pivot == m) break;
    used[pivot] = true;
    const double inverse = 1 / s[pivot * m + pivot];
    for (std::size_t j = 0; j < m; ++j) s[pivot * m + j] *= inverse;
    b[pivot] *= inverse;
    for (std::size_t i = 0; i < m; ++i) {
      if (i == pivot) continue;
      const double factor = s[i * m + pivot];
      for (std::size_t j = 0; j < m; ++j) s[i * m + j] -= factor * s[pivot * m + j];
      b[i] -= factor * b[pivot];
    }
  }
  for (std::size_t i = 0; i < m; ++i) {
    if (!used[i]) b[i] = 0;
  }
  return b;
}

/// Sums of products between blocks of columns, and how much one row contributes to them.
class BlockProducts {
 public:
  BlockProducts(const TargetColumns& columns, std::span<const std::int64_t> firsts)
      : columns_(columns), firsts_(firsts.begin(), firsts.end()), s_(firsts.size() * firsts.size()), b_(firsts.size()) {
    for (std::int64_t i = 0; i < columns.rows; ++i) add(i, 1, s_, b_);
    // Sums of products are wrong by some roundings of themselves, which is all that is left of a block that depends on
    // others or on the row that is left out; and a block may be nothing but rounding errors from the beginning.
    for (std::size_t a = 0; a < firsts_.size(); ++a) {
      const auto noise = columns.noise.begin() + firsts_[a];
      least_.push_back(
          std::max(1e-12 * s_[a * firsts_.size() + a], std::accumulate(noise, noise + columns.outputs, 0.0)));
    }
  }
  std::vector<double> scales() const { return solve_small(s_, b_, least_); }
  std::vector<double> scales_without(std::int64_t i) const {
    // Without row i the column means change, too: each centred product then loses n / (n - 1) times the row's own.
    const auto n = static_cast<double>(columns_.rows);
    std::vector<double> s = s_, b = b_;
    add(i, columns_.intercept ? -n / (n - 1) : -1, s, b);
    return solve_small(std::move(s), std::move(b), least_);
  }

 private:
  void add(std::int64_t i, double factor, std::vector<double>& s, std::vector<double>& b) const {
    const double* row = columns_.row(i);
    const std::size_t m = firsts_.size();
    for (std::size_t a = 0; a < m; ++a) {
      const double* left = row + columns_.outputs + firsts_[a];
      for (std::int64_t j = 0; j < columns_.outputs; ++j) b[a] += factor * left[j] * row[j];
      for (std::size_t c = 0; c < m; ++c) {
        const double* right = row + columns_.outputs + firsts_[c];
        for (std::int64_t j = 0; j < columns_.outputs; ++j) s[a * m + c] += factor * left[j] * right[j];
      }
    }
  }

  const TargetColumns& columns_;
  std::vector<std::int64_t> firsts_;
  std::vector<double> s_, b_, least_;
};

}  // namespace

std::string to_string(CentreKind kind) {
  switch (kind) {
    case CentreKind::scratch:
      return "scratch";
    case CentreKind::source:
      return "source";
    case CentreKind::scaled:
      return "scaled";
    case CentreKind::mixed:
      return "mixed";
    case CentreKind::unchanged:
      return "unchanged";
  }
  return {};
}

std::string to_string(Decision decision) {
  switch (decision) {
    case Decision::transfer:
      return "transfer";
    case Decision::do_not_transfer:
      return "do not transfer";
    case Decision::unclear:
      return "unclear";
  }
  return {};
}

Predictions predict_rows(const Device& device, const Tensor& x, const Tensor& weights) {
  const std::int64_t n = x.extent(0), k = weights.extent(1);
  Tensor values({n, k}, DType::f64, device), sizes(values.shape(), DType::f64, device);
  Tensor large_x(x.shape(), DType::f64, device), large_weights(weights.shape(), DType::f64, device);
  kernels::unary(device, kernels::UnaryOp::absolute, x, large_x);
  kernels::unary(device, kernels::UnaryOp::absolute, weights, large_weights);
  constexpr auto plain = kernels::Transpose::no;
  kernels::gemm(device, plain, plain, 1, x, weights, 0, values);
  kernels::gemm(device, plain, plain, 1, large_x, large_weights, 0, sizes);
  Predictions result{values.to_vector<double>(), std::vector<double>(static_cast<std::size_t>(k))};
  const std::vector<double> size = sizes.to_vector<double>();
  const double share = 4 * static_cast<double>(n + x.extent(1)) * std::numeric_limits<double>::epsilon();
  for (std::size_t i = 0; i < size.size(); ++i) result.noise[i % result.noise.size()] += std::pow(share * size[i], 2);
  return result;
}

void subtract_means(std::vector<double>& values, std::int64_t width) {
  const auto columns = static_cast<std::size_t>(width);
  const std::size_t rows = values.size() / columns;
  // The second time takes off the rounding of the first means.
  for (int pass = 0; pass < 2; ++pass) {
    std::vector<double> means(columns);
    for (std::size_t i = 0; i < values.size(); ++i) means[i % columns] += values[i] / static_cast<double>(rows);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] -= means[i % columns];
  }
}

std::vector<double> mean_residuals(const std::vector<double>& values, std::int64_t width, std::int64_t outputs,
                                   std::int64_t first) {
  std::vector<double> means(static_cast<std::size_t>(outputs));
  const auto rows = static_cast<std::int64_t>(values.size()) / width;
  for (std::int64_t i = 0; i < rows; ++i) {
    const double* row = values.data() + i * width;
    for (std::int64_t j = 0; j < outputs; ++j) {
      means[static_cast<std::size_t>(j)] += (row[j] - row[outputs + first + j]) / static_cast<double>(rows);
    }
  }
  return means;
}

void Centre::left_out(std::int64_t i, const double* errors, std::int64_t outputs, double* out) const {
  const double* predictions = errors + outputs;
  std::copy_n(errors, outputs, out);
  for (std::size_t t = 0; t < terms.size(); ++t) {
    const double scale =
        scales_without.empty() ? terms[t].scale : scales_without[static_cast<std::size_t>(i) * terms.size() + t];
    for (std::int64_t j = 0; j < outputs; ++j) out[j] -= scale * predictions[terms[t].first + j];
  }
  if (matrix.empty()) return;
  const auto columns = static_cast<std::int64_t>(matrix.size()) / outputs;
  double pulled = 0;
  for (std::int64_t c = 0; c < columns; ++c) {
    pulled += pull[static_cast<std::size_t>(i * columns + c)] * predictions[c];
    for (std::int64_t j = 0; j < outputs; ++j) {
      out[j] -= matrix[static_cast<std::size_t>(c * outputs + j)] * predictions[c];
    }
  }
  for (std::int64_t j = 0; j < outputs; ++j) {
    out[j] += pulled * mixing_errors[static_cast<std::size_t>(i * outputs + j)];
  }
}

Centre scaled_centre(const TargetColumns& columns, std::span<const std::int64_t> firsts) {
  const BlockProducts products(columns, firsts);
  Centre centre;
  centre.candidate.kind = CentreKind::scaled;
  centre.candidate.scales = products.scales();
  for (std::size_t s = 0; s < firsts.size(); ++s) centre.terms.push_back({firsts[s], centre.candidate.scales[s]});
  for (std::int64_t i = 0; i < columns.rows; ++i) {
    const std::vector<double> scales = products.scales_without(i);
    centre.scales_without.insert(centre.scales_without.end(), scales.begin(), scales.end());
  }
  return centre;
}

Centre mixed_centre(const TargetColumns& columns, const Device& host) {
  const std::int64_t n = columns.rows, k = columns.outputs, m = columns.predictions;
  std::vector<double> g(static_cast<std::size_t>(n * m)), y(static_cast<std::size_t>(n * k));
  for (std::int64_t i = 0; i < n; ++i) {
    std::copy_n(columns.row(i), k, y.data() + i * k);
    std::copy_n(columns.row(i) + k, m, g.data() + i * m);
  }
  const Tensor predictions = Tensor::from(g, {n, m}, host), targets = Tensor::from(y, {n, k}, host);
  const solvers::RidgePath scale(host, predictions, targets, {}, {.intercept = columns.intercept});
  const std::vector<double> penalties = solvers::spanning_penalties(scale, 25);
  const double penalty = scale.evaluate(penalties).best_penalty();

  Centre centre;
  centre.candidate.kind = CentreKind::mixed;
  centre.candidate.mixing_penalty = penalty;
  centre.matrix = scale.coefficients(penalty).to_vector<double>();
  centre.mixing_errors = scale.residuals(penalty).to_vector<double>();
  const std::vector<double> leverages = scale.leverages(penalty).to_vector<double>();
  // S = G'G + n penalty I; the columns of `pull` are S^-1 g_i / (1 - h_i).
  Tensor s = Tensor::zeros({m, m}, DType::f64, host);
  for (std::int64_t c = 0; c < m; ++c) s.data_as<double>()[c * m + c] = static_cast<double>(n) * penalty;
  kernels::gram(host, kernels::GramOf::columns, 1, predictions, 1, s);
  kernels::cholesky_factor(host, s);
  Tensor pulls({m, n}, DType::f64, host);
  for (std::int64_t i = 0; i < n; ++i) {
    const double weight = 1 / std::max(1e-12, 1 - leverages[static_cast<std::size_t>(i)]);
    for (std::int64_t c = 0; c < m; ++c) {
      pulls.data_as<double>()[c * n + i] = weight * g[static_cast<std::size_t>(i * m + c)];
    }
  }
  kernels::cholesky_solve(host, s, pulls);
  centre.pull.resize(static_cast<std::size_t>(n * m));
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t c = 0; c < m; ++c) {
      centre.pull[static_cast<std::size_t>(i * m + c)] = pulls.data_as<double>()[c * n + i];
    }
  }
  return centre;
}

}  // namespace rtl::transfer
