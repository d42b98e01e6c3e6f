// What a ridge problem becomes after its factorisation: eigenvalues, an orthonormal basis, and targets in that basis.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "solvers/ridge_rows.hpp"

namespace rtl::solvers {

/// How components become predictions for the rows. t is the total penalty, n times the penalty.
enum class SpectrumForm : std::uint8_t {
  gram,      ///< rows X V, rotated V'X'R, filter 1 / (e + t)
  singular,  ///< rows U, rotated U'R, filter e / (e + t)
  /// rows U spanning all that is not the intercept, rotated U'R, residual filter t / (e + t); it is kept as
  /// (e_min + t) / (e + t), which stays exact where t is much smaller than all e and the residuals almost vanish
  complement,
};

struct Spectrum {
  SpectrumForm form = SpectrumForm::gram;
  std::vector<double> eigenvalues;  ///< of each component, none negative
  Tensor right;                     ///< V' [components, p]; not defined after the dual factorisation
  Tensor left;                      ///< U' [components, n]; not defined in the gram form
  Tensor gram;                      ///< gram form, of rows: [X R]'[X R] [p + k, p + k], lower triangle
  std::vector<double> rotated;      ///< [components, k]
  std::vector<double> squares;      ///< ||R||^2 [k]
  double column_spread = 1;         ///< gram form: largest by smallest sum of squares of columns of X that are not 0
  /// Penalties whose total plus the least eigenvalue is below this share of the largest are lost in rounding errors.
  double resolution = 0;
  bool full_column_rank = false;  ///< to rounding: a penalty of 0 has one solution
  bool tall_dual = false;         ///< more rows than columns in the dual form, which cannot tell the column rank

  std::int64_t components() const { return static_cast<std::int64_t>(eigenvalues.size()); }
  double largest() const;
  double least() const;
  /// The least total penalty that `share` of the largest eigenvalue allows; 0 or negative: any.
  double least_total(double share) const { return share * largest() - least(); }
  /// The filters that the rows take, of each component.
  std::vector<double> row_filters(double total) const;
  /// Residuals and margins by those filters, times this, are the rows' own.
  double row_scale(double total) const;
  /// rotated times the filter that makes coefficients: V times this [components, k] is W - C (after the dual
  /// factorisation: X'U times this).
  std::vector<double> filtered(double total, std::int64_t outputs) const;
};

/// Throw ValueError for entries that are not finite.
Spectrum primal_spectrum(std::string_view call, const RidgeRows& rows);
Spectrum dual_spectrum(std::string_view call, const RidgeRows& rows);
Spectrum singular_spectrum(std::string_view call, const RidgeRows& rows);

/// The primal spectrum of a Gram matrix [X R]'[X R], f64 [p + k, p + k], lower triangle (zeros above).
Spectrum spectrum_of_gram(const Device& device, const Tensor& gram, std::int64_t features, std::int64_t rows,
                          double resolution);

/// Throws ValueError for penalties that are no penalties, for 0 where the solution is not unique, and for those that
/// the spectrum does not resolve. `problem` names it in the texts, `weight` is what penalties are multiplied by.
void check_resolved(std::string_view call, std::string_view problem, const Spectrum& spectrum, double weight,
                    std::span<const double> penalties);
/// Below it, penalties are not resolved.
double smallest_penalty(const Spectrum& spectrum, double weight);

}  // namespace rtl::solvers
