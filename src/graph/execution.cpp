// A plan with memory: binding, running node by node or for each replica, capturing.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/branch.hpp"
#include "rtl/graph/plan.hpp"

namespace rtl::graph {

Shape stacked(std::int64_t replicas, const Shape& shape) {
  if (shape.rank() == Shape::max_rank) {
    throw ShapeError(fmt::format("{} has no room for a replica axis", shape.to_string()));
  }
  std::array<std::int64_t, Shape::max_rank> extents{replicas};
  std::copy(shape.extents().begin(), shape.extents().end(), extents.begin() + 1);
  return Shape(std::span<const std::int64_t>(extents.data(), static_cast<std::size_t>(shape.rank()) + 1));
}

std::byte* Arena::reserve(std::size_t bytes) {
  if (!memory_.defined() || memory_.bytes() < bytes) {
    memory_ = Tensor();
    memory_ = Tensor({static_cast<std::int64_t>(bytes)}, DType::u8, device_);
  }
  return static_cast<std::byte*>(memory_.view().data());
}

Execution::Execution(std::shared_ptr<const Plan> plan)
    : Execution(plan, std::make_shared<Arena>(plan->graph().device())) {}

Execution::Execution(std::shared_ptr<const Plan> plan, std::shared_ptr<Arena> arena)
    : plan_(std::move(plan)), arena_(std::move(arena)), blocks_(plan_->blocks_.size()), uses_(plan_->blocks_.size()) {
  if (!(arena_->device() == plan_->graph().device())) {
    throw DeviceError(fmt::format("Execution: the arena lies on {}, the graph runs on {}", arena_->device().name(),
                                  plan_->graph().device().name()));
  }
  const auto& values = plan_->graph().values();
  for (std::size_t b = 0; b < blocks_.size(); ++b) {
    const std::int32_t leaf = plan_->blocks_[b].external;
    if (leaf < 0 || !values[static_cast<std::size_t>(leaf)].storage.defined()) continue;
    const bool stacked_elsewhere = plan_->replicated_[static_cast<std::size_t>(leaf)];
    if (!stacked_elsewhere) {
      blocks_[b] = static_cast<std::byte*>(values[static_cast<std::size_t>(leaf)].storage.tensor().view().data());
    }
  }
  prepare();
}

/// Lists the views of every step, and where each block is looked at.
void Execution::prepare() {
  const auto append = [&](std::int32_t value) {
    if (value >= 0) {
      uses_[static_cast<std::size_t>(plan_->block_of_[static_cast<std::size_t>(value)])].push_back(views_.size());
    }
    values_.push_back(value);
    views_.emplace_back();
  };
  std::size_t most = 0;
  for (const Plan::Step& step : plan_->steps_) {
    const NodeRecord& node = step.node;
    Prepared prepared{node.operation.get(), views_.size(), node.operands.size(), node.results.size(), false};
    std::vector<Value> operands;
    std::vector<bool> replicated;
    for (const std::int32_t operand : node.operands) {
      append(operand);
      operands.push_back(plan_->graph_->value(operand));
      replicated.push_back(operand >= 0 && plan_->replicated_[static_cast<std::size_t>(operand)]);
    }
    for (const std::int32_t result : node.results) append(result);
    prepared.one_by_one = step.replicated && (plan_->in_turn_ || !node.operation->runs_replicas(operands, replicated));
    prepared.behind = step.behind;
    prepared.beside = step.beside;
    prepared.joins = step.joins;
    prepared.together = step.replicated && !prepared.one_by_one;
    most = std::max(most, node.operands.size() + node.results.size());
    steps_.push_back(prepared);
  }
  scratch_.resize(most);
  for (std::size_t b = 0; b < blocks_.size(); ++b) {
    if (blocks_[b] != nullptr) point(b);
  }
}

View Execution::view_at(std::int32_t value, std::byte* address) const {
  const auto index = static_cast<std::size_t>(value);
  const Type& type = plan_->graph().values()[index].type;
  const bool external = plan_->blocks_[static_cast<std::size_t>(plan_->block_of_[index])].external >= 0;
  const bool all = plan_->replicated_[index] && (external || !plan_->in_turn_);
  const Shape shape = all ? stacked(plan_->replicas_, type.shape) : type.shape;
  return {address, type.dtype, shape, arena_->device()};
}

void Execution::point(std::size_t block) {
  replay_ = nullptr;
  for (const std::size_t position : uses_[block]) views_[position] = view_at(values_[position], blocks_[block]);
}

void Execution::bind_memory(const Value& value, View memory) {
  const Type& type = plan_->graph().record(value).type;
  const auto index = static_cast<std::size_t>(value.index());
  const std::int32_t block = index < plan_->block_of_.size() ? plan_->block_of_[index] : -1;
  if (block < 0) {
    if (plan_->graph().record(value).origin != Origin::constant) return;  // nothing of the plan reads it
    throw ValueError(fmt::format("Execution: {} is not read any more; a pass has computed with it",
                                 plan_->graph().record(value).name));
  }
  const View wanted = view_at(value.index(), static_cast<std::byte*>(memory.data()));
  const std::string& name = plan_->graph().record(value).name;
  const std::string what = name.empty() ? "a result" : name;
  if (plan_->blocks_[static_cast<std::size_t>(block)].external != value.index()) {
    throw ValueError(fmt::format("Execution: {} has no memory of its own that could be bound", what));
  }
  if (memory.dtype() != type.dtype) {
    throw DTypeError(
        fmt::format("Execution: {} is {}, the memory {}", what, type.to_string(), name_of(memory.dtype())));
  }
  if (memory.shape() != wanted.shape() || !memory.is_contiguous()) {
    throw ShapeError(fmt::format("Execution: {} is {}, the memory {}{}", what, wanted.shape().to_string(),
                                 memory.shape().to_string(), memory.is_contiguous() ? "" : ", not contiguous"));
  }
  if (!(memory.device() == arena_->device())) {
    throw DeviceError(fmt::format("Execution: {} is bound to memory on {}, the execution is on {}", what,
                                  memory.device().name(), arena_->device().name()));
  }
  std::byte*& address = blocks_[static_cast<std::size_t>(block)];
  if (address == memory.data()) return;
  address = static_cast<std::byte*>(memory.data());
  point(static_cast<std::size_t>(block));
}

void Execution::bind(const Value& value, View memory) { bind_memory(value, memory); }

void Execution::bind(const Value& value, ConstView memory) {
  if (plan_->graph().record(value).origin == Origin::variable ||
      plan_->graph().record(value).origin == Origin::operation) {
    throw ValueError("Execution: memory that is only read cannot be bound to a variable or a result");
  }
  bind_memory(value,
              {const_cast<void*>(memory.data()), memory.dtype(), memory.shape(), memory.strides(), memory.context()});
}

/// Memory for results that nobody bound.
void Execution::own(std::size_t block) {
  const Plan::Block& description = plan_->blocks_[block];
  const ValueRecord& value = plan_->graph().values()[static_cast<std::size_t>(description.external)];
  if (value.origin != Origin::operation) {
    throw ValueError(fmt::format("Execution: no memory is bound to {}", value.name));
  }
  const bool all = plan_->in_turn_ && plan_->replicated_[static_cast<std::size_t>(description.external)];
  const std::int64_t copies = all ? plan_->replicas_ : 1;
  owned_.emplace_back(Shape{copies * static_cast<std::int64_t>(description.bytes)}, DType::u8, arena_->device());
  blocks_[block] = static_cast<std::byte*>(owned_.back().view().data());
  point(block);
}

void Execution::find_memory() {
  for (std::size_t b = 0; b < blocks_.size(); ++b) {
    if (plan_->blocks_[b].external >= 0 && blocks_[b] == nullptr) own(b);
  }
  std::byte* base = arena_->reserve(plan_->arena_bytes_);
  if (base == base_) return;
  base_ = base;
  for (std::size_t b = 0; b < blocks_.size(); ++b) {
    if (plan_->blocks_[b].external >= 0) continue;
    blocks_[b] = base + plan_->blocks_[b].offset;
    point(b);
  }
}

void Execution::capture() { captures_ = device().is_cuda(); }

void Execution::run() {
  find_memory();
  if (captures_ && ran_) {
    if (!replay_) replay_ = device().context().capture([this] { run_nodes(); });
    return replay_->run();
  }
  run_nodes();
  ran_ = true;
}

void Execution::run_nodes() {
  if (plan_->in_turn_) return run_in_turn();
  for (const Prepared& step : steps_) {
    if (step.joins) detail::join(device());
    if (step.beside) {
      detail::beside(device(), [&] { run_step(step); });
    } else {
      run_step(step);
    }
  }
}

/// For all replicas.
void Execution::run_step(const Prepared& step) {
  if (!step.one_by_one) return run_once(step);
  for (std::int64_t replica = 0; replica < plan_->replicas_; ++replica) run_replica(step, replica);
}

void Execution::run_in_turn() {
  for (std::int64_t replica = 0; replica < plan_->replicas_; ++replica) {
    const std::int64_t last = plan_->replicas_ - 1;
    for (const Prepared& step : steps_) {
      if (step.one_by_one) {
        run_replica(step, replica);
      } else if (replica == (step.behind ? last : 0)) {
        run_once(step);
      }
    }
  }
}

void Execution::run_once(const Prepared& step) {
  const std::span<const View> views(views_);
  const Call call(arena_->device(), views.subspan(step.first, step.operands),
                  views.subspan(step.first + step.operands, step.results));
  step.together ? step.operation->run_replicas(call) : step.operation->run(call);
}

void Execution::run_replica(const Prepared& step, std::int64_t replica) {
  for (std::size_t i = 0; i < step.operands + step.results; ++i) {
    const View& whole = views_[step.first + i];
    const std::int32_t value = values_[step.first + i];
    scratch_[i] = whole;
    if (value < 0 || !plan_->replicated_[static_cast<std::size_t>(value)]) continue;
    const Type& type = plan_->graph().values()[static_cast<std::size_t>(value)].type;
    if (plan_->in_turn_ && whole.rank() == type.shape.rank()) continue;  // in the arena, which holds one replica
    auto* address = static_cast<std::byte*>(whole.data()) + static_cast<std::size_t>(replica) * type.bytes();
    scratch_[i] = View(address, type.dtype, type.shape, arena_->device());
  }
  const std::span<const View> views(scratch_);
  step.operation->run(Call(arena_->device(), views.first(step.operands), views.subspan(step.operands, step.results)));
}

View Execution::view(const Value& value) {
  plan_->graph().record(value);
  const auto index = static_cast<std::size_t>(value.index());
  const std::int32_t block = index < plan_->block_of_.size() ? plan_->block_of_[index] : -1;
  if (block < 0 || plan_->blocks_[static_cast<std::size_t>(block)].external < 0) {
    throw ValueError("Execution: only leaves and results of the plan have memory that can be looked at");
  }
  if (blocks_[static_cast<std::size_t>(block)] == nullptr) own(static_cast<std::size_t>(block));
  return view_at(value.index(), blocks_[static_cast<std::size_t>(block)]);
}

}  // namespace rtl::graph
