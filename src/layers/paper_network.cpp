#include "layers/paper_network.hpp"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "layers/model_parts.hpp"
#include "rtl/layers/conv2d.hpp"
#include "rtl/layers/linear.hpp"

namespace rtl::layers {
namespace {

/// The side of a square input whose side, halved `halvings` times, is `side`. Where several are, the usual one.
std::int64_t input_side(std::int64_t side, int halvings) {
  for (const std::int64_t usual : {32, 28}) {
    if (usual >> halvings == side) return usual;
  }
  return side << halvings;
}

}  // namespace

Trunk paper_trunk(const Architecture& architecture, const std::vector<std::int64_t>& channels, std::size_t pooled,
                  std::int64_t features, const Construction& construction) {
  check_images(architecture, std::int64_t{1} << pooled);
  auto trunk = std::make_unique<Sequential>();
  std::int64_t inputs = architecture.input[2];
  for (std::size_t i = 0; i < channels.size(); ++i) {
    const std::string name = fmt::format("conv{}", i + 1);
    trunk->add(name, std::make_unique<Conv2d>(
                         Conv2dLayerOptions{.inputs = inputs, .outputs = channels[i], .kernel = 3, .relu = true},
                         construction.child(name)));
    if (i < pooled) trunk->add(std::make_unique<MaxPool>());
    inputs = channels[i];
  }
  trunk->add(std::make_unique<Flatten>());
  const std::int64_t pixels = (architecture.input[0] >> pooled) * (architecture.input[1] >> pooled);
  trunk->add("fc1",
             std::make_unique<Linear>(LinearOptions{.inputs = inputs * pixels, .outputs = features, .relu = true},
                                      construction.child("fc1")));
  return {.modules = std::move(trunk), .features = features, .dropout = 0.5};
}

PaperWeights paper_weights(const CheckpointTensors& tensors, int convolutions, int pooled) {
  PaperWeights weights;
  Recognised& found = weights.found;
  std::vector<std::string> names;
  for (int i = 1; i <= convolutions; ++i) names.push_back(fmt::format("conv{}", i));
  const auto fc1 = static_cast<std::size_t>(convolutions);
  names.emplace_back("fc1");
  if (!tensors.headless) names.emplace_back("head");
  weights.chain = weight_chain(tensors.shapes, names, found.fault);
  const std::vector<Shape>& chain = weights.chain;
  if (chain.empty()) return weights;
  const std::int64_t pixels = chain[fc1][1] / chain[fc1 - 1][0];
  if (tensors.input) {
    const Shape& input = *tensors.input;
    found.architecture.input = input;
    if (input.rank() != 3 || (input[0] >> pooled) * (input[1] >> pooled) != pixels) {
      found.fault = fmt::format("fc1.weight {} does not fit inputs {}", chain[fc1].to_string(), input.to_string());
    }
  } else {
    const std::int64_t side = input_side(std::llround(std::sqrt(static_cast<double>(pixels))), pooled);
    found.architecture.input = {side, side, chain[0][1]};
  }
  found.architecture.classes = tensors.classes;
  return weights;
}

}  // namespace rtl::layers
