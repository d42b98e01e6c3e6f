// Runs one linear transfer with paired seeds: from scratch, the source as it is, L2-SP at the source's own best
// penalty, and what the advisor makes of it.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "rtl/core/device.hpp"
#include "rtl/solvers/l2sp_source.hpp"
#include "rtl/transfer/statistics.hpp"
#include "studies/linear_transfer/domains.hpp"

namespace rtl::studies::linear_transfer {

inline constexpr std::size_t policy_count = 4;
/// scratch, source as it is, L2-SP at tauS, advisor.
inline constexpr std::array<const char*, policy_count> policy_names = {"scratch", "source", "l2sp", "advisor"};

/// Accuracy or R^2 of each policy for each seed, as fractions of one. Where labels differ the source as it is has none.
struct Outcome {
  std::string family, source, target;
  std::int64_t rows = 0;
  bool other_labels = false;
  std::array<std::vector<double>, policy_count> scores;
  std::vector<double> trust;  ///< of the advisor, each seed

  std::string name() const;
  bool has(std::size_t policy) const { return !scores[policy].empty(); }
  /// Paired differences of a policy to scratch.
  transfer::Interval difference(std::size_t policy) const;
};

/// A source fitted to a domain's training rows, with the scaling that its targets are given.
class FittedSource {
 public:
  FittedSource(const Device& device, const Domain& domain, bool scale_each_feature);
  const solvers::L2SPSource& model() const { return *model_; }
  /// Missing values filled with the source's medians, then centred and scaled: [rows, features] of the chosen rows.
  Tensor scaled(const Domain& domain, const std::vector<std::int64_t>& rows) const;

 private:
  Device device_;
  SourceScaling scaling_;
  Tensor x_, y_;
  std::unique_ptr<solvers::L2SPSource> model_;
};

/// The rows that seed `seed` trains and tests on.
struct Split {
  std::vector<std::int64_t> training, testing;
};
Split split_rows(const Domain& domain, std::int64_t count, std::uint64_t seed);

/// [rows, outputs]
std::vector<double> target_values(const Domain& domain, const std::vector<std::int64_t>& rows);
/// X W + b on the host, [rows, outputs].
std::vector<double> linear(const Tensor& x, const Tensor& coefficients, const Tensor& intercept);
/// Ridge regression with an intercept, drawn to a centre if one is given; the penalty has the least exact leave-one-out
/// error among 33.
solvers::RidgeFit leave_one_out_ridge(const Device& device, const Tensor& x, const Tensor& y, ConstView centre = {});

/// Adds one seed's scores. Rows for testing: at most 2000.
void run_seed(const Device& device, const FittedSource& source, const Domain& target, std::uint64_t seed,
              Outcome& outcome);

}  // namespace rtl::studies::linear_transfer
