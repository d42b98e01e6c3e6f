// A network, all of it trained.
#include "rtl/transfer/archive.hpp"
#include "rtl/transfer/predictors.hpp"
#include "rtl/transfer/training.hpp"
#include "transfer/predictor_kinds.hpp"

namespace rtl::transfer {

NetworkPredictor::NetworkPredictor(std::unique_ptr<layers::Network> network, data::InputNormalization normalization)
    : network_(std::move(network)), normalization_(std::move(normalization)) {
  if (!network_) throw ValueError("NetworkPredictor: there is no network");
}

Tensor NetworkPredictor::predict(const data::Dataset& samples, const FeatureLookup& /*features*/) {
  return transfer::predict(*network_, samples, normalization_);
}

void NetworkPredictor::write(ArchiveWriter& archive) { archive.network("network", *network_, normalization_); }

graph::Value NetworkPredictor::outputs(const Batch& batch, const layers::ForwardContext& context) {
  return network_->forward(batch.inputs, context);
}

namespace predictors {

const PredictorKind& network() {
  static const PredictorKind kind{"network", [](const ArchiveReader& archive) -> std::unique_ptr<Predictor> {
                                    return std::make_unique<NetworkPredictor>(archive.network("network"),
                                                                              archive.normalization("network"));
                                  }};
  return kind;
}

}  // namespace predictors
}  // namespace rtl::transfer
