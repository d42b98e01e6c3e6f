#include <fmt/format.h>

#include "layers/paper_network.hpp"
#include "rtl/core/error.hpp"
#include "rtl/layers/models.hpp"

namespace rtl::layers::architectures {
namespace {

constexpr int convolutions = 6, pooled = 5;
constexpr std::int64_t features = 2560;

Trunk build(Architecture& architecture, const Construction& construction) {
  if (!architecture.variant.empty()) {
    throw ValueError(fmt::format("make_network: '{}': paper_big_cnn has one size", architecture.to_string()));
  }
  return paper_trunk(architecture, {80, 160, 320, 640, 640, 768}, pooled, features, construction);
}

Recognised recognise(const CheckpointTensors& tensors) {
  auto [found, chain] = paper_weights(tensors, convolutions, pooled);
  if (!chain.empty() && found.fault.empty() && chain[convolutions][0] != features) {
    found.fault = fmt::format("fc1.weight is {}, not [{}, ...]", chain[convolutions].to_string(), features);
  }
  return found;
}

}  // namespace

const Model& paper_big_cnn() {
  static const Model model{.name = "paper_big_cnn",
                           .help = "six convolutions and a linear layer, the source of the REFINE paper",
                           .build = build,
                           .recognise = recognise};
  return model;
}

}  // namespace rtl::layers::architectures

namespace rtl::models {

std::unique_ptr<layers::Network> paper_big_cnn(const PaperBigCnnOptions& options, const Device& device) {
  return layers::make_network({"paper_big_cnn", "", options.input, options.classes}, device, options.seed,
                              options.dtype);
}

}  // namespace rtl::models
