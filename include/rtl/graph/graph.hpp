// A recorded computation: values, the operations that make them, and the memory behind the values that outlive a run.
// What is recorded once is differentiated (rtl/graph/gradients.hpp), rewritten (passes.hpp), planned (plan.hpp) and
// run.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "rtl/core/tensor.hpp"

namespace rtl::graph {

class Graph;
class Operation;

/// Shape and element type of a value; of one replica where there are several.
struct Type {
  Shape shape;
  DType dtype = DType::f32;
  std::size_t bytes() const { return checked_bytes(shape, dtype); }
  /// "f32 [64, 10]".
  std::string to_string() const;
  friend bool operator==(const Type& a, const Type& b) noexcept = default;
};

/// A handle to a value of a graph. Cheap to copy; valid while the graph lives. A default one stands for an operand that
/// is not given.
class Value {
 public:
  Value() = default;
  Value(Graph* graph, std::int32_t index) : graph_(graph), index_(index) {}

  bool defined() const noexcept { return graph_ != nullptr; }
  /// This and what follows throws ValueError for a value that is not defined.
  Graph& graph() const;
  std::int32_t index() const noexcept { return index_; }
  const Type& type() const;
  const Shape& shape() const { return type().shape; }
  DType dtype() const { return type().dtype; }
  int rank() const { return type().shape.rank(); }
  std::int64_t extent(int axis) const { return type().shape[axis]; }
  friend bool operator==(const Value& a, const Value& b) noexcept = default;

 private:
  Graph* graph_ = nullptr;
  std::int32_t index_ = -1;
};

/// Memory that lives longer than a run: parameters, running statistics, moments, step counters. Copies share it. Plans
/// keep its address: change its contents (copy_bytes), never assign another tensor to it.
class Storage {
 public:
  Storage() = default;
  explicit Storage(Tensor tensor);
  bool defined() const noexcept { return tensor_ != nullptr; }
  /// Throws ValueError if not defined.
  Tensor& tensor() const;
  const Shape& shape() const { return tensor().shape(); }
  DType dtype() const { return tensor().dtype(); }
  const Device& device() const { return tensor().device(); }
  friend bool operator==(const Storage& a, const Storage& b) noexcept = default;

 private:
  std::shared_ptr<Tensor> tensor_;
};

/// Where a value comes from. input: memory that is bound before a run. constant: memory that never changes, so that
/// passes may compute with it beforehand. variable: memory that runs may change, and whose owner may between runs.
enum class Origin : std::uint8_t { operation, input, constant, variable };

/// A value as the graph keeps it.
struct ValueRecord {
  Type type;
  Origin origin = Origin::operation;
  std::int32_t node = -1;    ///< that makes it
  std::int32_t result = -1;  ///< which of the node's results it is
  std::string name;          ///< of leaves
  Storage storage;           ///< of constants and variables
};

/// One application of an operation. Nodes stand in the order in which they were recorded, and run in it.
struct NodeRecord {
  std::shared_ptr<const Operation> operation;  ///< null: removed by a pass
  std::vector<std::int32_t> operands;          ///< values; -1 where one is not given
  std::vector<std::int32_t> results;
};

class Graph {
 public:
  explicit Graph(Device device) : device_(std::move(device)) {}
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  const Device& device() const noexcept { return device_; }

  /// Leaves. A constant or a variable on another kind of device throws DeviceError. The same storage gives the same
  /// value; asked for as a constant and as a variable it throws ValueError.
  Value input(std::string name, const Shape& shape, DType dtype);
  Value constant(std::string name, const Storage& storage);
  Value constant(std::string name, Tensor tensor) { return constant(std::move(name), Storage(std::move(tensor))); }
  Value variable(std::string name, const Storage& storage);

  /// Records an operation: its results, of the types that it infers. Throws what Operation::infer throws, and
  /// ValueError for operands of another graph.
  std::vector<Value> add(std::shared_ptr<const Operation> operation, std::span<const Value> operands);
  /// Of an operation with one result.
  Value add_one(std::shared_ptr<const Operation> operation, std::initializer_list<Value> operands);

  const std::deque<ValueRecord>& values() const noexcept { return values_; }
  const std::vector<NodeRecord>& nodes() const noexcept { return nodes_; }
  const ValueRecord& record(const Value& value) const;
  Value value(std::int32_t index) { return index < 0 ? Value() : Value(this, index); }

  /// For passes. Puts another operation in a node's place. Nodes from which it takes over a result are removed; what
  /// else they made must not be read any more. The types must be those that the operation infers, else ValueError.
  void replace(std::int32_t node, std::shared_ptr<const Operation> operation, std::vector<std::int32_t> operands,
               std::vector<std::int32_t> results);
  /// For passes. A place in front of a node, which `replace` fills. The nodes behind it move by one.
  void insert(std::int32_t node);
  /// Every node that reads `from` reads `to` instead.
  void redirect(std::int32_t from, std::int32_t to);
  void remove(std::int32_t node);
  /// A new value without a producer, for `replace`.
  std::int32_t add_value(const Type& type);

 private:
  Value leaf(Origin origin, std::string name, const Storage& storage);

  Device device_;
  std::deque<ValueRecord> values_;  ///< whose places do not move while operations are recorded
  std::vector<NodeRecord> nodes_;
  std::unordered_map<const Tensor*, std::int32_t> leaves_;
};

}  // namespace rtl::graph
