// A frozen network with trained bottlenecks in its residual branches.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "transfer/hooked_network.hpp"

namespace rtl::transfer::detail {

/// A residual branch of a network, by the last layer in it.
struct Branch {
  std::string last;  ///< name of that layer's weight, "layer1.0.bn2.weight"
  std::int64_t channels = 0;
};
/// From the inputs on.
std::vector<Branch> residual_branches(layers::Network& network);

/// y = r + W_up relu(W_down r + b_down) + b_up behind each residual branch r, at each pixel (Houlsby et al. 2019),
/// before the shortcut is added. W_down is uniform in +-1/sqrt(channels), W_up and the biases zero at first, so that
/// the network starts as it was. Trained are the bottlenecks and the head.
class AdaptedNetwork final : public Predictor, public Trainable {
 public:
  /// `widths` has an entry a branch, as residual_branches finds them.
  AdaptedNetwork(std::unique_ptr<layers::Network> network, data::InputNormalization normalization,
                 const std::vector<std::int64_t>& widths, std::uint64_t seed);

  std::string kind() const override { return "adapted_network"; }
  std::int64_t outputs_count() const override { return base_.outputs_count(); }
  Tensor predict(const data::Dataset& samples, const FeatureLookup& features) override;
  layers::ModuleState state() override { return hooked_.state(); }
  std::optional<Shape> sample() const override { return base_.sample(); }
  void write(ArchiveWriter& archive) override;

  const data::InputNormalization& normalization() const { return base_.normalization(); }
  graph::Value outputs(const Batch& batch, const layers::ForwardContext& context) override {
    return hooked_.outputs(batch, context);
  }
  bool wants_inputs() const override { return true; }
  std::string description() const override { return "bottlenecks in residual branches"; }

  /// Of the bottlenecks: their tensors, branch by branch.
  std::vector<layers::NamedParameter> bottlenecks();
  const std::vector<std::int64_t>& widths() const { return widths_; }

 private:
  void add_bottleneck(const Branch& branch, std::int64_t width, std::uint64_t seed);

  NetworkPredictor base_;
  HookedNetwork hooked_;
  std::vector<std::int64_t> widths_;
  std::map<std::string, layers::Hooks::Function> behind_;  ///< by the branch's last layer
};

}  // namespace rtl::transfer::detail
