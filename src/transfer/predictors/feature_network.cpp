#include "transfer/feature_network.hpp"

#include <fmt/format.h>

#include <utility>

#include "rtl/graph/operations.hpp"
#include "rtl/layers/initialization.hpp"
#include "rtl/transfer/archive.hpp"
#include "transfer/influence.hpp"
#include "transfer/outputs_plan.hpp"
#include "transfer/predictor_kinds.hpp"

namespace rtl::transfer {

namespace detail {

FeatureNetwork::FeatureNetwork(FrozenSource source, std::unique_ptr<layers::Network> network)
    : source_(std::move(source)), network_(std::move(network)) {
  if (network_->architecture().input == Shape{source_.feature_count()}) return;
  throw ShapeError(fmt::format("FeatureNetwork: {} takes {}, but {} has {} features",
                               network_->architecture().to_string(), network_->architecture().input.to_string(),
                               source_.name(), source_.feature_count()));
}

Tensor FeatureNetwork::predict(const data::Dataset& samples, const FeatureLookup& features) {
  const Device device = network_->device();
  const std::shared_ptr<const FeatureTable> table = features(source_);
  const Tensor transform = table->transform({}, {}, device);
  const kernels::StoredFeatures stored(table->view_on(device), {},
                                       transform.defined() ? ConstView(transform) : ConstView());
  return outputs_of(*this, samples, {}, {stored}, outputs_count(), device);
}

std::vector<BlockInfluence> FeatureNetwork::influence(const Task& task, const data::Dataset& samples,
                                                      const FeatureLookup& features) {
  InfluenceSum sum(task.regression);
  const Tensor seen = features(source_)->gather(nullptr, network_->device());
  sum.add(sum.add_block(source_.name()), seen, predict(samples, features), 1, 1);
  return sum.result();
}

graph::Value FeatureNetwork::outputs(const Batch& batch, const layers::ForwardContext& context) {
  layers::Hooks hooks;
  if (context.training && dropout_ > 0) {
    for (const std::string& layer : network_->layer_names()) {
      hooks.layers[layer] = [&, stream = layers::stream_of(layer)](const graph::Value& y) {
        return graph::dropout(y, dropout_, stream, context.counters);
      };
    }
  }
  layers::ForwardContext dropping = context;
  dropping.hooks = &hooks;
  return network_->forward(batch.features.front(), dropping);
}

std::string FeatureNetwork::description() const { return fmt::format("feature network, dropout {}", dropout_); }

void FeatureNetwork::write(ArchiveWriter& archive) {
  archive.source("source", source_);
  archive.network("network", *network_, data::Normalization::none);
}

}  // namespace detail

namespace predictors {

const PredictorKind& feature_network() {
  static const PredictorKind kind{"feature_network", [](const ArchiveReader& archive) -> std::unique_ptr<Predictor> {
                                    FrozenSource source = archive.source("source");
                                    auto network = archive.network("network");
                                    if (network->architecture().input != Shape{source.feature_count()}) {
                                      archive.fail("its network does not take the source's features");
                                    }
                                    return std::make_unique<detail::FeatureNetwork>(std::move(source),
                                                                                    std::move(network));
                                  }};
  return kind;
}

}  // namespace predictors
}  // namespace rtl::transfer
