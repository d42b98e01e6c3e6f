// Building blocks of networks. A module holds named parameters and buffers and computes forward; gradients come from
// rtl/autodiff. Parameter names are those of the field's checkpoints ("layer1.0.conv1.weight").
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "rtl/autodiff/variable.hpp"
#include "rtl/layers/frozen_builder.hpp"

namespace rtl::layers {

using autodiff::NamedParameter;
using autodiff::Variable;

/// How a forward pass is run. `seed` and `step` choose the dropout masks: equal values give equal masks.
struct ForwardContext {
  bool training = false;
  std::uint64_t seed = 0;
  std::uint64_t step = 0;
};

/// A tensor that is part of the state but not trained (running statistics).
struct NamedBuffer {
  std::string name;
  Tensor* tensor;
};

/// Collects what `Module::visit` shows it.
struct ModuleState {
  std::vector<NamedParameter> parameters;
  std::vector<NamedBuffer> buffers;
  /// Sum of the parameters' element counts (buffers not counted).
  std::int64_t parameter_count() const;
};

/// What the new modules of one network need to make their tensors. The draw of each tensor depends on `seed` and the
/// tensor's full name only, so two networks of one seed agree wherever a name and shape agree; within a network equal
/// names would start layers equal, and are refused. A second network takes a Construction of its own.
struct Construction {
  Device device;
  std::uint64_t seed = 0;
  DType dtype = DType::f32;
  /// Name of the module being built with a dot behind it ("layer1.0."), or "".
  std::string prefix = "";
  /// Names that were drawn by this one, its copies and its children.
  std::shared_ptr<std::set<std::string>> drawn = std::make_shared<std::set<std::string>>();
  /// The same for a child: prefix + name + ".".
  Construction child(std::string_view name) const;
  /// prefix + name, for a tensor that is drawn. Throws ValueError if it was taken before.
  std::string take_name(std::string_view name) const;
};

class Module {
 public:
  Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  virtual ~Module() = default;

  virtual Variable forward(const Variable& x, const ForwardContext& context) = 0;
  /// Appends this module's parameters and buffers, each name preceded by `prefix` ("layer1.0." or "").
  virtual void visit(const std::string& prefix, ModuleState& state) = 0;
  /// Describes the evaluation pass from value x to the result.
  virtual FrozenBuilder::Value lower(FrozenBuilder& builder, FrozenBuilder::Value x) const = 0;

  ModuleState state() {
    ModuleState all;
    visit("", all);
    return all;
  }
  /// Sum of the parameters' element counts (buffers not counted).
  std::int64_t parameter_count();
  /// Freezes or unfreezes every parameter.
  void set_requires_gradient(bool requires_gradient);
  /// Forgets the gradients of every parameter.
  void clear_gradients();
};

}  // namespace rtl::layers
