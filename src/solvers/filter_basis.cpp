#include "solvers/filter_basis.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace rtl::solvers {
namespace {

/// Columns are the scaled filters of one penalty each; modified Gram-Schmidt with pivoting.
class PivotedQr {
 public:
  PivotedQr(const std::vector<double>& eigenvalues, const std::vector<double>& totals)
      : length_(eigenvalues.size()), count_(totals.size()), columns_(length_ * count_), norms_(count_) {
    const double least = *std::min_element(totals.begin(), totals.end());
    for (std::size_t l = 0; l < count_; ++l) {
      double* filter = column(l);
      // Scaled like this, elements of one filter are of similar size, and so are filters: small ones become as exact as
      // large ones.
      for (std::size_t j = 0; j < length_; ++j) {
        filter[j] = std::sqrt(eigenvalues[j] + least) / (eigenvalues[j] + totals[l]);
      }
      scales_.push_back(1 / std::sqrt(dot(filter, filter)));
      for (std::size_t j = 0; j < length_; ++j) filter[j] *= scales_[l];
    }
  }

  /// What column l was multiplied by.
  double scale(std::size_t l) const { return scales_[l]; }

  /// Takes columns until the largest left over is below tolerance times the first. False if more than `most` are
  /// needed.
  bool factorise(double tolerance, std::size_t most) {
    order_.resize(count_);
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    double first = 0;
    for (rank_ = 0; rank_ < count_; ++rank_) {
      for (std::size_t i = rank_; i < count_; ++i) norms_[i] = std::sqrt(dot(column(order_[i]), column(order_[i])));
      const auto largest = static_cast<std::size_t>(
          std::max_element(norms_.begin() + static_cast<std::ptrdiff_t>(rank_), norms_.end()) - norms_.begin());
      if (rank_ == 0) first = norms_[largest];
      if (norms_[largest] <= tolerance * first) break;
      if (rank_ == most) return false;
      std::swap(order_[rank_], order_[largest]);
      select(norms_[largest]);
    }
    return true;
  }

  const std::vector<std::size_t>& order() const { return order_; }
  std::size_t rank() const { return rank_; }

  /// The coefficients of column order()[rank() + i] in the selected ones: the solution of a triangular system.
  std::vector<double> combination(std::size_t i) const {
    std::vector<double> solution(rank_);
    for (std::size_t row = rank_; row-- > 0;) {
      double value = factor(row, order_[i]);
      for (std::size_t later = row + 1; later < rank_; ++later) {
        value -= factor(row, order_[later]) * solution[later];
      }
      solution[row] = value / factor(row, order_[row]);
    }
    return solution;
  }

 private:
  double* column(std::size_t l) { return columns_.data() + l * length_; }
  double factor(std::size_t row, std::size_t l) const { return factors_[row * count_ + l]; }
  double dot(const double* a, const double* b) const {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::size_t j = 0; j < length_; ++j) sum += a[j] * b[j];
    return sum;
  }

  /// Makes column order_[rank_] a unit vector and takes its direction out of those behind it.
  void select(double norm) {
    double* unit = column(order_[rank_]);
    factors_.resize((rank_ + 1) * count_, 0.0);
    double* row = factors_.data() + rank_ * count_;
    for (std::size_t j = 0; j < length_; ++j) unit[j] /= norm;
    row[order_[rank_]] = norm;
    for (std::size_t i = rank_ + 1; i < count_; ++i) {
      double* other = column(order_[i]);
      const double share = dot(unit, other);
      for (std::size_t j = 0; j < length_; ++j) other[j] -= share * unit[j];
      row[order_[i]] = share;
    }
  }

  std::size_t length_, count_, rank_ = 0;
  std::vector<double> columns_, norms_, scales_, factors_;
  std::vector<std::size_t> order_;
};

FilterBasis all_of(std::size_t count) {
  FilterBasis basis;
  basis.chosen.resize(count);
  std::iota(basis.chosen.begin(), basis.chosen.end(), std::size_t{0});
  return basis;
}

/// Largest relative error of an element of the combined filters.
double largest_error(const FilterBasis& basis, const std::vector<double>& eigenvalues,
                     const std::vector<double>& totals) {
  double largest = 0;
  const std::size_t rank = basis.chosen.size();
  for (std::size_t l = 0; l < totals.size(); ++l) {
    for (const double eigenvalue : eigenvalues) {
      double sum = 0;
      for (std::size_t s = 0; s < rank; ++s) {
        sum += basis.mixing[l * rank + s] / (eigenvalue + totals[basis.chosen[s]]);
      }
      largest = std::max(largest, std::fabs(sum * (eigenvalue + totals[l]) - 1));
    }
  }
  return largest;
}

}  // namespace

FilterBasis choose_filters(const std::vector<double>& eigenvalues, const std::vector<double>& totals,
                           double tolerance) {
  const std::size_t count = totals.size();
  // A total of 0 has no logarithmic neighbours, and a few filters are not worth the search.
  if (count < 8 || eigenvalues.empty() || *std::min_element(totals.begin(), totals.end()) <= 0) return all_of(count);
  PivotedQr qr(eigenvalues, totals);
  if (!qr.factorise(tolerance, count * 3 / 4)) return all_of(count);
  FilterBasis basis;
  const std::size_t rank = qr.rank();
  basis.chosen.assign(qr.order().begin(), qr.order().begin() + static_cast<std::ptrdiff_t>(rank));
  basis.mixing.assign(count * rank, 0.0);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t l = qr.order()[i];
    if (i < rank) {
      basis.mixing[l * rank + i] = 1;
      continue;
    }
    const std::vector<double> combination = qr.combination(i);
    for (std::size_t s = 0; s < rank; ++s) {
      basis.mixing[l * rank + s] = combination[s] * qr.scale(basis.chosen[s]) / qr.scale(l);
    }
  }
  return largest_error(basis, eigenvalues, totals) <= 100 * tolerance ? basis : all_of(count);
}

}  // namespace rtl::solvers
