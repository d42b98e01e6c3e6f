// The centres that a TransferAdvisor tries, each with the rule that leaves a row out of its estimation.
#pragma once

#include <span>
#include <vector>

#include "rtl/transfer/advisor.hpp"

namespace rtl::transfer {

/// The target's values beside each source solution's predictions for the target's rows; columns of predictions are
/// counted behind the k targets. Row-major, with column means taken off if there is an intercept.
struct TargetColumns {
  std::int64_t rows = 0, outputs = 0, predictions = 0;
  bool intercept = true;
  std::vector<double> values;  ///< [rows, outputs + predictions]
  std::vector<double> noise;   ///< [predictions], see Predictions

  std::int64_t width() const { return outputs + predictions; }
  const double* row(std::int64_t i) const { return values.data() + i * width(); }
};

struct Predictions {
  std::vector<double> values;  ///< [n, k]
  /// [k]: sums of squares about the mean up to this may be nothing but the rounding of products and means.
  std::vector<double> noise;
};
/// X W for x [n, p] and w [p, k], both f64; the noise follows from |X| |W|.
Predictions predict_rows(const Device& device, const Tensor& x, const Tensor& weights);

/// Takes the means off the columns of a row-major matrix, to the last rounding.
void subtract_means(std::vector<double>& values, std::int64_t width);
/// Means over rows of columns [0, outputs) minus columns [outputs + first, ..) of a row-major matrix of that width.
std::vector<double> mean_residuals(const std::vector<double>& values, std::int64_t width, std::int64_t outputs,
                                   std::int64_t first);

/// A linear map from prediction columns to a centre's outputs.
struct Centre {
  /// Every output j of the centre is the sum of scale * column (first + j) over these.
  struct Term {
    std::int64_t first = 0;
    double scale = 1;
  };
  AdvisorCandidate candidate;
  std::vector<Term> terms;
  std::vector<double> scales_without;  ///< [rows, terms]: the scales without that row; empty: they do not depend on it
  std::vector<double> matrix;          ///< kind mixed: A [predictions, outputs]
  std::vector<double> pull;            ///< kind mixed [rows, predictions]: S^-1 g_i / (1 - h_i)
  std::vector<double> mixing_errors;   ///< kind mixed [rows, outputs]: y_i - A' g_i

  /// The leave-one-out residual of row i, from the leave-one-out residuals of all columns: out [outputs].
  void left_out(std::int64_t i, const double* errors, std::int64_t outputs, double* out) const;
};

/// One regression coefficient for each block of `outputs` prediction columns beginning at `firsts`.
/// Coefficients of predictions that do not vary, to rounding, are 0.
Centre scaled_centre(const TargetColumns& columns, std::span<const std::int64_t> firsts);

/// All prediction columns ridge-regressed on the targets, the penalty by leave-one-out.
Centre mixed_centre(const TargetColumns& columns, const Device& host);

}  // namespace rtl::transfer
