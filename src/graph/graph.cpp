#include "rtl/graph/graph.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "rtl/graph/operation.hpp"

namespace rtl::graph {

std::string Type::to_string() const { return fmt::format("{} {}", name_of(dtype), shape.to_string()); }

Graph& Value::graph() const {
  if (graph_ == nullptr) throw ValueError("a value that is not defined was used; give it to the graph first");
  return *graph_;
}

const Type& Value::type() const { return graph().record(*this).type; }

Storage::Storage(Tensor tensor) {
  tensor.device();  // throws where there is no tensor
  tensor_ = std::make_shared<Tensor>(std::move(tensor));
}

Tensor& Storage::tensor() const {
  if (!tensor_) throw ValueError("a storage without a tensor was used");
  return *tensor_;
}

void Operation::gradient(GradientCall&) const {
  throw ValueError(fmt::format("{}: it has no gradient rule, and one is asked for", name()));
}

const ValueRecord& Graph::record(const Value& value) const {
  if (&value.graph() != this) throw ValueError("a value of another graph was used");
  return values_[static_cast<std::size_t>(value.index())];
}

std::int32_t Graph::add_value(const Type& type) {
  values_.push_back({.type = type, .name = {}, .storage = {}});
  return static_cast<std::int32_t>(values_.size()) - 1;
}

Value Graph::input(std::string name, const Shape& shape, DType dtype) {
  const std::int32_t index = add_value({shape, dtype});
  values_.back().origin = Origin::input;
  values_.back().name = std::move(name);
  return {this, index};
}

Value Graph::leaf(Origin origin, std::string name, const Storage& storage) {
  const Tensor& tensor = storage.tensor();
  if (tensor.device().is_cuda() ? !(tensor.device() == device_) : device_.is_cuda()) {
    throw DeviceError(fmt::format("{} lies on {}, the graph runs on {}", name, tensor.device().name(), device_.name()));
  }
  const auto [entry, added] = leaves_.try_emplace(&tensor, static_cast<std::int32_t>(values_.size()));
  if (!added) {
    if (values_[static_cast<std::size_t>(entry->second)].origin != origin) {
      throw ValueError(fmt::format("{} is used as a constant and as a variable of one graph", name));
    }
    return {this, entry->second};
  }
  values_.push_back(
      {.type = {tensor.shape(), tensor.dtype()}, .origin = origin, .name = std::move(name), .storage = storage});
  return {this, entry->second};
}

Value Graph::constant(std::string name, const Storage& storage) {
  return leaf(Origin::constant, std::move(name), storage);
}

Value Graph::variable(std::string name, const Storage& storage) {
  return leaf(Origin::variable, std::move(name), storage);
}

std::vector<Value> Graph::add(std::shared_ptr<const Operation> operation, std::span<const Value> operands) {
  NodeRecord node;
  for (const Value& operand : operands) {
    if (operand.defined()) record(operand);
    node.operands.push_back(operand.defined() ? operand.index() : -1);
  }
  const std::vector<Type> types = operation->infer(operands);
  std::vector<Value> results;
  const auto position = static_cast<std::int32_t>(nodes_.size());
  for (std::size_t i = 0; i < types.size(); ++i) {
    const std::int32_t index = add_value(types[i]);
    values_.back().node = position;
    values_.back().result = static_cast<std::int32_t>(i);
    node.results.push_back(index);
    results.emplace_back(this, index);
  }
  node.operation = std::move(operation);
  nodes_.push_back(std::move(node));
  return results;
}

Value Graph::add_one(std::shared_ptr<const Operation> operation, std::initializer_list<Value> operands) {
  return add(std::move(operation), std::span<const Value>(operands.begin(), operands.size())).at(0);
}

void Graph::replace(std::int32_t node, std::shared_ptr<const Operation> operation, std::vector<std::int32_t> operands,
                    std::vector<std::int32_t> results) {
  std::vector<Value> given;
  given.reserve(operands.size());
  for (const std::int32_t operand : operands) given.push_back(value(operand));
  const std::vector<Type> types = operation->infer(given);
  if (types.size() != results.size()) {
    throw ValueError(
        fmt::format("{}: {} results, {} values for them", operation->name(), types.size(), results.size()));
  }
  for (std::size_t i = 0; i < types.size(); ++i) {
    const Type& here = values_[static_cast<std::size_t>(results[i])].type;
    if (here == types[i]) continue;
    throw ValueError(fmt::format("{}: result {} is {}, the value in its place {}", operation->name(), i,
                                 types[i].to_string(), here.to_string()));
  }
  NodeRecord& target = nodes_[static_cast<std::size_t>(node)];
  for (const std::int32_t result : target.results) values_[static_cast<std::size_t>(result)].node = -1;
  for (std::size_t i = 0; i < results.size(); ++i) {
    ValueRecord& result = values_[static_cast<std::size_t>(results[i])];
    if (result.node >= 0) {
      NodeRecord& loser = nodes_[static_cast<std::size_t>(result.node)];
      loser.operation = nullptr;
    }
    result.node = node;
    result.result = static_cast<std::int32_t>(i);
  }
  target = {std::move(operation), std::move(operands), std::move(results)};
}

void Graph::insert(std::int32_t node) {
  nodes_.emplace(nodes_.begin() + node);
  for (ValueRecord& record : values_) {
    if (record.node >= node) ++record.node;
  }
}

void Graph::redirect(std::int32_t from, std::int32_t to) {
  for (NodeRecord& node : nodes_) std::replace(node.operands.begin(), node.operands.end(), from, to);
}

void Graph::remove(std::int32_t node) { nodes_[static_cast<std::size_t>(node)].operation = nullptr; }

}  // namespace rtl::graph
