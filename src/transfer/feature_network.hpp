// A network on the frozen features of a source.
#pragma once

#include <memory>
#include <vector>

#include "rtl/transfer/predictors.hpp"

namespace rtl::transfer::detail {

/// outputs = network(f(x)): the network takes vectors as wide as the source's features.
class FeatureNetwork final : public Predictor, public Trainable {
 public:
  /// Throws ShapeError where the widths differ.
  FeatureNetwork(FrozenSource source, std::unique_ptr<layers::Network> network);

  layers::Network& network() const { return *network_; }
  /// Share of each layer's outputs that is dropped while training, in front of the next one; 0 by default.
  void set_dropout(double probability) { dropout_ = probability; }

  std::string kind() const override { return "feature_network"; }
  std::int64_t outputs_count() const override { return network_->architecture().classes; }
  Tensor predict(const data::Dataset& samples, const FeatureLookup& features) override;
  /// Of the source's features alone, whose share is all of the outputs.
  std::vector<BlockInfluence> influence(const Task& task, const data::Dataset& samples,
                                        const FeatureLookup& features) override;
  layers::ModuleState state() override { return network_->state(); }
  std::vector<FrozenSource> sources() const override { return {source_}; }
  void write(ArchiveWriter& archive) override;

  graph::Value outputs(const Batch& batch, const layers::ForwardContext& context) override;
  bool wants_inputs() const override { return false; }
  std::string description() const override;

 private:
  FrozenSource source_;
  std::unique_ptr<layers::Network> network_;
  double dropout_ = 0;
};

}  // namespace rtl::transfer::detail
