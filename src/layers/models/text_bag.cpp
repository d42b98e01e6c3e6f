// The mean of a text's word vectors, and linear layers on it: Joulin et al. 2017 without hidden layers, Iyyer et al.
// 2015 with them.
#include <fmt/format.h>

#include "core/joined.hpp"
#include "layers/model_parts.hpp"
#include "rtl/core/error.hpp"
#include "rtl/layers/embedding.hpp"
#include "rtl/layers/linear.hpp"
#include "rtl/layers/models.hpp"

namespace rtl::layers::architectures {
namespace {

constexpr double deviation = 0.1;           // of the initial vectors
constexpr std::int64_t usual_length = 256;  // of sequences, which no tensor shows

Trunk build(Architecture& architecture, const Construction& construction) {
  if (architecture.variant.empty()) architecture.variant = "64";
  const std::vector<std::int64_t> widths = parse_widths(architecture, architecture.variant);
  architecture.variant = joined(widths, "-");
  if (!architecture.takes_tokens() || architecture.input.rank() != 1) {
    throw ValueError(fmt::format("make_network: {} takes tokens of texts, [T] of a vocabulary, and not {}",
                                 architecture.to_string(), architecture.input.to_string()));
  }
  auto trunk = std::make_unique<Sequential>();
  trunk->add("embedding", std::make_unique<Embedding>(EmbeddingOptions{.vocabulary = architecture.vocabulary,
                                                                       .width = widths.front(),
                                                                       .deviation = deviation},
                                                      construction.child("embedding")));
  trunk->add(std::make_unique<MeanPooling>());
  std::int64_t inputs = widths.front();
  for (std::size_t i = 1; i < widths.size(); ++i) {
    const std::string name = fmt::format("fc{}", i);
    trunk->add(name, std::make_unique<Linear>(LinearOptions{.inputs = inputs, .outputs = widths[i], .relu = true},
                                              construction.child(name)));
    inputs = widths[i];
  }
  return {.modules = std::move(trunk), .features = inputs};
}

Recognised recognise(const CheckpointTensors& tensors) {
  Recognised found;
  const auto table = tensors.shapes.find("embedding.weight");
  if (table == tensors.shapes.end() || table->second.rank() != 2) {
    found.fault = "embedding.weight is missing";
    return found;
  }
  std::vector<std::string> names;
  while (tensors.shapes.contains(fmt::format("fc{}.weight", names.size() + 1))) {
    names.push_back(fmt::format("fc{}", names.size() + 1));
  }
  const std::size_t hidden = names.size();
  if (!tensors.headless) names.emplace_back("head");
  const std::vector<Shape> chain = weight_chain(tensors.shapes, names, found.fault);
  if (!found.fault.empty()) return found;
  const std::int64_t width = table->second[1];
  if (!chain.empty() && chain.front()[1] != width) {
    found.fault = fmt::format("{}.weight {} does not fit embedding.weight {}", names.front(), chain.front().to_string(),
                              table->second.to_string());
  }
  found.architecture.input = tensors.input.value_or(Shape{usual_length});
  found.architecture.classes = tensors.classes;
  found.architecture.vocabulary = table->second[0];
  found.architecture.variant = std::to_string(width);
  for (std::size_t i = 0; i < hidden; ++i) found.architecture.variant += fmt::format("-{}", chain[i][0]);
  return found;
}

}  // namespace

const Model& text_bag() {
  static const Model model{.name = "text_bag",
                           .variants = "[:WIDTH[-WIDTH..]]",
                           .help = "the mean of word vectors, and linear layers with ReLUs on it, of texts",
                           .tokens = true,
                           .build = build,
                           .recognise = recognise};
  return model;
}

}  // namespace rtl::layers::architectures

namespace rtl::models {

std::unique_ptr<layers::Network> text_bag(const TextBagOptions& options, const Device& device) {
  return layers::make_network(
      {"text_bag", joined(options.widths, "-"), {options.length}, options.classes, options.vocabulary}, device,
      options.seed, options.dtype);
}

}  // namespace rtl::models
