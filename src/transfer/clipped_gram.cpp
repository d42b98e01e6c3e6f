#include "transfer/clipped_gram.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "solvers/accurate_solution.hpp"

namespace rtl::transfer::detail {
namespace {

/// Each clipped entry costs a pass along the columns; beyond this share of them a product of all rows costs less.
constexpr double most_clipped = 0.02;

/// An entry that is clipped, and by how much.
struct Clipped {
  std::size_t row, column;
  double change;
};

/// The columns of all blocks: (raw - shift) * factor, then clipped.
class Columns {
 public:
  Columns(const std::vector<FrozenBlock>& blocks, const std::vector<Tensor>& raw)
      : rows_(static_cast<std::size_t>(raw.front().extent(0))) {
    for (std::size_t k = 0; k < blocks.size(); ++k) {
      const auto width = static_cast<std::size_t>(raw[k].extent(1));
      append(blocks[k].shift, shift);
      append(blocks[k].factor, factor);
      bound_.insert(bound_.end(), width, static_cast<float>(blocks[k].bound));
      for (std::size_t j = 0; j < width; ++j) first_.push_back(raw[k].data_as<float>() + j);
      stride_.insert(stride_.end(), width, width);
    }
  }

  std::size_t rows() const { return rows_; }
  std::size_t count() const { return shift.size(); }
  double raw(std::size_t row, std::size_t column) const { return first_[column][row * stride_[column]]; }

  /// Row by row; by the arithmetic of FrozenBlock::scaled.
  std::vector<Clipped> clipped() const {
    std::vector<Clipped> all;
    if (std::all_of(bound_.begin(), bound_.end(), [](float bound) { return std::isinf(bound); })) return all;
    for (std::size_t i = 0; i < rows_; ++i) {
      for (std::size_t j = 0; j < count(); ++j) {
        const float seen = (first_[j][i * stride_[j]] - shift[j]) * factor[j];
        if (!(std::fabs(seen) > bound_[j])) continue;
        const double exact = (raw(i, j) - shift[j]) * factor[j];
        all.push_back({i, j, std::copysign(double{bound_[j]}, exact) - exact});
      }
    }
    return all;
  }

  std::vector<float> shift, factor;

 private:
  static void append(const Tensor& from, std::vector<float>& to) {
    const std::vector<float> values = from.to_vector<float>();
    to.insert(to.end(), values.begin(), values.end());
  }

  std::size_t rows_;
  std::vector<float> bound_;
  std::vector<const float*> first_;  ///< of each column, its entry of row 0 ..
  std::vector<std::size_t> stride_;  ///< .. and how far that of the next row is
};

/// [X Y]'[X Y] about the means, lower triangle, and the means, of scaled columns that are not clipped yet.
class Problem {
 public:
  Problem(const solvers::PartGrams::Rest& sums, std::size_t first, std::size_t outputs, const Columns& columns)
      : columns_(columns), width_(columns.count() + outputs), raw_means_(width_), means_(width_) {
    const std::size_t all = sums.means.size(), p = columns.count();
    const double* from = sums.gram.data_as<double>();
    const auto place = [&](std::size_t j) { return j < p ? first + j : all - width_ + j; };
    const auto factor = [&](std::size_t j) { return j < p ? double{columns.factor[j]} : 1.0; };
    gram_.resize(width_ * width_);
    for (std::size_t i = 0; i < width_; ++i) {
      raw_means_[i] = means_[i] = sums.means[place(i)];
      if (i < p) means_[i] = (raw_means_[i] - columns.shift[i]) * factor(i);
      for (std::size_t j = 0; j <= i; ++j) {
        gram_[i * width_ + j] = factor(i) * factor(j) * from[place(i) * all + place(j)];
      }
    }
  }

  /// With a = the scaled row about its mean and c = what clipping adds, a a' becomes (a + c)(a + c)': added are
  /// c (a + c/2)' and its transpose. `weights` of the rows, and the targets [n, outputs].
  void clip(const std::vector<Clipped>& clipped, const std::vector<double>& weights,
            const std::vector<float>& targets) {
    const std::size_t p = columns_.count(), outputs = width_ - p;
    std::vector<double> changes(p), products(clipped.empty() ? 0 : p * p), row(p);
    for (auto begin = clipped.begin(); begin != clipped.end();) {
      const std::size_t i = begin->row;
      const auto end = std::find_if(begin, clipped.end(), [i](const Clipped& entry) { return entry.row != i; });
      for (std::size_t j = 0; j < p; ++j) row[j] = (columns_.raw(i, j) - raw_means_[j]) * columns_.factor[j];
      for (auto entry = begin; entry != end; ++entry) row[entry->column] += entry->change / 2;
      for (; begin != end; ++begin) {
        const double change = weights[i] * begin->change;
        changes[begin->column] += change;
        double* to = products.data() + begin->column * p;
        for (std::size_t j = 0; j < p; ++j) to[j] += change * row[j];
        for (std::size_t o = 0; o < outputs; ++o) {
          gram_[(p + o) * width_ + begin->column] += change * (double{targets[i * outputs + o]} - means_[p + o]);
        }
      }
    }
    const auto rows = static_cast<double>(columns_.rows());
    for (std::size_t i = 0; i < p; ++i) {
      for (std::size_t j = 0; !clipped.empty() && j <= i; ++j) {
        gram_[i * width_ + j] += products[i * p + j] + products[j * p + i] - changes[i] * changes[j] / rows;
      }
      means_[i] += changes[i] / rows;
    }
  }

  std::optional<solvers::RidgeFit> solve(double alpha, const Device& host) const {
    const auto width = static_cast<std::int64_t>(width_), p = static_cast<std::int64_t>(columns_.count());
    auto found = solvers::solve_by_columns(host, Tensor::from(gram_, {width, width}, host), width - p, alpha, {});
    if (!found) return std::nullopt;
    const std::vector<double> w = found->coefficients.to_vector<double>();
    std::vector<double> intercept(means_.begin() + p, means_.end());
    for (std::size_t at = 0; at < w.size(); ++at) {
      intercept[at % intercept.size()] -= means_[at / intercept.size()] * w[at];
    }
    return solvers::RidgeFit{std::move(found->coefficients), Tensor::from(intercept, {width - p}, host),
                             found->condition};
  }

 private:
  const Columns& columns_;
  std::size_t width_;
  std::vector<double> gram_, raw_means_, means_;
};

}  // namespace

std::optional<solvers::RidgeFit> ridge_of_clipped(const solvers::PartGrams::Rest& sums, std::int64_t first_column,
                                                  const std::vector<FrozenBlock>& blocks,
                                                  const std::vector<Tensor>& raw, const RowTargets& targets,
                                                  double alpha) {
  const Columns columns(blocks, raw);
  const std::vector<Clipped> clipped = columns.clipped();
  const double entries = static_cast<double>(columns.rows()) * static_cast<double>(columns.count());
  if (static_cast<double>(clipped.size()) > most_clipped * entries) return std::nullopt;
  std::vector<double> weights(columns.rows(), 1.0);
  for (std::size_t i = 0; i < targets.weights.size(); ++i) weights[i] = sums.weight_factor * targets.weights[i];
  const Device& host = raw.front().device();
  Problem problem(sums, static_cast<std::size_t>(first_column), static_cast<std::size_t>(targets.task.outputs),
                  columns);
  problem.clip(clipped, weights, targets.columns(host).to_vector<float>());
  return problem.solve(alpha, host);
}

}  // namespace rtl::transfer::detail
