// Rows of stored features that are fetched before they are needed.
#pragma once

#include <cstdint>

#include "rtl/kernels/gather.hpp"

namespace rtl::kernels {

/// The rows that gather_features gives when the counters' `begin` is `after` larger, to be called beside other work on
/// the device: on CUDA a few blocks that leave room for other kernels, as many as a bus needs. Positions behind the end
/// of `rows` give rows of zeros and read nothing of the table. rows [N] or [R, N] with m <= N, counters given, after in
/// [0, N]. Throws as gather_features does.
void fetch_features(const Device& device, const StoredFeatures& features, ConstView rows, View out, ConstView counters,
                    std::int64_t after);

}  // namespace rtl::kernels
