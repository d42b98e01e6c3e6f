// The loss and its gradient in one operation, for passes.
#pragma once

#include <memory>

#include "rtl/graph/operation.hpp"

namespace rtl::graph {

/// A node "cross_entropy" has the operands logits, labels, rows, counters (the last two absent without a batch) and the
/// results loss and probabilities. A node "cross_entropy_backward" has the operands probabilities, labels, rows,
/// counters, dloss and the result dlogits. Where dloss is the constant 1 and nobody else reads the probabilities, one
/// node of this operation takes their place: the operands are those of cross_entropy, the results loss and dlogits.
std::shared_ptr<const Operation> make_fused_cross_entropy();

/// Whether one launch of these does all replicas: unless they share logits that get different losses, or have tables of
/// labels of their own.
bool losses_run_replicas(std::span<const Value> operands, const std::vector<bool>& replicated);

}  // namespace rtl::graph
