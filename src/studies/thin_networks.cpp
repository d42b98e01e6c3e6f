#include "studies/thin_networks.hpp"

#include <fmt/format.h>

#include <mutex>
#include <vector>

#include "layers/model_parts.hpp"
#include "rtl/core/error.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/layers/basic_block.hpp"
#include "rtl/layers/model.hpp"

namespace rtl::studies {
namespace {

using layers::Architecture;
using layers::Construction;
using layers::Sequential;

constexpr auto kaiming = layers::Initialization::kaiming_normal;
constexpr int stages = 3;

void add_convolution(Sequential& trunk, const std::string& convolution, const std::string& norm, std::int64_t inputs,
                     std::int64_t outputs, const Construction& construction) {
  trunk.add(convolution, std::make_unique<layers::Conv2d>(
                             layers::Conv2dLayerOptions{
                                 .inputs = inputs, .outputs = outputs, .bias = false, .initialization = kaiming},
                             construction.child(convolution)));
  trunk.add(norm, std::make_unique<layers::BatchNorm>(layers::BatchNormLayerOptions{.channels = outputs, .relu = true},
                                                      construction.child(norm)));
}

std::unique_ptr<Sequential> residual_trunk(std::int64_t channels, std::int64_t width,
                                           const Construction& construction) {
  auto trunk = std::make_unique<Sequential>();
  add_convolution(*trunk, "conv1", "bn1", channels, width, construction);
  std::int64_t inputs = width;
  for (int stage = 0; stage < stages; ++stage) {
    const std::int64_t outputs = width << stage;
    const std::string name = fmt::format("layer{}.0", stage + 1);
    trunk->add(name, std::make_unique<layers::BasicBlock>(
                         layers::BasicBlockOptions{.inputs = inputs, .outputs = outputs, .stride = stage > 0 ? 2 : 1},
                         construction.child(name)));
    inputs = outputs;
  }
  trunk->add(std::make_unique<layers::GlobalAveragePool>());
  return trunk;
}

/// Trunks that see the same images; their features stand side by side.
class Towers final : public layers::Module {
 public:
  Towers(std::int64_t count, std::int64_t channels, std::int64_t width, const Construction& construction) {
    for (std::int64_t k = 0; k < count; ++k) {
      trunks_.push_back(residual_trunk(channels, width, construction.child(name_of(k))));
    }
  }
  layers::Value forward(const layers::Value& x, const layers::ForwardContext& context) override {
    std::vector<layers::Value> features;
    for (const auto& trunk : trunks_) features.push_back(trunk->forward(x, context));
    return graph::concatenate(features, 1);
  }
  void visit(const std::string& prefix, layers::ModuleState& state) override {
    for (std::size_t k = 0; k < trunks_.size(); ++k) {
      trunks_[k]->visit(prefix + name_of(static_cast<std::int64_t>(k)) + ".", state);
    }
  }

 private:
  static std::string name_of(std::int64_t tower) { return fmt::format("tower{}", tower + 1); }

  std::vector<std::unique_ptr<Sequential>> trunks_;
};

layers::Trunk build_resnet(Architecture& architecture, const Construction& construction) {
  layers::check_images(architecture, 4);
  const std::vector<std::int64_t> sizes = layers::parse_widths(architecture, architecture.variant);
  if (sizes.size() > 2) {
    throw ValueError(fmt::format("make_network: {}: a width is needed, and a number of towers may follow",
                                 architecture.to_string()));
  }
  const std::int64_t channels = architecture.input[2], width = sizes[0], towers = sizes.size() > 1 ? sizes[1] : 1;
  layers::Trunk trunk{.modules = nullptr, .features = 4 * width * towers, .head_initialization = kaiming};
  if (towers == 1) {
    architecture.variant = std::to_string(width);
    trunk.modules = residual_trunk(channels, width, construction);
  } else {
    trunk.modules = std::make_unique<Sequential>();
    trunk.modules->add("towers", std::make_unique<Towers>(towers, channels, width, construction.child("towers")));
  }
  return trunk;
}

layers::Trunk build_vgg(Architecture& architecture, const Construction& construction) {
  layers::check_images(architecture, 4);
  const std::vector<std::int64_t> sizes = layers::parse_widths(architecture, architecture.variant);
  if (sizes.size() != 1) {
    throw ValueError(fmt::format("make_network: {}: one width is needed", architecture.to_string()));
  }
  auto trunk = std::make_unique<Sequential>();
  std::int64_t inputs = architecture.input[2];
  int number = 0;
  for (int stage = 0; stage < stages; ++stage) {
    const std::int64_t outputs = sizes[0] << stage;
    for (int i = 0; i < 2; ++i) {
      // Numbered as in torchvision, where the ReLU is a module too.
      add_convolution(*trunk, fmt::format("features.{}", number), fmt::format("features.{}", number + 1), inputs,
                      outputs, construction);
      inputs = outputs;
      number += 3;
    }
    if (stage + 1 < stages) trunk->add(std::make_unique<layers::MaxPool>());
    ++number;
  }
  trunk->add(std::make_unique<layers::GlobalAveragePool>());
  return {.modules = std::move(trunk), .features = inputs, .head_initialization = kaiming};
}

layers::Recognised refuse(const layers::CheckpointTensors&) {
  return {.architecture = {}, .fault = "networks of studies are in no file"};
}

}  // namespace

void register_thin_networks() {
  static std::once_flag once;
  std::call_once(once, [] {
    layers::register_architecture({.name = "thin_resnet",
                                   .variants = ":WIDTH[-TOWERS]",
                                   .help = "residual network of eight layers for small images",
                                   .head = "linear",
                                   .build = build_resnet,
                                   .recognise = refuse});
    layers::register_architecture({.name = "thin_vgg",
                                   .variants = ":WIDTH",
                                   .help = "plain network of seven layers for small images",
                                   .head = "classifier",
                                   .build = build_vgg,
                                   .recognise = refuse});
  });
}

}  // namespace rtl::studies
