// Ridge regression on standardised, clipped features from sums of products of the raw ones: scaling a column scales its
// sums, and the few entries that are clipped change them one by one.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "rtl/solvers/ridge_path.hpp"
#include "rtl/transfer/predictors.hpp"
#include "solvers/part_grams.hpp"
#include "transfer/row_targets.hpp"

namespace rtl::transfer::detail {

/// The fit that solvers::ridge gives of what the blocks make of `raw` [n, p_k] and of the targets, with sum of squares
/// + alpha |W|^2. `sums` are those of these rows' raw features, where the blocks' columns follow each other from
/// `first_column` on, and of the targets; all on a host. p^2 passes and p^3 / 3 FLOP. Nothing where so many entries are
/// clipped that the rows themselves are less work, or where the sums do not resolve the penalty.
std::optional<solvers::RidgeFit> ridge_of_clipped(const solvers::PartGrams::Rest& sums, std::int64_t first_column,
                                                  const std::vector<FrozenBlock>& blocks,
                                                  const std::vector<Tensor>& raw, const RowTargets& targets,
                                                  double alpha);

}  // namespace rtl::transfer::detail
