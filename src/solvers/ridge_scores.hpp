// Leave-one-out errors, GCV and degrees of freedom from a spectrum.
#pragma once

#include <span>
#include <utility>

#include "rtl/solvers/ridge_path.hpp"
#include "solvers/ridge_spectrum.hpp"

namespace rtl::solvers {

/// What the scores need of a problem besides its spectrum.
struct ScoreBasis {
  double rows = 0;           ///< n, which also is the sum of the weights
  double positive_rows = 0;  ///< rows of positive weight
  bool intercept = false;
  std::int64_t outputs = 0;
};

/// GCV, residual and degrees of freedom of each penalty from the spectrum alone; no leave-one-out.
RidgeScores scores_of_spectrum(const Spectrum& spectrum, const ScoreBasis& basis, std::span<const double> penalties);

/// Sums of squares over rows, [L, k] row-major.
struct PathSums {
  std::vector<double> left_out, residual;
};

/// Scores blocks of rows of one problem; exact for any division into blocks, up to rounding.
class PathScorer {
 public:
  PathScorer(const Device& device, const Spectrum& spectrum, const ScoreBasis& basis, std::span<const double> penalties,
             DType arithmetic);
  /// Rows of the gram form: `block` [m, p + k] as RidgeRows::prepare leaves it; `intercept_leverage` is
  /// each row's (empty: none).
  void add_rows(ConstView block, const std::vector<double>& intercept_leverage);
  /// Rows of the other forms: left [components, m] and targets [k, m] (not given in the complement form).
  void add_components(ConstView left, ConstView targets, const std::vector<double>& intercept_leverage);
  PathSums sums() const;

  /// What adding rows changes; putting it back undoes that.
  struct Sums {
    Tensor left_out, residual;
  };
  Sums snapshot() const { return {left_out_.clone(), residual_.clone()}; }
  void restore(Sums sums) noexcept {
    left_out_ = std::move(sums.left_out);
    residual_ = std::move(sums.residual);
  }

 private:
  const Device device_;
  const Spectrum& spectrum_;
  std::int64_t outputs_;
  DType arithmetic_;
  std::vector<double> scales_;  ///< Spectrum::row_scale of each penalty
  Tensor rotated_, filters_, mixing_, right_, left_out_, residual_;
};

/// Fills in leave_one_out, residual and what follows from them.
void set_sums(RidgeScores& scores, const PathSums& sums, const ScoreBasis& basis);
/// Sets `best` by leave_one_out or, without, by gcv.
void choose_best(RidgeScores& scores);

}  // namespace rtl::solvers
