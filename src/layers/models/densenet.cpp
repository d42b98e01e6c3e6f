#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "layers/model_parts.hpp"
#include "rtl/core/error.hpp"
#include "rtl/layers/dense_block.hpp"
#include "rtl/layers/models.hpp"

namespace rtl::layers::architectures {
namespace {

struct Size {
  std::string_view name;
  std::array<int, 4> layers;
  std::int64_t growth = 32, stem = 64;
};
constexpr std::array sizes = {Size{"121", {6, 12, 24, 16}}, Size{"161", {6, 12, 36, 24}, 48, 96},
                              Size{"169", {6, 12, 32, 32}}, Size{"201", {6, 12, 48, 32}}};
constexpr auto kaiming = Initialization::kaiming_normal;

const Size& size_of(const Architecture& architecture) {
  const auto* found =
      std::find_if(sizes.begin(), sizes.end(), [&](const Size& size) { return size.name == architecture.variant; });
  if (found != sizes.end()) return *found;
  throw ValueError(fmt::format("make_network: {}: there is no DenseNet of that size; there are 121, 161, 169 and 201",
                               architecture.to_string()));
}

void add_norm(Sequential& trunk, const std::string& name, std::int64_t channels, const Construction& construction) {
  trunk.add(name, std::make_unique<BatchNorm>(BatchNormLayerOptions{.channels = channels, .relu = true},
                                              construction.child(name)));
}

void add_convolution(Sequential& trunk, const std::string& name, const Conv2dLayerOptions& options,
                     const Construction& construction) {
  trunk.add(name, std::make_unique<Conv2d>(options, construction.child(name)));
}

Trunk build(Architecture& architecture, const Construction& construction) {
  check_images(architecture, 29);
  if (architecture.variant.empty()) architecture.variant = "121";
  const Size& size = size_of(architecture);
  auto trunk = std::make_unique<Sequential>();
  add_convolution(*trunk, "features.conv0",
                  {.inputs = architecture.input[2],
                   .outputs = size.stem,
                   .kernel = 7,
                   .geometry = {.stride = 2, .padding = 3},
                   .bias = false,
                   .initialization = kaiming},
                  construction);
  add_norm(*trunk, "features.norm0", size.stem, construction);
  trunk->add(std::make_unique<MaxPool>(kernels::PoolOptions{.window = 3, .stride = 2, .padding = 1}));
  std::int64_t channels = size.stem;
  for (std::size_t i = 0; i < size.layers.size(); ++i) {
    const std::string block = fmt::format("features.denseblock{}", i + 1);
    trunk->add(block, std::make_unique<DenseBlock>(
                          DenseBlockOptions{.inputs = channels, .growth = size.growth, .layers = size.layers[i]},
                          construction.child(block)));
    channels += size.layers[i] * size.growth;
    if (i + 1 == size.layers.size()) break;
    const std::string transition = fmt::format("features.transition{}", i + 1);
    add_norm(*trunk, transition + ".norm", channels, construction);
    add_convolution(*trunk, transition + ".conv",
                    {.inputs = channels,
                     .outputs = channels / 2,
                     .kernel = 1,
                     .geometry = {},
                     .bias = false,
                     .initialization = kaiming},
                    construction);
    trunk->add(std::make_unique<AveragePool>());
    channels /= 2;
  }
  add_norm(*trunk, "features.norm5", channels, construction);
  trunk->add(std::make_unique<GlobalAveragePool>());
  return {.modules = std::move(trunk), .features = channels};
}

/// Weights of the convolutions in the blocks, most of what there is.
std::int64_t parameters_of(const Size& size) {
  std::int64_t sum = 0, channels = size.stem;
  for (const int layers : size.layers) {
    for (int i = 0; i < layers; ++i) {
      sum += 4 * size.growth * (channels + 9 * size.growth);
      channels += size.growth;
    }
    channels /= 2;
  }
  return sum;
}

Recognised recognise(const CheckpointTensors& tensors) {
  Recognised found;
  // A first word that all names share is taken off.
  const std::string prefix = tensors.shapes.contains("conv0.weight") ? "" : "features.";
  const auto stem = tensors.shapes.find(prefix + "conv0.weight");
  if (stem == tensors.shapes.end() || stem->second.rank() != 4) return {.fault = "features.conv0.weight is missing"};
  std::array<int, 4> layers{};
  for (std::size_t i = 0; i < layers.size(); ++i) {
    while (tensors.shapes.contains(
        fmt::format("{}denseblock{}.denselayer{}.conv2.weight", prefix, i + 1, layers[i] + 1))) {
      ++layers[i];
    }
  }
  const auto* size = std::find_if(sizes.begin(), sizes.end(),
                                  [&](const Size& one) { return one.layers == layers && one.stem == stem->second[0]; });
  if (size == sizes.end()) {
    found.fault = fmt::format("no DenseNet has {}, {}, {} and {} layers behind {} channels", layers[0], layers[1],
                              layers[2], layers[3], stem->second[0]);
    return found;
  }
  found.fault = too_few_elements(tensors, parameters_of(*size));
  found.architecture = {"", std::string(size->name), tensors.input.value_or(Shape{224, 224, stem->second[1]}),
                        tensors.classes};
  return found;
}

}  // namespace

const Model& densenet() {
  static const Model model{.name = "densenet",
                           .variants = "[:121|161|169|201]",
                           .help = "densely connected network of Huang et al. 2017, named as in torchvision",
                           .head = "classifier",
                           .images = data::Normalization::imagenet,
                           .build = build,
                           .recognise = recognise};
  return model;
}

}  // namespace rtl::layers::architectures
