#include <fmt/format.h>

#include "core/joined.hpp"
#include "layers/model_parts.hpp"
#include "layers/paper_network.hpp"
#include "rtl/core/error.hpp"
#include "rtl/layers/models.hpp"

namespace rtl::layers::architectures {
namespace {

/// The name of a size that has one.
std::string usual_variant(const std::string& widths) {
  for (const auto& [size, known] : rtl::models::paper_cnn_sizes()) {
    if (widths == known) return size;
  }
  return widths;
}

Trunk build(Architecture& architecture, const Construction& construction) {
  std::string text = architecture.variant;
  for (const auto& [size, known] : rtl::models::paper_cnn_sizes()) {
    if (architecture.variant == size) text = known;
  }
  const std::vector<std::int64_t> widths = parse_widths(architecture, text);
  if (widths.size() != 4) {
    throw ValueError(fmt::format("make_network: {} has {} widths; three of convolutions and one of features are needed",
                                 architecture.to_string(), widths.size()));
  }
  architecture.variant = usual_variant(joined(widths, "-"));
  return paper_trunk(architecture, {widths[0], widths[1], widths[2]}, 3, widths[3], construction);
}

Recognised recognise(const CheckpointTensors& tensors) {
  auto [found, chain] = paper_weights(tensors, 3, 3);
  if (chain.empty()) return found;
  found.architecture.variant =
      usual_variant(fmt::format("{}-{}-{}-{}", chain[0][0], chain[1][0], chain[2][0], chain[3][0]));
  return found;
}

}  // namespace

const Model& paper_cnn() {
  static const Model model{.name = "paper_cnn",
                           .variants = "[:h0|h1|h2|h3|h4|C1-C2-C3-F]",
                           .help = "three convolutions and a linear layer, of the REFINE paper",
                           .build = build,
                           .recognise = recognise};
  return model;
}

}  // namespace rtl::layers::architectures

namespace rtl::models {

std::unique_ptr<layers::Network> paper_cnn(const PaperCnnOptions& options, const Device& device) {
  return layers::make_network({"paper_cnn", options.size, options.input, options.classes}, device, options.seed,
                              options.dtype);
}

const std::vector<std::pair<std::string, std::string>>& paper_cnn_sizes() {
  static const std::vector<std::pair<std::string, std::string>> sizes = {
      {"", "32-64-64-512"},    {"h0", "16-32-32-128"},   {"h1", "32-64-64-256"},
      {"h2", "32-64-128-512"}, {"h3", "64-128-128-768"}, {"h4", "64-128-256-1024"}};
  return sizes;
}

}  // namespace rtl::models
