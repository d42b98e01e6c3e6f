// Mean and variance of each column of features.
#pragma once

#include <cstddef>
#include <vector>

#include "rtl/transfer/feature_cache.hpp"

namespace rtl::transfer::detail {

struct ColumnMoments {
  std::vector<double> means, variances;  ///< the latter over N, not N - 1
};

/// Of f32 [N, p].
ColumnMoments column_moments(const Tensor& features);
/// Of the rows of a table (all, if null), on `device`: as many of them at a time as take `piece_bytes` in f32, so that
/// a table need not fit there.
ColumnMoments column_moments(const FeatureTable& features, const std::vector<std::int64_t>* rows, const Device& device,
                             std::size_t piece_bytes = std::size_t{64} << 20);

}  // namespace rtl::transfer::detail
