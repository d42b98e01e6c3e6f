// What an operation is: one small class. A user's own is written in the same way (examples/custom_operation).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rtl/graph/graph.hpp"

namespace rtl::graph {

/// One execution of an operation: memory of its operands and results, which are contiguous.
class Call {
 public:
  Call(const Device& device, std::span<const View> operands, std::span<const View> results)
      : device_(device), operands_(operands), results_(results) {}
  const Device& device() const noexcept { return device_; }
  /// Not given (View::given) where the operand is not.
  ConstView in(std::size_t operand) const { return operands_[operand]; }
  /// Result memory is not initialised. A result that is written in place is the operand's memory.
  View out(std::size_t result) const { return results_[result]; }
  std::span<const View> operands() const noexcept { return operands_; }
  std::span<const View> results() const noexcept { return results_; }

 private:
  const Device& device_;
  std::span<const View> operands_;
  std::span<const View> results_;
};

/// What Operation::gradient is given: the node, and the gradients of its results, all as values of the graph.
class GradientCall {
 public:
  GradientCall(std::span<const Value> operands, std::span<const Value> results, std::span<const Value> result_gradients,
               std::span<const bool> needed, std::span<Value> operand_gradients)
      : operands_(operands),
        results_(results),
        result_gradients_(result_gradients),
        needed_(needed),
        operand_gradients_(operand_gradients) {}
  const Value& operand(std::size_t i) const { return operands_[i]; }
  std::size_t operands() const noexcept { return operands_.size(); }
  const Value& result(std::size_t i = 0) const { return results_[i]; }
  /// Not defined where the loss does not depend on the result.
  const Value& gradient(std::size_t result = 0) const { return result_gradients_[result]; }
  /// Whether the gradient with respect to an operand is asked for.
  bool needs(std::size_t operand) const { return needed_[operand]; }
  /// The gradient with respect to an operand, of its type; ignored where it is not needed.
  void give(std::size_t operand, const Value& gradient) {
    if (needed_[operand]) operand_gradients_[operand] = gradient;
  }

 private:
  std::span<const Value> operands_, results_, result_gradients_;
  std::span<const bool> needed_;
  std::span<Value> operand_gradients_;
};

/// How a result relates to the memory of an operand.
struct Aliasing {
  int operand = 0;
  bool writes = false;  ///< the operand, a variable, is changed in place; else the result only looks at its memory
};

/// Immutable, and shared by all graphs and threads that use it.
class Operation {
 public:
  Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  virtual ~Operation() = default;

  /// "conv2d".
  virtual std::string_view name() const noexcept = 0;
  /// What distinguishes it from others of its name, for printed plans: "stride 2, padding 1"; may be empty.
  virtual std::string attributes() const { return {}; }

  /// Types of the results. Throws ShapeError, DTypeError or ValueError, naming shapes and what to do.
  virtual std::vector<Type> infer(std::span<const Value> operands) const = 0;

  /// Computes the results: calls of kernels, no allocation, no waiting for the device.
  virtual void run(const Call& call) const = 0;

  /// Records the gradients with respect to the operands, with operations. Throws ValueError unless overridden.
  virtual void gradient(GradientCall& call) const;

  /// Which operand's memory the result is; absent: its own. A looking alias has the operand's element count.
  virtual std::optional<Aliasing> aliasing([[maybe_unused]] std::size_t result) const { return std::nullopt; }
  /// The only operand that a result depends on, of an operation that does the same to each of many operands; absent: it
  /// depends on all.
  virtual std::optional<std::size_t> only_operand([[maybe_unused]] std::size_t result) const { return std::nullopt; }
  /// Whether the result may take the memory of an operand of the same size that nobody reads afterwards.
  virtual bool may_overwrite([[maybe_unused]] std::size_t result, [[maybe_unused]] std::size_t operand) const {
    return false;
  }

  /// Whether run_replicas does all replicas in one go, where `replicated` says which operands have a replica axis.
  virtual bool runs_replicas([[maybe_unused]] std::span<const Value> operands,
                             [[maybe_unused]] const std::vector<bool>& replicated) const {
    return false;
  }
  /// All replicas: results, and the operands that are replicated, have a leading axis. Called only where runs_replicas
  /// says so; elsewhere `run` is called for each replica.
  virtual void run_replicas(const Call& call) const { run(call); }

  /// Floating-point operations of one run, multiplications and additions counted each.
  virtual double flops([[maybe_unused]] std::span<const Value> operands) const { return 0; }
  /// Whether a captured run may do it beside the nodes that follow, up to the first that touches what it writes, or
  /// writes what it touches; the results are those of running in turn. Such an operation touches only leaves (the plan
  /// throws ValueError otherwise) and takes no scratch memory.
  virtual bool runs_beside() const noexcept { return false; }
  /// Kernels that one run launches on CUDA, a call of a vendor's library being one; 0 for an operation that only looks
  /// at memory.
  virtual int launches([[maybe_unused]] std::span<const Value> operands) const { return 1; }
};

}  // namespace rtl::graph
