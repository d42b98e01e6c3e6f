#include <fmt/format.h>

#include "layers/model_parts.hpp"
#include "rtl/core/error.hpp"
#include "rtl/layers/batch_norm.hpp"
#include "rtl/layers/conv2d.hpp"
#include "rtl/layers/linear.hpp"
#include "rtl/layers/models.hpp"

namespace rtl::layers::architectures {
namespace {

constexpr const char* small = "h";

Trunk build(Architecture& architecture, const Construction& construction) {
  check_images(architecture, 4);
  const bool is_small = architecture.variant == small;
  if (!is_small && !architecture.variant.empty()) {
    throw ValueError(fmt::format("make_network: {}: there is h, the small one, beside the network without a variant",
                                 architecture.to_string()));
  }
  auto trunk = std::make_unique<Sequential>();
  std::int64_t inputs = architecture.input[2];
  for (int i = 1; i <= 2; ++i) {
    const std::int64_t outputs = (is_small ? 32 : 64) * i;
    const std::string name = fmt::format("conv{}", i), norm = fmt::format("bn{}", i);
    trunk->add(name, std::make_unique<Conv2d>(Conv2dLayerOptions{.inputs = inputs,
                                                                 .outputs = outputs,
                                                                 .kernel = 5,
                                                                 .geometry = {.stride = 1, .padding = 2},
                                                                 .relu = is_small},
                                              construction.child(name)));
    if (!is_small) {
      trunk->add(norm, std::make_unique<BatchNorm>(BatchNormLayerOptions{.channels = outputs, .relu = true},
                                                   construction.child(norm)));
    }
    trunk->add(std::make_unique<MaxPool>());
    inputs = outputs;
  }
  trunk->add(std::make_unique<Flatten>());
  inputs *= (architecture.input[0] / 4) * (architecture.input[1] / 4);
  const std::int64_t features = is_small ? 128 : 256;
  trunk->add("fc1", std::make_unique<Linear>(LinearOptions{.inputs = inputs, .outputs = features, .relu = true},
                                             construction.child("fc1")));
  return {.modules = std::move(trunk), .features = features};
}

Recognised recognise(const CheckpointTensors& tensors) {
  Recognised found;
  const std::vector<Shape> chain = weight_chain(tensors.shapes, {"conv1", "conv2", "fc1"}, found.fault);
  if (chain.empty()) return found;
  const bool is_small = !tensors.shapes.contains("bn1.weight");
  std::int64_t side = 4;
  while (side < 1024 && side / 4 * (side / 4) * chain[1][0] < chain[2][1]) side += 4;
  found.architecture = {"", is_small ? small : "", tensors.input.value_or(Shape{side, side, chain[0][1]}),
                        tensors.classes};
  return found;
}

}  // namespace

const Model& paper_demo() {
  static const Model model{.name = "paper_demo",
                           .variants = "[:h]",
                           .help = "two 5x5 convolutions and a linear layer, of the REFINE paper's demonstration",
                           .images = data::Normalization::cifar,
                           .build = build,
                           .recognise = recognise};
  return model;
}

}  // namespace rtl::layers::architectures
