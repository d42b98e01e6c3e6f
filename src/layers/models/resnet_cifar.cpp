#include <fmt/format.h>

#include "layers/model_parts.hpp"
#include "rtl/core/error.hpp"
#include "rtl/layers/basic_block.hpp"
#include "rtl/layers/models.hpp"

namespace rtl::layers::architectures {
namespace {

Trunk build(Architecture& architecture, const Construction& construction) {
  check_images(architecture, 4);
  if (architecture.variant.empty()) architecture.variant = "20";
  const std::int64_t depth = parse_widths(architecture, architecture.variant).front();
  if (depth < 8 || depth % 6 != 2) {
    throw ValueError(
        fmt::format("make_network: {}: a CIFAR ResNet has 6n + 2 layers (20, 32, 44, 56)", architecture.to_string()));
  }
  constexpr auto kaiming = Initialization::kaiming_normal;
  auto trunk = std::make_unique<Sequential>();
  trunk->add("conv1", std::make_unique<Conv2d>(
                          Conv2dLayerOptions{
                              .inputs = architecture.input[2], .outputs = 16, .bias = false, .initialization = kaiming},
                          construction.child("conv1")));
  trunk->add("bn1", std::make_unique<BatchNorm>(BatchNormLayerOptions{.channels = 16, .relu = true},
                                                construction.child("bn1")));
  std::int64_t inputs = 16;
  for (int stage = 0; stage < 3; ++stage) {
    for (std::int64_t block = 0; block < (depth - 2) / 6; ++block) {
      const std::int64_t outputs = std::int64_t{16} << stage;
      const std::string name = fmt::format("layer{}.{}", stage + 1, block);
      const int stride = stage > 0 && block == 0 ? 2 : 1;
      trunk->add(name,
                 std::make_unique<BasicBlock>(BasicBlockOptions{.inputs = inputs, .outputs = outputs, .stride = stride},
                                              construction.child(name)));
      inputs = outputs;
    }
  }
  trunk->add(std::make_unique<GlobalAveragePool>());
  return {.modules = std::move(trunk), .features = 64, .head_initialization = kaiming};
}

Recognised recognise(const CheckpointTensors& tensors) {
  Recognised found;
  std::int64_t blocks = 0;
  while (tensors.shapes.contains(fmt::format("layer1.{}.conv1.weight", blocks))) ++blocks;
  if (blocks == 0) return {.fault = "layer1.0.conv1.weight is missing"};
  const std::vector<Shape> stem = weight_chain(tensors.shapes, {"conv1"}, found.fault);
  if (stem.empty()) return found;
  if (!tensors.headless && weight_chain(tensors.shapes, {"linear"}, found.fault).empty()) return found;
  const Shape input = tensors.input.value_or(Shape{32, 32, stem[0][1]});
  found.architecture = {"", std::to_string(6 * blocks + 2), input, tensors.classes};
  if (input.rank() != 3 || input[2] != stem[0][1]) {
    found.fault = fmt::format("conv1.weight {} does not fit inputs {}", stem[0].to_string(), input.to_string());
  }
  return found;
}

}  // namespace

const Model& resnet_cifar() {
  static const Model model{.name = "resnet_cifar",
                           .variants = "[:20|32|44|56]",
                           .help = "residual network of He et al. 2016 for small images",
                           .head = "linear",
                           .images = data::Normalization::imagenet,
                           .build = build,
                           .recognise = recognise};
  return model;
}

}  // namespace rtl::layers::architectures

namespace rtl::models {

std::unique_ptr<layers::Network> resnet_cifar(const ResnetCifarOptions& options, const Device& device) {
  return layers::make_network({"resnet_cifar", std::to_string(options.depth), options.input, options.classes}, device,
                              options.seed, options.dtype);
}

}  // namespace rtl::models
