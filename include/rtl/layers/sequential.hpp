// Modules one after the other, and the modules without parameters that go between the others.
#pragma once

#include <utility>

#include "rtl/kernels/pool.hpp"
#include "rtl/layers/module.hpp"

namespace rtl::layers {

/// Runs its children in order. A child's parameters are called "<child's name>.<parameter>". Of token ids it finds the
/// sequences' lengths, for its children (ForwardContext::lengths).
class Sequential final : public Module {
 public:
  /// Returns *this. Modules without parameters need no name. Throws ValueError for a null module, and where a tensor of
  /// the module would have the name of another child's.
  Sequential& add(std::string name, std::unique_ptr<Module> module);
  Sequential& add(std::unique_ptr<Module> module) { return add("", std::move(module)); }
  std::size_t size() const noexcept { return children_.size(); }
  /// Names of the children that have one, in order; where a child is a sequence, its own, "stage1.conv1", before it.
  std::vector<std::string> layer_names() const;
  /// The pass from x to behind the layer of that name, and nothing beyond. Throws ValueError for a name that is not
  /// one.
  Value forward_to(const std::string& layer, const Value& x, const ForwardContext& context);

  Value forward(const Value& x, const ForwardContext& context) override;
  void visit(const std::string& prefix, ModuleState& state) override;

 private:
  struct Child {
    std::string name;
    std::unique_ptr<Module> module;
  };
  static Value pass(const Child& child, const Value& x, const ForwardContext& context);

  std::vector<Child> children_;
};

/// A module without parameters or buffers.
class Stateless : public Module {
 public:
  void visit(const std::string&, ModuleState&) final {}
};

class Relu final : public Stateless {
 public:
  Value forward(const Value& x, const ForwardContext& context) override;
};

class Relu6 final : public Stateless {
 public:
  Value forward(const Value& x, const ForwardContext& context) override;
};

class MaxPool final : public Stateless {
 public:
  explicit MaxPool(const kernels::PoolOptions& options = {}) : options_(options) {}
  Value forward(const Value& x, const ForwardContext& context) override;

 private:
  kernels::PoolOptions options_;
};

class AveragePool final : public Stateless {
 public:
  explicit AveragePool(const kernels::PoolOptions& options = {}) : options_(options) {}
  Value forward(const Value& x, const ForwardContext& context) override;

 private:
  kernels::PoolOptions options_;
};

/// [N, H, W, C] to [N, C].
class GlobalAveragePool final : public Stateless {
 public:
  Value forward(const Value& x, const ForwardContext& context) override;
};

/// [N, H, W, C] to [N, C * H * W] in channel, row, column order.
class Flatten final : public Stateless {
 public:
  Value forward(const Value& x, const ForwardContext& context) override;
};

/// Inverted dropout while training, the identity otherwise. The mask is a function of the context's counters (seed,
/// step) and of `name`, which is to be unique within a network.
class Dropout final : public Stateless {
 public:
  /// Throws ValueError for a probability outside [0, 1).
  Dropout(double probability, std::string_view name);
  Value forward(const Value& x, const ForwardContext& context) override;
  double probability() const noexcept { return probability_; }

 private:
  double probability_;
  std::uint64_t stream_;
};

}  // namespace rtl::layers
