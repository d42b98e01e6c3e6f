// From a graph to a plan: which nodes run, how long values live, and where they lie.
#include "rtl/graph/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

#include "graph/aliases.hpp"

namespace rtl::graph {
namespace {

constexpr std::size_t alignment = 256;
constexpr std::int32_t forever = std::numeric_limits<std::int32_t>::max();

std::size_t aligned(std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

bool writes(const NodeRecord& node) {
  for (std::size_t i = 0; i < node.results.size(); ++i) {
    const auto aliasing = node.operation->aliasing(i);
    if (aliasing && aliasing->writes) return true;
  }
  return false;
}

}  // namespace

Plan::Plan(std::shared_ptr<Graph> graph, std::vector<Value> results, const PlanOptions& options)
    : graph_(std::move(graph)),
      results_(std::move(results)),
      replicas_(options.replicas),
      in_turn_(options.replicas_in_turn && options.replicas > 1) {
  if (replicas_ < 1) throw ValueError(fmt::format("Plan: {} replicas; at least one is needed", replicas_));
  for (const Value& result : results_) graph_->record(result);
  choose_steps();
  choose_replicated(options.replicated);
  if (in_turn_) order_turns();
  order_branches();
  assign_blocks(options.share_memory);
  place_blocks(options.share_memory);
  count_facts();
}

bool Plan::replicated(const Value& value) const {
  graph_->record(value);
  const auto index = static_cast<std::size_t>(value.index());
  return index < replicated_.size() && replicated_[index];
}

std::size_t Plan::bytes_of(std::int32_t value) const {
  const auto index = static_cast<std::size_t>(value);
  const std::size_t bytes = graph_->values()[index].type.bytes();
  return replicated_[index] && !in_turn_ ? bytes * static_cast<std::size_t>(replicas_) : bytes;
}

/// From the results backwards; recorded order is an order of execution.
void Plan::choose_steps() {
  const auto& nodes = graph_->nodes();
  std::vector<bool> needed(graph_->values().size());
  for (const Value& result : results_) needed[static_cast<std::size_t>(result.index())] = true;
  for (std::size_t i = nodes.size(); i-- > 0;) {
    const NodeRecord& node = nodes[i];
    if (!node.operation) continue;
    const bool wanted = std::any_of(node.results.begin(), node.results.end(),
                                    [&](std::int32_t result) { return needed[static_cast<std::size_t>(result)]; });
    if (!wanted && !writes(node)) continue;
    for (const std::int32_t operand : node.operands) {
      if (operand >= 0) needed[static_cast<std::size_t>(operand)] = true;
    }
    steps_.push_back({.node = nodes[i]});
  }
  std::reverse(steps_.begin(), steps_.end());
}

void Plan::choose_replicated(const std::vector<Value>& leaves) {
  replicated_.assign(graph_->values().size(), false);
  for (const Value& leaf : leaves) {
    if (graph_->record(leaf).origin == Origin::operation) {
      throw ValueError("Plan: only inputs, constants and variables can be named as replicated");
    }
    replicated_[static_cast<std::size_t>(leaf.index())] = replicas_ > 1;
  }
  for (Step& step : steps_) {
    const NodeRecord& node = step.node;
    step.replicated = std::any_of(node.operands.begin(), node.operands.end(), [&](std::int32_t operand) {
      return operand >= 0 && replicated_[static_cast<std::size_t>(operand)];
    });
    if (!step.replicated) continue;
    for (std::size_t i = 0; i < node.results.size(); ++i) {
      const auto aliasing = node.operation->aliasing(i);
      const std::int32_t from = aliasing ? node.operands[static_cast<std::size_t>(aliasing->operand)] : -1;
      if (from >= 0 && aliasing->writes && !replicated_[static_cast<std::size_t>(from)]) {
        throw ValueError(fmt::format("Plan: {} changes {}, which is not replicated, once for each replica",
                                     node.operation->name(), graph_->values()[static_cast<std::size_t>(from)].name));
      }
      const auto only = aliasing ? std::nullopt : node.operation->only_operand(i);
      const std::int32_t source = only ? node.operands[*only] : from;
      replicated_[static_cast<std::size_t>(node.results[i])] =
          source < 0 || replicated_[static_cast<std::size_t>(source)];
    }
  }
}

/// What is done once for all replicas comes before them where it only computes, and behind them where it changes a
/// variable that they read.
void Plan::order_turns() {
  std::vector<bool> late(graph_->values().size());
  for (Step& step : steps_) {
    const NodeRecord& node = step.node;
    const bool reads_late = std::any_of(node.operands.begin(), node.operands.end(), [&](std::int32_t operand) {
      return operand >= 0 && late[static_cast<std::size_t>(root_of(operand))];
    });
    if (step.replicated) {
      if (!reads_late) continue;
      throw ValueError(fmt::format("Plan: {} reads, for each replica in turn, what is changed once for all before it",
                                   node.operation->name()));
    }
    step.behind = reads_late || writes(node);
    if (!step.behind) continue;
    for (std::size_t i = 0; i < node.results.size(); ++i) {
      late[static_cast<std::size_t>(root_of(node.results[i]))] = true;
    }
  }
}

/// What runs beside other steps is waited for by the first of them that touches what it changes or changes what it
/// touches.
void Plan::order_branches() {
  using Memory = std::vector<std::int32_t>;
  const auto meet = [](const Memory& a, const Memory& b) {
    return std::ranges::any_of(a, [&](std::int32_t root) { return std::ranges::find(b, root) != b.end(); });
  };
  Memory touched_beside, changed_beside;  // and not waited for
  for (Step& step : steps_) {
    const Memory changed = changed_by(*graph_, step.node);
    Memory touched;
    for (const std::vector<std::int32_t>* values : {&step.node.operands, &step.node.results}) {
      for (const std::int32_t value : *values) {
        if (value >= 0) touched.push_back(root_of(value));
      }
    }
    step.beside = step.node.operation->runs_beside();
    if (!step.beside) {
      step.joins = meet(touched, changed_beside) || meet(changed, touched_beside);
      if (step.joins) touched_beside = changed_beside = {};
      continue;
    }
    for (const std::int32_t root : touched) {
      if (graph_->values()[static_cast<std::size_t>(root)].origin != Origin::operation) continue;
      throw ValueError(fmt::format("Plan: {} runs beside other nodes, but touches what a node has made",
                                   step.node.operation->name()));
    }
    touched_beside.insert(touched_beside.end(), touched.begin(), touched.end());
    changed_beside.insert(changed_beside.end(), changed.begin(), changed.end());
  }
}

/// A value that no step before has made.
void Plan::require_leaf(std::int32_t value) const {
  if (graph_->values()[static_cast<std::size_t>(value)].origin != Origin::operation) return;
  throw ValueError("Plan: a value is read that nothing makes before; a pass took it away: name it among its results");
}

std::int32_t Plan::root_of(std::int32_t value) const { return memory_of(*graph_, value); }

std::int32_t Plan::own_block(std::int32_t value, std::int32_t step) {
  blocks_.push_back({.bytes = bytes_of(value), .offset = 0, .first = step, .last = step, .external = -1});
  return block_of_[static_cast<std::size_t>(value)] = static_cast<std::int32_t>(blocks_.size()) - 1;
}

void Plan::assign_blocks(bool share) {
  const auto& values = graph_->values();
  block_of_.assign(values.size(), -1);
  // Blocks by aliasing alone first, so that each block's last use is known before memory is passed on.
  for (std::int32_t s = 0; s < static_cast<std::int32_t>(steps_.size()); ++s) {
    const NodeRecord& node = steps_[static_cast<std::size_t>(s)].node;
    for (const std::int32_t operand : node.operands) {
      if (operand < 0) continue;
      if (block_of_[static_cast<std::size_t>(operand)] < 0) {
        require_leaf(operand);
        blocks_[static_cast<std::size_t>(own_block(operand, s))].external = operand;
      }
      blocks_[static_cast<std::size_t>(block_of_[static_cast<std::size_t>(operand)])].last = s;
    }
    for (std::size_t i = 0; i < node.results.size(); ++i) {
      const auto aliasing = node.operation->aliasing(i);
      const std::int32_t from = aliasing ? node.operands[static_cast<std::size_t>(aliasing->operand)] : -1;
      if (from < 0) {
        own_block(node.results[i], s);
        continue;
      }
      if (aliasing->writes && values[static_cast<std::size_t>(from)].origin != Origin::variable) {
        throw ValueError(fmt::format("Plan: {} changes its operand {} in place, which is no variable",
                                     node.operation->name(), aliasing->operand));
      }
      block_of_[static_cast<std::size_t>(node.results[i])] = block_of_[static_cast<std::size_t>(from)];
    }
  }
  if (in_turn_) {
    // Later replicas read what was computed once.
    for (std::size_t value = 0; value < values.size(); ++value) {
      if (block_of_[value] < 0 || replicated_[value]) continue;
      Block& block = blocks_[static_cast<std::size_t>(block_of_[value])];
      block.first = 0;
      block.last = forever;
    }
  }
  for (const Value& result : results_) {
    const auto index = static_cast<std::size_t>(result.index());
    if (block_of_[index] < 0) {
      require_leaf(result.index());
      blocks_[static_cast<std::size_t>(own_block(result.index(), 0))].external = result.index();
    }
    Block& block = blocks_[static_cast<std::size_t>(block_of_[index])];
    block.last = forever;
    if (block.external < 0) block.external = result.index();
  }
  if (!share) return;
  for (std::int32_t s = 0; s < static_cast<std::int32_t>(steps_.size()); ++s) overwrite_operands(s);
}

/// Lets the results of a step that may do so take the memory of operands that end there.
void Plan::overwrite_operands(std::int32_t step) {
  const NodeRecord& node = steps_[static_cast<std::size_t>(step)].node;
  const auto block_of = [&](std::int32_t value) { return block_of_[static_cast<std::size_t>(value)]; };
  for (std::size_t r = 0; r < node.results.size(); ++r) {
    const std::int32_t own = block_of(node.results[r]);
    Block& block = blocks_[static_cast<std::size_t>(own)];
    if (block.external >= 0 || block.first != step || block.bytes == 0 || node.operation->aliasing(r)) continue;
    for (std::size_t o = 0; o < node.operands.size(); ++o) {
      const std::int32_t operand = node.operands[o];
      if (operand < 0 || !node.operation->may_overwrite(r, o)) continue;
      const std::int32_t theirs = block_of(operand);
      Block& from = blocks_[static_cast<std::size_t>(theirs)];
      const auto reads = std::count_if(node.operands.begin(), node.operands.end(),
                                       [&](std::int32_t other) { return other >= 0 && block_of(other) == theirs; });
      const bool taken = std::any_of(node.results.begin(), node.results.end(),
                                     [&](std::int32_t other) { return block_of(other) == theirs; });
      if (taken || from.external >= 0 || from.last != step || from.bytes != block.bytes || reads != 1 || theirs == own)
        continue;
      // The later block joins the earlier one; its values move.
      from.last = block.last;
      for (std::int32_t& place : block_of_) {
        if (place == own) place = theirs;
      }
      block.bytes = 0;
      block.last = block.first = -1;
      break;
    }
  }
}

/// Largest first, each at the lowest place where nothing that lives at the same time lies.
void Plan::place_blocks(bool share) {
  std::vector<std::size_t> order;
  for (std::size_t b = 0; b < blocks_.size(); ++b) {
    if (blocks_[b].external < 0 && blocks_[b].bytes > 0) order.push_back(b);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return blocks_[a].bytes > blocks_[b].bytes; });
  std::vector<std::size_t> placed;  // by offset
  for (const std::size_t index : order) {
    Block& block = blocks_[index];
    std::size_t offset = 0;
    for (const std::size_t other_index : placed) {
      const Block& other = blocks_[other_index];
      const bool together = !share || (other.first <= block.last && block.first <= other.last);
      if (!together) continue;
      if (offset + aligned(block.bytes) <= other.offset) break;
      offset = std::max(offset, other.offset + aligned(other.bytes));
    }
    block.offset = offset;
    arena_bytes_ = std::max(arena_bytes_, offset + aligned(block.bytes));
    placed.insert(std::upper_bound(placed.begin(), placed.end(), offset,
                                   [&](std::size_t place, std::size_t b) { return place < blocks_[b].offset; }),
                  index);
  }
}

PlanFacts Plan::facts_of(const Step& step) const {
  const NodeRecord& node = step.node;
  PlanFacts facts;
  std::vector<Value> operands;
  std::vector<bool> replicated;
  for (const std::int32_t operand : node.operands) {
    operands.push_back(graph_->value(operand));
    replicated.push_back(operand >= 0 && replicated_[static_cast<std::size_t>(operand)]);
    if (operand >= 0) facts.bytes += static_cast<double>(bytes_of(operand));
  }
  for (std::size_t r = 0; r < node.results.size(); ++r) {
    const auto aliasing = node.operation->aliasing(r);
    if (aliasing && !aliasing->writes) {  // looks at memory only
      facts.bytes = 0;
      continue;
    }
    facts.bytes += static_cast<double>(bytes_of(node.results[r]));
    const std::int32_t block = block_of_[static_cast<std::size_t>(node.results[r])];
    if (!aliasing && blocks_[static_cast<std::size_t>(block)].external < 0)
      facts.value_bytes += bytes_of(node.results[r]);
  }
  const std::int64_t copies = step.replicated ? replicas_ : 1;
  const bool together = step.replicated && !in_turn_ && node.operation->runs_replicas(operands, replicated);
  if (step.replicated && in_turn_) facts.bytes *= static_cast<double>(replicas_);
  facts.nodes = 1;
  facts.launches = node.operation->launches(operands) * (together ? 1 : copies);
  facts.flops = node.operation->flops(operands) * static_cast<double>(copies);
  return facts;
}

void Plan::count_facts() {
  facts_.arena_bytes = arena_bytes_;
  for (const Step& step : steps_) {
    const PlanFacts facts = facts_of(step);
    ++facts_.nodes;
    facts_.launches += facts.launches;
    facts_.value_bytes += facts.value_bytes;
    facts_.flops += facts.flops;
    facts_.bytes += facts.bytes;
  }
}

}  // namespace rtl::graph
