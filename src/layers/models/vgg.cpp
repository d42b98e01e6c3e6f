#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "layers/model_parts.hpp"
#include "rtl/core/error.hpp"
#include "rtl/layers/batch_norm.hpp"
#include "rtl/layers/conv2d.hpp"
#include "rtl/layers/linear.hpp"
#include "rtl/layers/models.hpp"

namespace rtl::layers::architectures {
namespace {

/// Convolutions of each of the five stages, which have 64, 128, 256, 512 and 512 channels.
struct Size {
  std::string_view name;
  std::array<int, 5> convolutions;
};
constexpr std::array sizes = {Size{"11", {1, 1, 2, 2, 2}}, Size{"13", {2, 2, 2, 2, 2}}, Size{"16", {2, 2, 3, 3, 3}},
                              Size{"19", {2, 2, 4, 4, 4}}};
constexpr std::array<std::int64_t, 5> widths = {64, 128, 256, 512, 512};
constexpr std::string_view norms = "-bn";
constexpr std::int64_t features = 4096, positions = 7, inputs_of_classifier = 512 * positions * positions;
constexpr auto kaiming = Initialization::kaiming_normal_fan_out;

const Size& size_of(const Architecture& architecture) {
  std::string_view name = architecture.variant;
  if (name.ends_with(norms)) name.remove_suffix(norms.size());
  const auto* found = std::find_if(sizes.begin(), sizes.end(), [&](const Size& size) { return size.name == name; });
  if (found != sizes.end()) return *found;
  throw ValueError(fmt::format(
      "make_network: {}: there is no such network; there are 11, 13, 16 and 19, each with \"-bn\" behind it "
      "for batch norms",
      architecture.to_string()));
}

/// How many positions of the last map make one of the 7 by 7 that the classifier takes.
int window_of(const Architecture& architecture) {
  check_images(architecture, 32 * positions);
  const std::int64_t height = architecture.input[0] / 32, width = architecture.input[1] / 32;
  if (height == width && height % positions == 0) return static_cast<int>(height / positions);
  throw ValueError(fmt::format("{} takes square images of 224 pixels or a multiple of them, not {}",
                               architecture.to_string(), architecture.input.to_string()));
}

void add_linear(Sequential& trunk, const std::string& name, std::int64_t inputs, const Construction& construction) {
  trunk.add(name, std::make_unique<Linear>(LinearOptions{.inputs = inputs, .outputs = features, .relu = true},
                                           construction.child(name)));
}

Trunk build(Architecture& architecture, const Construction& construction) {
  if (architecture.variant.empty()) architecture.variant = "16";
  const Size& size = size_of(architecture);
  const int window = window_of(architecture);
  const bool normed = architecture.variant.ends_with(norms);
  auto trunk = std::make_unique<Sequential>();
  std::int64_t inputs = architecture.input[2];
  int number = 0;
  for (std::size_t stage = 0; stage < size.convolutions.size(); ++stage) {
    for (int i = 0; i < size.convolutions[stage]; ++i) {
      const std::string name = fmt::format("features.{}", number);
      trunk->add(name, std::make_unique<Conv2d>(
                           Conv2dLayerOptions{
                               .inputs = inputs, .outputs = widths[stage], .relu = !normed, .initialization = kaiming},
                           construction.child(name)));
      if (normed) {
        const std::string norm = fmt::format("features.{}", number + 1);
        trunk->add(norm, std::make_unique<BatchNorm>(BatchNormLayerOptions{.channels = widths[stage], .relu = true},
                                                     construction.child(norm)));
      }
      inputs = widths[stage];
      number += normed ? 3 : 2;  // with the ReLU
    }
    trunk->add(std::make_unique<MaxPool>());
    ++number;
  }
  if (window > 1) trunk->add(std::make_unique<AveragePool>(kernels::PoolOptions{.window = window, .stride = window}));
  trunk->add(std::make_unique<Flatten>());
  add_linear(*trunk, "classifier.0", inputs_of_classifier, construction);
  trunk->add(std::make_unique<Dropout>(0.5, construction.child("classifier.2").prefix));
  add_linear(*trunk, "classifier.3", features, construction);
  return {.modules = std::move(trunk), .features = features, .dropout = 0.5};
}

Recognised recognise(const CheckpointTensors& tensors) {
  Recognised found;
  const auto first = tensors.shapes.find("features.0.weight");
  if (first == tensors.shapes.end() || first->second.rank() != 4) return {.fault = "features.0.weight is missing"};
  const bool normed = tensors.shapes.contains("features.1.running_mean");
  std::int64_t convolutions = 0;
  for (const auto& [name, shape] : tensors.shapes) {
    convolutions += name.starts_with("features.") && name.ends_with(".weight") && shape.rank() == 4 ? 1 : 0;
  }
  // With three linear layers these are as many as the name says.
  const std::string name = std::to_string(convolutions + 3);
  const bool known = std::any_of(sizes.begin(), sizes.end(), [&](const Size& size) { return size.name == name; });
  found.fault = known ? too_few_elements(tensors, features * (inputs_of_classifier + features))
                      : fmt::format("no network of this family has {} convolutions", convolutions);
  found.architecture = {"", name + (normed ? std::string(norms) : ""),
                        tensors.input.value_or(Shape{224, 224, first->second[1]}), tensors.classes};
  return found;
}

}  // namespace

const Model& vgg() {
  static const Model model{
      .name = "vgg",
      .variants = "[:11|13|16|19[-bn]]",
      .help = "plain convolutional network of Simonyan and Zisserman 2015, named as in torchvision",
      .head = "classifier.6",
      .images = data::Normalization::imagenet,
      .build = build,
      .recognise = recognise};
  return model;
}

}  // namespace rtl::layers::architectures
