// Whether seeds are trained faster as replicas of one plan than one by one.
#pragma once

#include <cstdint>

#include "rtl/graph/plan.hpp"
#include "rtl/transfer/training.hpp"

namespace rtl::transfer::detail {

/// How many of `most` replicas a GPU trains at once. A launch costs about 5 us; in that time it moves 10 MB at 2 TB/s
/// and calculates 150 MFLOP at 30 TFLOP/s. A step whose launches have on average less of both waits for them: then it
/// is all that fit 4 GiB, else one. `bytes` is the memory of one replica beside the step's arena.
std::int64_t replicas_that_pay(const graph::PlanFacts& step, double bytes, std::int64_t most);
/// The same for trainings like this one.
std::int64_t replicas_that_pay(const Replica& one, std::int64_t most);

}  // namespace rtl::transfer::detail
