// What a comparison's runs have in common, but for strategy and seed.
#pragma once

#include "rtl/transfer/compare.hpp"
#include "transfer/protocol.hpp"

namespace rtl::transfer::detail {

/// `threads` are those of one run, on a device of this kind.
Facts comparison_protocol(const std::vector<FrozenSource>& sources, const data::TrainTest& target,
                          const CompareOptions& options, DeviceKind kind, int threads);

}  // namespace rtl::transfer::detail
