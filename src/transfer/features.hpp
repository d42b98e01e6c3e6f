// Frozen features of all sources on a data set.
#pragma once

#include <memory>
#include <vector>

#include "rtl/transfer/predictor.hpp"

namespace rtl::transfer {

using Tables = std::vector<std::shared_ptr<const FeatureTable>>;
using Rows = std::vector<std::int64_t>;

namespace detail {

/// From the cache if there is one. Throws what FrozenSource::features throws.
Tables find_tables(const std::vector<FrozenSource>& sources, const data::Dataset& dataset, FeatureCache* cache);

/// Looks features up in the cache (in one of its own if null) as they are asked for. The data set must outlive it.
FeatureLookup features_of(const data::Dataset& dataset, FeatureCache* cache);
/// In the tables of these sources, else as above.
FeatureLookup features_of(const data::Dataset& dataset, const std::vector<FrozenSource>& sources, const Tables& tables);

}  // namespace detail
}  // namespace rtl::transfer
