// A network whose layers compute with something learned in the place of frozen parameters: updates of low rank, scales.
#pragma once

#include <deque>
#include <string>
#include <utility>

#include "rtl/transfer/predictors.hpp"

namespace rtl::transfer::detail {

class HookedNetwork final : public Trainable {
 public:
  /// All of the network's parameters are frozen; it must outlive this. `description` is of all that hooks depend on.
  HookedNetwork(NetworkPredictor& network, std::string description);

  layers::Network& network() const { return network_.network(); }
  layers::Hooks& hooks() { return hooks_; }
  /// A tensor that is trained, for hooks to read by read_in.
  layers::Parameter& add(std::string name, Tensor start);

  graph::Value outputs(const Batch& batch, const layers::ForwardContext& context) override;
  layers::ModuleState state() override;
  bool wants_inputs() const override { return true; }
  std::string description() const override { return description_; }

  /// What stands for each parameter is written into it, in the same bits, and the network goes without hooks.
  void merge();

 private:
  NetworkPredictor& network_;
  std::string description_;
  layers::Hooks hooks_;
  std::deque<layers::Parameter> added_;  ///< whose places do not move
};

/// A trained tensor as a variable of a value's graph.
graph::Value read_in(const graph::Value& x, const layers::Parameter& parameter);

/// The weights of linear and convolution layers among parameters.
std::vector<layers::NamedParameter> layer_weights(const layers::ModuleState& state);

}  // namespace rtl::transfer::detail
