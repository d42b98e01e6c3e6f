// Building blocks of networks. A module holds named parameters and buffers and records its forward pass in a graph;
// gradients, evaluation, fusion and memory are derived from that record (rtl/graph). Parameter names are those of the
// field's checkpoints ("layer1.0.conv1.weight").
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "rtl/core/precision.hpp"
#include "rtl/graph/graph.hpp"

namespace rtl::layers {

using graph::Graph;
using graph::Value;

/// A tensor of a module: what training changes, or running statistics.
struct Parameter {
  std::string name;  ///< within the network
  graph::Storage storage;
  bool trainable = true;  ///< false: frozen, a constant of the graphs that are recorded from then on
  bool defined() const noexcept { return storage.defined(); }
  Tensor& value() const { return storage.tensor(); }
};

/// What is recorded beside a network's own pass, for strategies that change or observe networks which know nothing of
/// it. Each function gets a value of the pass and returns what stands for it from there on, of the same shape and
/// dtype.
struct Hooks {
  using Function = std::function<Value(const Value& original)>;
  /// What layers compute with instead of a parameter.
  std::map<const Parameter*, Function> parameters = {};
  /// Behind a layer of the trunk, by its name (Network::layer_names).
  std::map<std::string, Function> layers = {};
  /// At the end of every residual branch, before the shortcut is added; `last` is the weight of its last layer.
  std::function<Value(const Parameter& last, const Value& branch)> branch = {};

  /// The hooks of a layer's own pass: layers "stage1.conv1" are "conv1" within "stage1".
  Hooks within(const std::string& layer) const;
};

/// How a forward pass is recorded.
struct ForwardContext {
  bool training = false;
  /// Counters of the training step (rtl/graph/step_state.hpp), whose seed and step choose the dropout masks: equal
  /// numbers give equal masks. Needed while training where there is dropout.
  Value counters = {};
  /// Every parameter becomes a constant, so that passes may fold and pack it; the tensors must not change afterwards.
  bool frozen = false;
  /// Absent: the network's own pass. It must outlive the recording.
  const Hooks* hooks = nullptr;
  /// Probability with which a channel of a batch norm that is trained is normalised by its running statistics instead
  /// of the batch's (StochNorm, Kou et al. 2020), drawn anew in each step; in [0, 1).
  double running_share = 0;
  /// In which layers compute that are given no activations to go by: token ids become vectors of this.
  Precision activations = Precision::f32;
  /// i32 [N]: how many positions of each sequence are real, for attention and pooling; not defined: all. A Sequential
  /// that is given token ids i32 [N, T] finds them (graph::sequence_lengths) and hands them to what is in it.
  Value lengths = {};

  /// A parameter as a value of the graph, or what hooks put in its place; not defined for a parameter that is not.
  Value read(Graph& graph, const Parameter& parameter) const;
  /// In x's graph.
  Value read(const Value& x, const Parameter& parameter) const { return read(x.graph(), parameter); }
  /// What follows the layer of that name.
  Value behind_layer(const std::string& name, const Value& y) const;
  /// What is added to the shortcut.
  Value behind_branch(const Parameter& last, const Value& branch) const;
};

/// A parameter with its name within the module that was asked; the module owns it.
struct NamedParameter {
  std::string name;
  Parameter* parameter;
  Tensor& value() const { return parameter->value(); }
};
/// The same for a tensor that is part of the state but not trained (running statistics).
using NamedBuffer = NamedParameter;

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
  /// The parameter that a tensor becomes.
  Parameter parameter(std::string_view name, Tensor tensor) const;
};

class Module {
 public:
  Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  virtual ~Module() = default;

  /// Records the pass from x in x's graph.
  virtual Value forward(const Value& x, const ForwardContext& context) = 0;
  /// Appends this module's parameters and buffers, each name preceded by `prefix` ("layer1.0." or "").
  virtual void visit(const std::string& prefix, ModuleState& state) = 0;

  ModuleState state() {
    ModuleState all;
    visit("", all);
    return all;
  }
  /// Sum of the parameters' element counts (buffers not counted).
  std::int64_t parameter_count();
  /// Freezes (false) or unfreezes every parameter, for graphs that are recorded afterwards.
  void set_trainable(bool trainable);
};

}  // namespace rtl::layers
