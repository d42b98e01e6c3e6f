// Building blocks of networks. A module holds named parameters and buffers and computes forward; gradients come from
// rtl/autodiff. Parameter names are those of the field's checkpoints ("layer1.0.conv1.weight").
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rtl/autodiff/variable.hpp"

namespace rtl::layers {

using autodiff::Variable;

/// How a forward pass is run. `seed` and `step` choose the dropout masks: equal values give equal masks.
struct ForwardContext {
  bool training = false;
  std::uint64_t seed = 0;
  std::uint64_t step = 0;
};

struct NamedParameter {
  std::string name;
  Variable variable;
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

  ModuleState state() {
    ModuleState all;
    visit("", all);
    return all;
  }
  /// Sum of the parameters' element counts (buffers not counted).
  std::int64_t parameter_count();
  /// Freezes or unfreezes every parameter.
  void set_requires_gradient(bool requires_gradient);
};

}  // namespace rtl::layers
