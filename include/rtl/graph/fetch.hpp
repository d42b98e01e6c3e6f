// Batches that a run fetches for the run behind it.
#pragma once

#include <cstdint>

#include "rtl/graph/operations.hpp"

namespace rtl::graph {

/// gather_batch_features of a table that the device reads over a bus, in two halves. A run takes the batch that the run
/// before has fetched, the first `count` rows of `buffer`, and fetches the next one into it, beside what follows up to
/// what changes the counters (Operation::runs_beside). `buffer` is a variable [most, p] of the batch's dtype, where
/// `most` is that of the largest batch and at most N; rows behind the end of the order become zeros. [count, p]; no
/// gradient. Throws ShapeError, DTypeError.
Value fetched_batch_features(const Value& buffer, const FeatureTable& table, const Value& order, const Value& counters,
                             std::int64_t count);
/// The second half alone, for the first batch of an epoch: fetches the rows that begin `after` positions behind the
/// counters' begin.
void fetch_batch_features(const Value& buffer, const FeatureTable& table, const Value& order, const Value& counters,
                          std::int64_t after);

}  // namespace rtl::graph
