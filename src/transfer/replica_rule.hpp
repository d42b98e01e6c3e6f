// Where replicas of a training step pay.
#pragma once

#include <cstdint>

#include "rtl/graph/plan.hpp"
#include "rtl/transfer/training.hpp"

namespace rtl::transfer::detail {

/// Whether the launches of a step cost more than what they do, so that one for all replicas is faster than one for
/// each. On CUDA a launch takes about 5 us, in which a GPU moves 10 MB at 2 TB/s and calculates 150 MFLOP at 30
/// TFLOP/s; on a host it is a call, whose checks take as long as 100 kB or 250 kFLOP (docs/graph.md has the
/// measurements). A step waits where its launches have on average less than both.
bool waits_for_launches(const graph::PlanFacts& step, DeviceKind kind);

/// How many of `most` replicas are trained at once: as many as fit 4 GiB where the step waits for launches, else one.
/// `bytes` is the memory of one replica beside the step's arena.
std::int64_t replicas_that_pay(const graph::PlanFacts& step, DeviceKind kind, double bytes, std::int64_t most);
/// The same for trainings like this one.
std::int64_t replicas_that_pay(const Replica& one, std::int64_t most);

}  // namespace rtl::transfer::detail
