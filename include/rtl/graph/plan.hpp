// How a graph is run: which nodes, in which memory. A plan is made once and shared by threads; each run of it has an
// Execution, which owns the memory between the leaves and the results.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rtl/graph/graph.hpp"
#include "rtl/graph/operation.hpp"

namespace rtl::graph {

struct PlanOptions {
  /// Values of the arena share memory where their lifetimes allow. False gives each value its own: the reference.
  bool share_memory = true;
  /// How many copies run side by side. With more than one, leaves named in `replicated` have a leading axis of this
  /// extent, and so has everything that depends on them.
  std::int64_t replicas = 1;
  std::vector<Value> replicated = {};
  /// One replica after the other goes through all nodes, in the same arena, which suits the caches of a processor; else
  /// each node runs for all replicas, if it can in one launch. The results are the same bits.
  bool replicas_in_turn = false;
};

/// The shape of a leaf or a result of all replicas. Throws ShapeError where there is no room for another axis.
Shape stacked(std::int64_t replicas, const Shape& shape);

/// Counts of a plan, for one run of all replicas.
struct PlanFacts {
  std::int64_t nodes = 0;
  std::int64_t launches = 0;    ///< kernels on CUDA
  std::size_t arena_bytes = 0;  ///< of the one block that holds all values between leaves and results
  std::size_t value_bytes = 0;  ///< sum of those values
  double flops = 0;
  double bytes = 0;  ///< read and written by all nodes
};

/// The nodes that `results` depend on, and those that change variables, in recorded order, with a place in one arena
/// for every value. Immutable.
class Plan {
 public:
  /// Throws ValueError for results of another graph, for an in-place change of anything but a variable, and, with
  /// replicas in turn, for replicas that read what is changed once for all of them before.
  Plan(std::shared_ptr<Graph> graph, std::vector<Value> results, const PlanOptions& options = {});

  const Graph& graph() const noexcept { return *graph_; }
  const std::vector<Value>& results() const noexcept { return results_; }
  std::int64_t replicas() const noexcept { return replicas_; }
  bool replicated(const Value& value) const;
  const PlanFacts& facts() const noexcept { return facts_; }
  /// A line a node: operation, launches, bytes, FLOP, the time that the given speeds allow, and shapes; the sums below.
  /// Speeds in bytes/s and FLOP/s; 0 leaves the column out.
  std::string to_string(double bandwidth = 0, double flops = 0) const;

 private:
  friend class Execution;

  /// Memory that one or more values live in.
  struct Block {
    std::size_t bytes = 0;
    std::size_t offset = 0;  ///< in the arena
    std::int32_t first = 0, last = 0;
    std::int32_t external = -1;  ///< the leaf or result whose memory it is; -1: in the arena
  };
  struct Step {
    NodeRecord node;  ///< a copy: the graph may be rewritten for another plan
    bool replicated = false;
    bool behind = false;  ///< with replicas in turn: runs once, behind the last replica's steps before it
    bool beside = false;  ///< what it does may run beside the steps that follow ..
    bool joins = false;   ///< .. up to here, where that of all steps before has to be done
  };

  void choose_steps();
  void choose_replicated(const std::vector<Value>& leaves);
  void order_turns();
  void order_branches();
  void require_leaf(std::int32_t value) const;
  std::int32_t root_of(std::int32_t value) const;
  void assign_blocks(bool share);
  std::int32_t own_block(std::int32_t value, std::int32_t step);
  void overwrite_operands(std::int32_t step);
  void place_blocks(bool share);
  PlanFacts facts_of(const Step& step) const;
  void count_facts();
  std::size_t bytes_of(std::int32_t value) const;

