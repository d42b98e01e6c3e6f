// The end of a training step in one operation, for passes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "rtl/graph/operation.hpp"

namespace rtl::graph {

/// The size of the batch by which a node "advance" moves on; absent for any other operation. Its operands are counters,
/// losses and loss, its results counters and losses.
std::optional<std::int64_t> advanced_batch(const Operation& operation);
/// The types that it takes. Throws DTypeError, ShapeError.
void check_advance(std::string_view operation, const Value& counters, const Value& losses, const Value& loss);

/// An optimizer step, whose first operand are the counters, that moves these on at its end: behind its own operands
/// stand losses and loss, behind its results counters and losses. Null if `step` is no optimizer step.
std::shared_ptr<const Operation> make_ending_step(const Operation& step, std::int64_t batch_size);

}  // namespace rtl::graph
