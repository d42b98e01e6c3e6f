// Runs one linear transfer with paired seeds: from scratch, the source as it is, L2-SP at the source's own best
// penalty, and what the advisor makes of it.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "studies/linear_transfer/domains.hpp"
#include "rtl/core/device.hpp"
#include "rtl/solvers/l2sp_source.hpp"
#include "rtl/transfer/statistics.hpp"

namespace rtl::cli {

inline constexpr std::size_t linear_policies = 4;
/// scratch, source as it is, L2-SP at tauS, advisor.
inline constexpr std::array<const char*, linear_policies> linear_policy_names = {"scratch", "source", "l2sp",
                                                                                 "advisor"};

/// Accuracy or R^2 of each policy for each seed, as fractions of one. Where labels differ the source as it is has none.
struct LinearOutcome {
  std::string family, source, target;
  std::int64_t rows = 0;
  bool other_labels = false;
  std::array<std::vector<double>, linear_policies> scores;
  std::vector<double> trust;  ///< of the advisor, each seed

  std::string name() const;
  bool has(std::size_t policy) const { return !scores[policy].empty(); }
  /// Paired differences of a policy to scratch.
  transfer::Interval difference(std::size_t policy) const;
};

/// A source fitted to a domain's training rows, with the scaling that its targets are given.
class LinearSource {
 public:
  LinearSource(const Device& device, const LinearDomain& domain, bool scale_each_feature);
  const solvers::L2SPSource& model() const { return *model_; }
  /// Missing values filled with the source's medians, then centred and scaled: [rows, features] of the chosen rows.
  Tensor scaled(const LinearDomain& domain, const std::vector<std::int64_t>& rows) const;

 private:
  Device device_;
  std::vector<double> median_, mean_, scale_;
  Tensor x_, y_;
  std::unique_ptr<solvers::L2SPSource> model_;
};

/// The rows that seed `seed` trains and tests on.
struct LinearSplit {
  std::vector<std::int64_t> training, testing;
};
LinearSplit split_rows(const LinearDomain& domain, std::int64_t count, std::uint64_t seed);

/// Adds one seed's scores. Rows for testing: at most 2000.
void run_linear_seed(const Device& device, const LinearSource& source, const LinearDomain& target, std::uint64_t seed,
                     LinearOutcome& outcome);

}  // namespace rtl::cli
