// What of the options decides a result.
#pragma once

#include "rtl/transfer/strategies.hpp"
#include "rtl/transfer/training.hpp"
#include "transfer/protocol.hpp"

namespace rtl::transfer::detail {

/// Of a training, but for its seed.
Facts facts_of(const TrainingOptions& options);
/// Of a strategy, but for its device.
Facts facts_of(const StrategyOptions& options);

}  // namespace rtl::transfer::detail
