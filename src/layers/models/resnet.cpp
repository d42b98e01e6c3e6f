#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "layers/model_parts.hpp"
#include "rtl/core/error.hpp"
#include "rtl/layers/basic_block.hpp"
#include "rtl/layers/bottleneck.hpp"
#include "rtl/layers/models.hpp"

namespace rtl::layers::architectures {
namespace {

struct Size {
  std::string_view name;
  std::array<int, 4> blocks;
  bool bottleneck = false;
  std::int64_t width = 64;  ///< of the first stage's inner convolutions
};
constexpr std::array sizes = {Size{"10", {1, 1, 1, 1}},
                              Size{"18", {2, 2, 2, 2}},
                              Size{"34", {3, 4, 6, 3}},
                              Size{"50", {3, 4, 6, 3}, true},
                              Size{"101", {3, 4, 23, 3}, true},
                              Size{"152", {3, 8, 36, 3}, true},
                              Size{"wide50", {3, 4, 6, 3}, true, 128},
                              Size{"wide101", {3, 4, 23, 3}, true, 128}};
constexpr std::string_view small = "-small";
constexpr auto kaiming = Initialization::kaiming_normal_fan_out;

std::int64_t features_of(const Size& size) { return size.bottleneck ? 2048 : 512; }

const Size& size_of(const Architecture& architecture) {
  std::string_view name = architecture.variant;
  if (name.ends_with(small)) name.remove_suffix(small.size());
  const auto* found = std::find_if(sizes.begin(), sizes.end(), [&](const Size& size) { return size.name == name; });
  if (found != sizes.end()) return *found;
  throw ValueError(
      fmt::format("make_network: {}: there is no residual network of that size; there are 10, 18, 34, 50, "
                  "101, 152, wide50 and wide101, each with \"-small\" behind it for small images",
                  architecture.to_string()));
}

void add_stem(Sequential& trunk, std::int64_t inputs, bool small_images, const Construction& construction) {
  const Conv2dLayerOptions options{.inputs = inputs,
                                   .outputs = 64,
                                   .kernel = small_images ? 3 : 7,
                                   .geometry = {.stride = small_images ? 1 : 2, .padding = small_images ? 1 : 3},
                                   .bias = false,
                                   .initialization = kaiming};
  trunk.add("conv1", std::make_unique<Conv2d>(options, construction.child("conv1")));
  trunk.add("bn1", std::make_unique<BatchNorm>(BatchNormLayerOptions{.channels = 64, .relu = true},
                                               construction.child("bn1")));
  if (!small_images) {
    trunk.add(std::make_unique<MaxPool>(kernels::PoolOptions{.window = 3, .stride = 2, .padding = 1}));
  }
}

std::unique_ptr<Module> block_of(const Size& size, int stage, std::int64_t inputs, int stride,
                                 const Construction& construction) {
  if (size.bottleneck) {
    return std::make_unique<Bottleneck>(BottleneckOptions{.inputs = inputs,
                                                          .inner = size.width << stage,
                                                          .outputs = std::int64_t{256} << stage,
                                                          .stride = stride,
                                                          .initialization = kaiming},
                                        construction);
  }
  return std::make_unique<BasicBlock>(BasicBlockOptions{.inputs = inputs,
                                                        .outputs = std::int64_t{64} << stage,
                                                        .stride = stride,
                                                        .shortcut = Shortcut::projection,
                                                        .initialization = kaiming,
                                                        .projection_name = "downsample"},
                                      construction);
}

Trunk build(Architecture& architecture, const Construction& construction) {
  check_images(architecture, 1);
  if (architecture.variant.empty()) architecture.variant = "18";
  const Size& size = size_of(architecture);
  auto trunk = std::make_unique<Sequential>();
  add_stem(*trunk, architecture.input[2], architecture.variant.ends_with(small), construction);
  std::int64_t inputs = 64;
  for (int stage = 0; stage < 4; ++stage) {
    for (int block = 0; block < size.blocks[static_cast<std::size_t>(stage)]; ++block) {
      const std::string name = fmt::format("layer{}.{}", stage + 1, block);
      const int stride = stage > 0 && block == 0 ? 2 : 1;
      trunk->add(name, block_of(size, stage, inputs, stride, construction.child(name)));
      inputs = (size.bottleneck ? std::int64_t{256} : std::int64_t{64}) << stage;
    }
  }
  trunk->add(std::make_unique<GlobalAveragePool>());
  return {.modules = std::move(trunk), .features = features_of(size)};
}

/// Weights of the convolutions in the blocks, nearly all there are.
std::int64_t parameters_of(const Size& size) {
  std::int64_t sum = 0, inputs = 64;
  for (int stage = 0; stage < 4; ++stage) {
    const std::int64_t inner = size.width << stage, outputs = (size.bottleneck ? 256 : 64) << stage;
    for (int block = 0; block < size.blocks[static_cast<std::size_t>(stage)]; ++block) {
      sum += size.bottleneck ? inputs * inner + 9 * inner * inner + inner * outputs : 9 * outputs * (inputs + outputs);
      inputs = outputs;
    }
  }
  return sum;
}

Recognised recognise(const CheckpointTensors& tensors) {
  Recognised found;
  const auto conv1 = tensors.shapes.find("conv1.weight"), inner = tensors.shapes.find("layer1.0.conv1.weight");
  for (const auto& [name, at] : {std::pair("conv1.weight", conv1), std::pair("layer1.0.conv1.weight", inner)}) {
    if (at != tensors.shapes.end() && at->second.rank() == 4) continue;
    found.fault = fmt::format("{} is missing", name);
    return found;
  }
  std::array<int, 4> blocks{};
  for (std::size_t stage = 0; stage < 4; ++stage) {
    while (tensors.shapes.contains(fmt::format("layer{}.{}.conv1.weight", stage + 1, blocks[stage]))) ++blocks[stage];
  }
  const bool bottleneck = tensors.shapes.contains("layer1.0.conv3.weight");
  const auto* size = std::find_if(sizes.begin(), sizes.end(), [&](const Size& one) {
    return one.blocks == blocks && one.bottleneck == bottleneck && one.width == inner->second[0];
  });
  if (size == sizes.end()) {
    found.fault = fmt::format("no residual network has {}, {}, {} and {} blocks of {} channels{}", blocks[0], blocks[1],
                              blocks[2], blocks[3], inner->second[0], bottleneck ? " with bottlenecks" : "");
    return found;
  }
  const bool small_images = conv1->second[2] == 3;
  const std::int64_t side = small_images ? 32 : 224;
  found.fault = too_few_elements(tensors, parameters_of(*size));
  found.architecture = {"", std::string(size->name) + (small_images ? std::string(small) : ""),
                        tensors.input.value_or(Shape{side, side, conv1->second[1]}), tensors.classes};
  return found;
}

}  // namespace

const Model& resnet() {
  static const Model model{.name = "resnet",
                           .variants = "[:10|18|34|50|101|152|wide50|wide101[-small]]",
                           .help = "residual network of He et al. 2016 for ImageNet, named as in torchvision",
                           .head = "fc",
                           .images = data::Normalization::imagenet,
                           .build = build,
                           .recognise = recognise};
  return model;
}

}  // namespace rtl::layers::architectures
