// Sources that are of no use, or are badly scaled, made from others: to see what a strategy loses with them.
#pragma once

#include <cstdint>
#include <string>

#include "rtl/transfer/source.hpp"

namespace rtl::transfer {

/// Features alone: those of `source`, the rows of each data set in a random order, so that they have the distribution
/// of the source's features and say nothing of their samples. The order depends on the seed and the number of rows.
FrozenSource permuted_source(const FrozenSource& source, std::uint64_t seed);

/// Features alone: `width` numbers max(0, z) a sample, z standard normal, drawn by the seed, the data set's inputs, row
/// and column. Throws ValueError for a width below 1.
FrozenSource noise_source(std::int64_t width, std::uint64_t seed);

/// Features alone: those of `source` times a factor. Throws ValueError for a factor that is zero or not finite.
FrozenSource scaled_source(const FrozenSource& source, double factor);

/// One of these by name: "permuted", "noise:WIDTH" or "scaled:FACTOR". Throws ValueError for another text, and as they
/// do.
FrozenSource useless_source(const FrozenSource& source, const std::string& kind, std::uint64_t seed);

}  // namespace rtl::transfer
