#include <fmt/format.h>

#include <array>

#include "layers/model_parts.hpp"
#include "rtl/core/error.hpp"
#include "rtl/layers/attention.hpp"
#include "rtl/layers/models.hpp"
#include "rtl/layers/row_norm.hpp"

namespace rtl::layers::architectures {
namespace {

constexpr double epsilon = 1e-6, deviation = 0.02;

struct Sizes {
  std::int64_t patch, width, layers, heads, hidden;
  std::string text() const { return fmt::format("{}-{}-{}-{}-{}", patch, width, layers, heads, hidden); }
};

/// DeiT's networks are ViT's, trained otherwise (Touvron et al. 2021).
constexpr std::array named_variants{std::pair("ti16", "16-192-12-3-768"),  std::pair("s16", "16-384-12-6-1536"),
                                    std::pair("b16", "16-768-12-12-3072"), std::pair("ti4", "4-192-12-3-768"),
                                    std::pair("s4", "4-384-12-6-1536"),    std::pair("b4", "4-768-12-12-3072")};

Sizes parse(Architecture& architecture) {
  std::string text = architecture.variant.empty() ? "ti4" : architecture.variant;
  if (text.starts_with("deit-")) text = text.substr(5);
  for (const auto& [name, sizes] : named_variants) {
    if (text == name) text = sizes;
  }
  const std::vector<std::int64_t> n = parse_sizes(architecture, variant_words(text), 5);
  const Sizes sizes{n[0], n[1], n[2], n[3], n[4]};
  architecture.variant = sizes.text();
  for (const auto& [name, known] : named_variants) {
    if (architecture.variant == known) architecture.variant = name;
  }
  return sizes;
}

Trunk build(Architecture& architecture, const Construction& construction) {
  const Sizes sizes = parse(architecture);
  check_images(architecture, sizes.patch);
  const Shape& input = architecture.input;
  const std::int64_t positions = (input[0] / sizes.patch) * (input[1] / sizes.patch) + 1;
  auto trunk = std::make_unique<Sequential>();
  trunk->add("patch_embed.proj", std::make_unique<PatchEmbedding>(input[2], sizes.width, sizes.patch,
                                                                  construction.child("patch_embed.proj")));
  trunk->add(std::make_unique<ClassToken>("cls_token", sizes.width, deviation, construction));
  trunk->add(
      std::make_unique<LearnedPositions>("pos_embed", Shape{1, positions, sizes.width}, deviation, construction));
  for (std::int64_t i = 0; i < sizes.layers; ++i) {
    const std::string name = fmt::format("blocks.{}", i);
    trunk->add(name, std::make_unique<TransformerBlock>(
                         TransformerBlockOptions{.attention = {.width = sizes.width, .heads = sizes.heads},
                                                 .hidden = sizes.hidden,
                                                 .epsilon = epsilon},
                         construction.child(name)));
  }
  trunk->add("norm", std::make_unique<LayerNorm>(sizes.width, epsilon, construction.child("norm")));
  trunk->add(std::make_unique<FirstPosition>());
  return {.modules = std::move(trunk), .features = sizes.width};
}

/// Heads, which no tensor shows, have 64 elements unless the file says otherwise; images are squares.
Recognised recognise(const CheckpointTensors& tensors) {
  ShapeReader reader(tensors.shapes);
  const Shape patches = reader.read("patch_embed.proj.weight", 4), positions = reader.read("pos_embed", 3);
  const std::int64_t width = patches[0], layers = reader.count("blocks.", ".mlp.fc1.weight");
  reader.expect("pos_embed", {1, positions[1], width});
  const std::int64_t hidden = reader.read("blocks.0.mlp.fc1.weight", 2)[0];
  for (std::int64_t i = 0; i < layers; ++i) {
    reader.expect(fmt::format("blocks.{}.mlp.fc1.weight", i), {hidden, width});
    reader.expect(fmt::format("blocks.{}.attn.qkv.weight", i), {3 * width, width});
  }
  Recognised found{.fault = reader.fault()};
  if (!found.fault.empty()) return found;
  Sizes sizes{patches[2], width, layers, std::max<std::int64_t>(1, width / 64), hidden};
  if (!tensors.variant.empty()) {
    Architecture said{"vit", tensors.variant, {}, 0};
    sizes.heads = parse(said).heads;
  }
  std::int64_t side = 1;
  while (side * side < positions[1] - 1) ++side;
  const Shape usual{side * patches[2], side * patches[2], patches[1]};
  found.architecture = {"vit", sizes.text(), tensors.input.value_or(usual), tensors.classes};
  parse(found.architecture);
  return found;
}

}  // namespace

const Model& vit() {
  static const Model model{.name = "vit",
                           .variants = "[:ti16|s16|b16|ti4|s4|b4|PATCH-WIDTH-LAYERS-HEADS-HIDDEN]",
                           .help = "vision transformer of Dosovitskiy et al. 2021, and DeiT, with timm's names",
                           .build = build,
                           .recognise = recognise};
  return model;
}

}  // namespace rtl::layers::architectures

namespace rtl::models {

std::unique_ptr<layers::Network> vit(const VitOptions& options, const Device& device) {
  return layers::make_network({"vit", options.size, options.input, options.classes}, device, options.seed,
                              options.dtype);
}

}  // namespace rtl::models