  std::shared_ptr<Graph> graph_;
  std::vector<Value> results_;
  std::int64_t replicas_;
  bool in_turn_;
  std::vector<Step> steps_;
  std::vector<bool> replicated_;        ///< of each value
  std::vector<std::int32_t> block_of_;  ///< of each value; -1: not needed
  std::vector<Block> blocks_;
  std::size_t arena_bytes_ = 0;
  PlanFacts facts_;
};

/// Memory for executions that never run at the same time, such as the steps with whole batches and with the last,
/// smaller one. Grows to the largest.
class Arena {
 public:
  explicit Arena(Device device) : device_(std::move(device)) {}
  const Device& device() const noexcept { return device_; }
  /// At least `bytes`; a call that lets it grow makes earlier addresses invalid.
  std::byte* reserve(std::size_t bytes);
  std::size_t bytes() const noexcept { return memory_.defined() ? memory_.bytes() : 0; }

 private:
  Device device_;
  Tensor memory_;
};

/// A plan with memory. Belongs to one thread at a time; several executions of one plan may run side by side, in arenas
/// of their own and where they change other variables.
class Execution {
 public:
  /// On the graph's device, with an arena of its own.
  explicit Execution(std::shared_ptr<const Plan> plan);
  /// In an arena that it shares, and on its device, which is of the graph's kind (another host device, for example).
  Execution(std::shared_ptr<const Plan> plan, std::shared_ptr<Arena> arena);
  Execution(Execution&&) noexcept = default;
  Execution& operator=(Execution&&) = delete;

  /// Memory of an input, of a result, or another memory for a constant or variable than its storage; of the value's
  /// type, with a leading replica axis where it is replicated; contiguous. It must live as long as it is bound. Throws
  /// ShapeError, DTypeError, DeviceError, ValueError for other values. Copies nothing.
  void bind(const Value& value, View memory);
  void bind(const Value& value, ConstView memory);

  /// From now on runs on a CUDA device are replays of a CUDA graph: one call queues all nodes. The first run that an
  /// execution makes goes node by node, which lets kernels and libraries set themselves up; the next one records the
  /// graph and replays it; later ones replay. A bind that changes an address, and an arena that grows, make the next
  /// run record anew. Contents of bound memory may change freely between runs. Scratch memory of the nodes' kernels
  /// belongs to the graph. Nodes that run beside others (Operation::runs_beside) are a branch of it, and done when the
  /// run is. Does nothing on the host, where a run is a loop over the nodes anyway.
  void capture();

  /// One run. Allocates nothing and does not wait for the device. Throws ValueError if an input is not bound; where
  /// nodes are recorded, CudaError for an operation that waits for the device or copies from or to the host.
  void run();

  /// Memory of a leaf or a result. Results that are not bound have memory of the execution.
  View view(const Value& value);
  const Plan& plan() const noexcept { return *plan_; }
  const Device& device() const noexcept { return arena_->device(); }

 private:
  struct Prepared {
    const Operation* operation;
    std::size_t first;  ///< position of its views: operands, then results
    std::size_t operands, results;
    bool one_by_one = false;  ///< run for each replica
    bool together = false;    ///< run for all replicas in one go
    bool behind = false;      ///< with replicas in turn: run with the last one
    bool beside = false;      ///< in a captured run: in a branch
    bool joins = false;       ///< in a captured run: behind all branches
  };

  void prepare();
  void bind_memory(const Value& value, View memory);
  void find_memory();
  void own(std::size_t block);
  void point(std::size_t block);
  View view_at(std::int32_t value, std::byte* address) const;
  void run_nodes();
  void run_step(const Prepared& step);
  void run_in_turn();
  void run_once(const Prepared& step);
  void run_replica(const Prepared& step, std::int64_t replica);

  std::shared_ptr<const Plan> plan_;
  std::shared_ptr<Arena> arena_;
  std::byte* base_ = nullptr;
  std::vector<std::byte*> blocks_;  ///< address of each block
  std::vector<Tensor> owned_;       ///< results that nobody bound
  std::vector<Prepared> steps_;
  std::vector<View> views_;                     ///< operands and results of all steps
  std::vector<std::int32_t> values_;            ///< of each view
  std::vector<std::vector<std::size_t>> uses_;  ///< of each block: positions in views_
  std::vector<View> scratch_;                   ///< views of one replica
  bool captures_ = false;                       ///< runs are to be replays
  bool ran_ = false;
  std::unique_ptr<detail::Replay> replay_;  ///< of the addresses as they are
};

}  // namespace rtl::graph
