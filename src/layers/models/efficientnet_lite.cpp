#include <fmt/format.h>

#include <array>

#include "layers/model_parts.hpp"
#include "rtl/core/error.hpp"
#include "rtl/layers/inverted_residual.hpp"
#include "rtl/layers/models.hpp"

namespace rtl::layers::architectures {
namespace {

/// Blocks of one width; the first of them has the stride.
struct Stage {
  int blocks, kernel, stride, expansion;
  std::int64_t outputs;
};
constexpr std::array stages = {Stage{1, 3, 1, 1, 16}, Stage{2, 3, 2, 6, 24},  Stage{2, 5, 2, 6, 40},
                               Stage{3, 3, 2, 6, 80}, Stage{3, 5, 1, 6, 112}, Stage{4, 5, 2, 6, 192},
                               Stage{1, 3, 1, 6, 320}};
constexpr std::int64_t stem = 32, features = 1280, trunk_parameters = 3'371'008;
constexpr double epsilon = 1e-3, momentum = 0.01;
constexpr auto kaiming = Initialization::kaiming_normal_fan_out;

/// A convolution without bias and the norm with ReLU6 behind it, as two children.
void add_stage(Sequential& trunk, const char* convolution, const char* norm, const Conv2dLayerOptions& options,
               const Construction& construction) {
  trunk.add(convolution, std::make_unique<Conv2d>(options, construction.child(convolution)));
  trunk.add(norm, std::make_unique<BatchNorm>(
                      BatchNormLayerOptions{
                          .channels = options.outputs, .epsilon = epsilon, .momentum = momentum, .relu6 = true},
                      construction.child(norm)));
}

Trunk build(Architecture& architecture, const Construction& construction) {
  check_images(architecture, 1);
  if (architecture.variant.empty()) architecture.variant = "0";
  if (architecture.variant != "0") {
    throw ValueError(
        fmt::format("make_network: {}: of EfficientNet-Lite there is variant 0", architecture.to_string()));
  }
  auto trunk = std::make_unique<Sequential>();
  add_stage(*trunk, "_conv_stem", "_bn0",
            {.inputs = architecture.input[2],
             .outputs = stem,
             .geometry = {.stride = 2, .same = true},
             .bias = false,
             .initialization = kaiming},
            construction);
  std::int64_t inputs = stem;
  int number = 0;
  for (const Stage& stage : stages) {
    for (int block = 0; block < stage.blocks; ++block) {
      const std::string name = fmt::format("_blocks.{}", number++);
      trunk->add(name,
                 std::make_unique<InvertedResidual>(InvertedResidualOptions{.inputs = inputs,
                                                                            .outputs = stage.outputs,
                                                                            .kernel = stage.kernel,
                                                                            .stride = block == 0 ? stage.stride : 1,
                                                                            .expansion = stage.expansion,
                                                                            .epsilon = epsilon,
                                                                            .momentum = momentum,
                                                                            .initialization = kaiming},
                                                    construction.child(name)));
      inputs = stage.outputs;
    }
  }
  add_stage(
      *trunk, "_conv_head", "_bn1",
      {.inputs = inputs, .outputs = features, .kernel = 1, .geometry = {}, .bias = false, .initialization = kaiming},
      construction);
  trunk->add(std::make_unique<GlobalAveragePool>());
  return {.modules = std::move(trunk), .features = features, .dropout = 0.2};
}

Recognised recognise(const CheckpointTensors& tensors) {
  Recognised found;
  const auto shape = tensors.shapes.find("_conv_stem.weight");
  if (shape == tensors.shapes.end() || shape->second.rank() != 4) {
    found.fault = "_conv_stem.weight is missing";
    return found;
  }
  found.fault = too_few_elements(tensors, trunk_parameters);
  found.architecture = {"", "0", tensors.input.value_or(Shape{224, 224, shape->second[1]}), tensors.classes};
  return found;
}

}  // namespace

const Model& efficientnet_lite() {
  static const Model model{.name = "efficientnet_lite",
                           .variants = "[:0]",
                           .help = "EfficientNet-Lite0 (Tan and Le 2019, Liu 2020), named as in its PyTorch conversion",
                           .head = "_fc",
                           .images = data::Normalization::lite,
                           .build = build,
                           .recognise = recognise};
  return model;
}

}  // namespace rtl::layers::architectures
