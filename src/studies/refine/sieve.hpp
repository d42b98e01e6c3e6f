// A regression whose smoothness is known, for the rates of the theory: joint least squares of a source's features and a
// sieve of cosines, which stands for h.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace rtl::studies::refine {

/// X uniform on [0, 1]^d, Y = f*(X) + noise of deviation 0.5, f* = g + rho r. The basis is that of products of cosines,
/// orthonormal, in the order of frequency |j|; g has the coefficients of every other one from the second on, r those of
/// the rest (but for the constant), +-a |j|^-(beta + d/2), a such that g + r has a norm of 1. So r is orthogonal to g,
/// and rho its share. The source's features are g and three cosines beyond all of these.
class SieveProblem {
 public:
  SieveProblem(int dimensions, double smoothness, std::uint64_t seed);

  enum class Features : std::uint8_t {
    none,
    useful,       ///< g, and three more
    independent,  ///< four standard normal numbers, whatever x is
  };
  static constexpr std::int64_t feature_count = 4;
  static constexpr double noise_deviation = 0.5;

  /// 1.5 (rho^2 n)^(d / (2 beta + d)), rounded up.
  std::int64_t columns(double rho, std::int64_t samples) const;
  /// -2 beta / (2 beta + d): of the risk of scratch, by samples.
  double rate() const;
  /// 2 d / (2 beta + d): of the nonparametric part of REFINE's risk, by rho.
  double rho_exponent() const;

  /// E (estimate - f*)^2 over new x, exactly, of least squares on the features and so many columns of the sieve, from
  /// one draw of the samples. Equal seeds give equal samples.
  double excess_risk(Features features, double rho, std::int64_t columns, std::int64_t samples,
                     std::uint64_t seed) const;
  /// The same to first order: variance of all columns and squared bias of the sieve.
  double predicted_risk(Features features, double rho, std::int64_t columns, std::int64_t samples) const;

 private:
  std::size_t terms() const { return known_.size(); }
  /// Cosines of all frequencies at x, by dimension.
  void evaluate(const std::array<double, 2>& x, std::vector<double>& values) const;

  int dimensions_;
  double smoothness_;
  int frequencies_ = 0;
  std::vector<std::array<int, 2>> order_;  ///< frequencies of each basis function; the last three are features
  std::vector<double> known_, residual_;   ///< coefficients of g and r
};

}  // namespace rtl::studies::refine
