// Heads of several layers on an encoder's and frozen features, which REFINE's is not: controls.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rtl/layers/linear.hpp"
#include "rtl/transfer/trainable.hpp"
#include "studies/refine/trials.hpp"

namespace rtl::studies::refine {

/// Widths of hidden layers, each with a ReLU and dropout behind it: those in front of the layer that the frozen
/// features enter at, then that one and those behind it. None: a linear head.
struct HeadLayers {
  std::vector<std::int64_t> before = {}, after = {};
  double dropout = 0.5;
};

class DeepHead final : public transfer::Trainable {
 public:
  /// Without an encoder the first layer sees the frozen features alone; of a `frozen` width of 0 there are none.
  DeepHead(std::unique_ptr<layers::Network> encoder, std::int64_t frozen, const HeadLayers& head, std::int64_t classes,
           const Device& device, std::uint64_t seed);

  graph::Value outputs(const transfer::Batch& batch, const layers::ForwardContext& context) override;
  layers::ModuleState state() override;
  bool wants_inputs() const override { return encoder_ != nullptr; }
  std::string description() const override;

 private:
  graph::Value hidden(const graph::Value& sums, const std::string& layer, const layers::ForwardContext& context) const;

  std::unique_ptr<layers::Network> encoder_;
  HeadLayers head_;
  std::vector<std::unique_ptr<layers::Linear>> before_, after_;
  layers::Parameter weight_, bias_;  ///< of the layer at which frozen features enter
};

/// Trains one on a target, with frozen features f32 [N, p] of both parts (not defined: none); accuracy on the test
/// part.
double score_deep_head(const HeadLayers& head, bool with_encoder, const Tensor& train_features,
                       const Tensor& test_features, const Target& target);

}  // namespace rtl::studies::refine
