// Calibrated probes of frozen features, as they stand beside networks that see the same: fitted to all rows, and to
// parts of them, from which others are left out.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "solvers/part_grams.hpp"
#include "transfer/ridge_head.hpp"

namespace rtl::transfer::detail {

/// A probe of some sources, fitted to all rows.
struct FeatureProbe {
  std::vector<std::size_t> sources;
  bool standardized;
  CalibratedProbe fit;
};

class FeatureProbes {
 public:
  /// `raw` are the features [n, p_k] of each source on all rows; what lies more than `clip` deviations from a column's
  /// mean is clipped. All but the sources, which are handles, must outlive it.
  FeatureProbes(const std::vector<FrozenSource>& sources, const std::vector<Tensor>& raw, const RowTargets& targets,
                double clip)
      : sources_(sources), raw_(raw), targets_(targets), clip_(clip) {}

  /// That on all sources and, if `each`, one on each where there are several, but not very many.
  std::vector<FeatureProbe> of_all_rows(bool each) const;
  /// For each of some parts of the rows, ascending, the probes fitted to all rows outside: scaling, coefficients and
  /// prior are theirs; form, penalty and temperature, few numbers, stay those of all rows. Parts that are folds share
  /// their sums of products where that is less work.
  using Heads = std::vector<std::unique_ptr<FusedHead>>;
  std::vector<Heads> without(const std::vector<std::vector<std::int64_t>>& parts,
                             const std::vector<FeatureProbe>& all_rows) const;

 private:
  struct Features {
    std::vector<FrozenBlock> blocks;
    std::vector<Tensor> raw;  ///< of each source
  };
  Features features(const std::vector<std::size_t>& sources, bool standardized, const Tensor& rows) const;
  FeatureProbe fitted(std::vector<std::size_t> sources, const Tensor& rows) const;
  bool share_sums(const std::vector<std::vector<std::int64_t>>& parts) const;
  std::unique_ptr<solvers::PartGrams> sums_of(const std::vector<std::vector<std::int64_t>>& parts) const;

  const std::vector<FrozenSource> sources_;
  const std::vector<Tensor>& raw_;
  const RowTargets& targets_;
  const double clip_;
};

}  // namespace rtl::transfer::detail
