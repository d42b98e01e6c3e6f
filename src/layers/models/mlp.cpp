#include <fmt/format.h>

#include "core/joined.hpp"
#include "layers/model_parts.hpp"
#include "rtl/core/error.hpp"
#include "rtl/layers/linear.hpp"
#include "rtl/layers/models.hpp"

namespace rtl::layers::architectures {
namespace {

/// Variant of a network that is a head alone.
constexpr std::string_view no_hidden_layer = "none";

Trunk build(Architecture& architecture, const Construction& construction) {
  if (architecture.variant.empty()) architecture.variant = "128";
  std::vector<std::int64_t> hidden;
  if (architecture.variant != no_hidden_layer) {
    hidden = parse_widths(architecture, architecture.variant);
    architecture.variant = joined(hidden, "-");
  } else if (architecture.classes == 0) {
    throw ValueError(fmt::format("make_network: {} without a head has no layer at all", architecture.to_string()));
  }
  auto trunk = std::make_unique<Sequential>();
  if (architecture.input.rank() == 3) trunk->add(std::make_unique<Flatten>());
  std::int64_t inputs = architecture.input.count();
  for (std::size_t i = 0; i < hidden.size(); ++i) {
    const std::string name = fmt::format("fc{}", i + 1);
    trunk->add(name, std::make_unique<Linear>(LinearOptions{.inputs = inputs, .outputs = hidden[i], .relu = true},
                                              construction.child(name)));
    inputs = hidden[i];
  }
  return {.modules = std::move(trunk), .features = inputs};
}

Recognised recognise(const CheckpointTensors& tensors) {
  Recognised found;
  std::vector<std::string> names;
  const bool head_alone = !tensors.headless && tensors.shapes.size() <= 2;  // its weight and its bias
  if (!head_alone) names.emplace_back("fc1");
  while (!names.empty() && tensors.shapes.contains(fmt::format("fc{}.weight", names.size() + 1))) {
    names.push_back(fmt::format("fc{}", names.size() + 1));
  }
  const std::size_t hidden = names.size();
  if (!tensors.headless) names.emplace_back("head");
  const std::vector<Shape> chain = weight_chain(tensors.shapes, names, found.fault);
  if (chain.empty()) return found;
  found.architecture.input = tensors.input.value_or(Shape{chain.front()[1]});
  if (found.architecture.input.count() != chain.front()[1]) {
    found.fault = fmt::format("{}.weight {} does not fit inputs {}", names.front(), chain.front().to_string(),
                              found.architecture.input.to_string());
  }
  found.architecture.classes = tensors.classes;
  if (hidden == 0) found.architecture.variant = no_hidden_layer;
  for (std::size_t i = 0; i < hidden; ++i) {
    found.architecture.variant += fmt::format("{}{}", i > 0 ? "-" : "", chain[i][0]);
  }
  return found;
}

}  // namespace

const Model& mlp() {
  static const Model model{.name = "mlp",
                           .variants = "[:none|WIDTH[-WIDTH..]]",
                           .help = "linear layers with ReLUs between, of vectors or images",
                           .build = build,
                           .recognise = recognise};
  return model;
}

}  // namespace rtl::layers::architectures

namespace rtl::models {

std::unique_ptr<layers::Network> mlp(const MlpOptions& options, const Device& device) {
  std::string variant = joined(options.hidden, "-");
  if (options.hidden.empty()) variant = layers::architectures::no_hidden_layer;
  return layers::make_network({"mlp", std::move(variant), {options.inputs}, options.classes}, device, options.seed,
                              options.dtype);
}

}  // namespace rtl::models
