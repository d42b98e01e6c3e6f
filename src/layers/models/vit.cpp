#include <fmt/format.h>

#include <array>

#include "layers/model_parts.hpp"
#include "rtl/core/error.hpp"
#include "rtl/layers/attention.hpp"
#include "rtl/layers/models.hpp"
#include "rtl/layers/row_norm.hpp"

namespace rtl::layers::architectures {
namespace {

constexpr double deviation = 0.02;

/// How a library calls the tensors, and the epsilon of its layer norms, which no tensor shows.
struct Naming {
  std::string suffix;  ///< of the variant
  std::string patches, class_token, positions;
  std::string layers;            ///< in front of a layer's number
  std::string canonical_layers;  ///< the same without the words that wrappers leave in front
  std::string canonical_positions;
  std::string norm;
  double epsilon;
  AttentionNames attention;
  BlockNames block;
};

/// The first is the one that networks have by themselves.
const std::vector<Naming>& namings() {
  static const AttentionNames in_proj{{"in_proj_weight"}, {"in_proj_bias"}, "out_proj"};
  static const std::vector<Naming> all{
      {"", "patch_embed.proj", "cls_token", "pos_embed", "blocks.", "blocks.", "pos_embed", "norm", 1e-6, {}, {}},
      {"hf",
       "embeddings.patch_embeddings.projection",
       "embeddings.cls_token",
       "embeddings.position_embeddings",
       "encoder.layer.",
       "layer.",
       "embeddings.position_embeddings",
       "layernorm",
       1e-12,
       {{"attention.query.weight", "attention.key.weight", "attention.value.weight"},
        {"attention.query.bias", "attention.key.bias", "attention.value.bias"},
        "output.dense"},
       {"attention", "layernorm_before", "layernorm_after", "intermediate.dense", "output.dense"}},
      {"torchvision",
       "conv_proj",
       "class_token",
       "encoder.pos_embedding",
       "encoder.layers.encoder_layer_",
       "layers.encoder_layer_",
       "pos_embedding",
       "encoder.ln",
       1e-6,
       in_proj,
       {"self_attention", "ln_1", "ln_2", "mlp.0", "mlp.3"}},
      // Files that torchvision has published keep the names that its multi-layer perceptrons had before 0.12.
      {"torchvision011",
       "conv_proj",
       "class_token",
       "encoder.pos_embedding",
       "encoder.layers.encoder_layer_",
       "layers.encoder_layer_",
       "pos_embedding",
       "encoder.ln",
       1e-6,
       in_proj,
       {"self_attention", "ln_1", "ln_2", "mlp.linear_1", "mlp.linear_2"}},
  };
  return all;
}

struct Sizes {
  std::int64_t patch, width, layers, heads, hidden;
  const Naming* naming;
  std::string text() const {
    return fmt::format("{}-{}-{}-{}-{}{}{}", patch, width, layers, heads, hidden, naming->suffix.empty() ? "" : "-",
                       naming->suffix);
  }
};

/// Takes a naming's suffix off the words of a variant.
const Naming* take_naming(std::vector<std::string>& words) {
  for (const Naming& naming : namings()) {
    if (naming.suffix.empty() || words.empty() || words.back() != naming.suffix) continue;
    words.pop_back();
    return &naming;
  }
  return &namings().front();
}

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
  std::vector<std::string> words = variant_words(text);
  const Naming* naming = take_naming(words);
  const std::vector<std::int64_t> n = parse_sizes(architecture, words, 5);
  const Sizes sizes{n[0], n[1], n[2], n[3], n[4], naming};
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
  const Naming& naming = *sizes.naming;
  auto trunk = std::make_unique<Sequential>();
  trunk->add(naming.patches,
             std::make_unique<PatchEmbedding>(input[2], sizes.width, sizes.patch, construction.child(naming.patches)));
  trunk->add(std::make_unique<ClassToken>(naming.class_token, sizes.width, deviation, construction));
  trunk->add(
      std::make_unique<LearnedPositions>(naming.positions, Shape{1, positions, sizes.width}, deviation, construction));
  for (std::int64_t i = 0; i < sizes.layers; ++i) {
    const std::string name = fmt::format("{}{}", naming.layers, i);
    trunk->add(name, std::make_unique<TransformerBlock>(
                         TransformerBlockOptions{
                             .attention = {.width = sizes.width, .heads = sizes.heads, .names = naming.attention},
                             .hidden = sizes.hidden,
                             .epsilon = naming.epsilon,
                             .names = naming.block},
                         construction.child(name)));
  }
  trunk->add(naming.norm, std::make_unique<LayerNorm>(sizes.width, naming.epsilon, construction.child(naming.norm)));
  trunk->add(std::make_unique<FirstPosition>());
  return {.modules = std::move(trunk), .features = sizes.width};
}

/// The naming whose patch embedding and first layer are there; the first one where none is.
const Naming& naming_of(const ShapeReader& reader) {
  for (const Naming& naming : namings()) {
    if (reader.contains(naming.patches + ".weight") &&
        reader.contains(fmt::format("{}0.{}.weight", naming.canonical_layers, naming.block.up))) {
      return naming;
    }
  }
  return namings().front();
}

/// Heads, which no tensor shows, have 64 elements unless the file says otherwise; images are squares.
Recognised recognise(const CheckpointTensors& tensors) {
  ShapeReader reader(tensors.shapes);
  const Naming& naming = naming_of(reader);
  const Shape patches = reader.read(naming.patches + ".weight", 4),
              positions = reader.read(naming.canonical_positions, 3);
  const std::string up = fmt::format(".{}.weight", naming.block.up);
  const std::int64_t width = patches[0], layers = reader.count(naming.canonical_layers, up);
  reader.expect(naming.canonical_positions, {1, positions[1], width});
  const std::int64_t hidden = reader.read(naming.canonical_layers + "0" + up, 2)[0];
  const auto rows = 3 * width / static_cast<std::int64_t>(naming.attention.weights.size());
  for (std::int64_t i = 0; i < layers; ++i) {
    const std::string layer = fmt::format("{}{}", naming.canonical_layers, i);
    reader.expect(layer + up, {hidden, width});
    for (const std::string& weight : naming.attention.weights) {
      reader.expect(fmt::format("{}.{}.{}", layer, naming.block.attention, weight), {rows, width});
    }
  }
  Recognised found{.fault = reader.fault()};
  if (!found.fault.empty()) return found;
  Sizes sizes{patches[2], width, layers, std::max<std::int64_t>(1, width / 64), hidden, &naming};
  if (tensors.heads > 0) sizes.heads = tensors.heads;
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
  static const Model model{
      .name = "vit",
      .variants = "[:ti16|s16|b16|ti4|s4|b4|PATCH-WIDTH-LAYERS-HEADS-HIDDEN[-hf|-torchvision]]",
      .help =
          "vision transformer of Dosovitskiy et al. 2021, and DeiT, with timm's, Hugging Face's or torchvision's names",
      .spare = {"pooler."},
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
