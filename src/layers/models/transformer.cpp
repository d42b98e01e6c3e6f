#include <fmt/format.h>

#include <array>
#include <cmath>

#include "layers/model_parts.hpp"
#include "rtl/core/error.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/layers/attention.hpp"
#include "rtl/layers/models.hpp"

namespace rtl::layers::architectures {
namespace {

constexpr double deviation = 0.02, dropout = 0.1, feature_dropout = 0.5;

/// What a sequence is made of: patches of that size of an image, or tokens of that vocabulary.
struct Sizes {
  bool text;
  std::int64_t patch_or_vocabulary, width, layers, heads, hidden, features;
  std::string variant() const {
    return fmt::format("{}{}-{}-{}-{}-{}-{}", text ? "text-" : "", patch_or_vocabulary, width, layers, heads, hidden,
                       features);
  }
};

constexpr std::array named_variants{std::pair("small", "4-128-2-8-256-512"), std::pair("big", "2-512-6-8-1024-2560")};

Sizes parse(Architecture& architecture) {
  std::string text = architecture.variant.empty() ? "small" : architecture.variant;
  for (const auto& [name, sizes] : named_variants) {
    if (text == name) text = sizes;
  }
  std::vector<std::string> words = variant_words(text);
  const bool tokens = words.front() == "text";
  if (tokens) words.erase(words.begin());
  const std::vector<std::int64_t> n = parse_sizes(architecture, words, 6);
  const Sizes sizes{tokens, n[0], n[1], n[2], n[3], n[4], n[5]};
  architecture.variant = sizes.variant();
  architecture.vocabulary = sizes.text ? sizes.patch_or_vocabulary : 0;
  for (const auto& [name, known] : named_variants) {
    if (architecture.variant == known) architecture.variant = name;
  }
  return sizes;
}

/// As PyTorch names the tensors of nn.TransformerEncoderLayer. Padding is seen, as in the REFINE paper.
TransformerBlockOptions block_options(const Sizes& sizes) {
  return {.attention = {.width = sizes.width,
                        .heads = sizes.heads,
                        .dropout = dropout,
                        .sees_padding = true,
                        .names = {.weights = {"in_proj_weight"}, .biases = {"in_proj_bias"}, .output = "out_proj"}},
          .hidden = sizes.hidden,
          .activation = Activation::relu,
          .norm_first = false,
          .dropout = dropout,
          .names = {.attention = "self_attn",
                    .attention_norm = "norm1",
                    .feed_forward_norm = "norm2",
                    .up = "linear1",
                    .down = "linear2"}};
}

/// Adds what makes the sequence, and returns its positions.
std::int64_t add_sequence(Sequential& trunk, const Architecture& architecture, const Sizes& sizes,
                          const Construction& construction) {
  const Shape& input = architecture.input;
  if (sizes.text) {
    check_tokens(architecture);
    // A vector's elements are of variance 1, times sqrt(width).
    const EmbeddingOptions options{.vocabulary = sizes.patch_or_vocabulary,
                                   .width = sizes.width,
                                   .factor = std::sqrt(static_cast<double>(sizes.width))};
    trunk.add("embedding", std::make_unique<Embedding>(options, construction.child("embedding")));
    return input[0];
  }
  const std::int64_t patch = sizes.patch_or_vocabulary;
  check_images(architecture, patch);
  trunk.add("patch_embed",
            std::make_unique<PatchEmbedding>(input[2], sizes.width, patch, construction.child("patch_embed")));
  return (input[0] / patch) * (input[1] / patch);
}

Trunk build(Architecture& architecture, const Construction& construction) {
  const Sizes sizes = parse(architecture);
  auto trunk = std::make_unique<Sequential>();
  const std::int64_t positions = add_sequence(*trunk, architecture, sizes, construction) + 1;
  trunk->add(std::make_unique<ClassToken>("cls_token", sizes.width, deviation, construction));
  const Shape table{1, positions, sizes.width};
  trunk->add(std::make_unique<LearnedPositions>("pos_embed", table, deviation, construction));
  trunk->add(std::make_unique<Dropout>(dropout, "pos_embed"));
  for (std::int64_t i = 0; i < sizes.layers; ++i) {
    const std::string name = fmt::format("layers.{}", i);
    trunk->add(name, std::make_unique<TransformerBlock>(block_options(sizes), construction.child(name)));
  }
  trunk->add(std::make_unique<FirstPosition>());
  trunk->add("fc",
             std::make_unique<Linear>(LinearOptions{.inputs = sizes.width, .outputs = sizes.features, .relu = true},
                                      construction.child("fc")));
  return {.modules = std::move(trunk), .features = sizes.features, .dropout = feature_dropout};
}

/// Heads, which no tensor shows, are 8 unless the file says otherwise; images are squares.
Recognised recognise(const CheckpointTensors& tensors) {
  ShapeReader reader(tensors.shapes);
  const bool text = reader.contains("embedding.weight");
  const Shape first = text ? reader.read("embedding.weight", 2) : reader.read("patch_embed.weight", 4);
  const std::int64_t width = text ? first[1] : first[0];
  const Shape positions = reader.read("pos_embed", 3);
  reader.expect("pos_embed", {1, positions[1], width});
  const std::int64_t layers = reader.count("layers.", ".linear1.weight");
  const std::int64_t hidden = reader.read("layers.0.linear1.weight", 2)[0];
  for (std::int64_t i = 0; i < layers; ++i) {
    reader.expect(fmt::format("layers.{}.linear1.weight", i), {hidden, width});
    reader.expect(fmt::format("layers.{}.self_attn.in_proj_weight", i), {3 * width, width});
  }
  const std::int64_t features = reader.read("fc.weight", 2)[0];
  reader.expect("fc.weight", {features, width});
  Recognised found{.fault = reader.fault()};
  if (!found.fault.empty()) return found;
  Sizes sizes{text, text ? first[0] : first[2], width, layers, 8, hidden, features};
  if (!tensors.variant.empty()) {
    Architecture said{"transformer", tensors.variant, {}, 0};
    sizes.heads = parse(said).heads;
  }
  std::int64_t side = 1;
  while (side * side < positions[1] - 1) ++side;
  const Shape usual = text ? Shape{positions[1] - 1} : Shape{side * first[2], side * first[2], first[1]};
  found.architecture = {"transformer", sizes.variant(), tensors.input.value_or(usual), tensors.classes};
  parse(found.architecture);
  const Shape& input = found.architecture.input;
  const std::int64_t patch = sizes.patch_or_vocabulary;
  const bool same_rank = input.rank() == usual.rank();
  // Found here, not by the tensors of a network that is built for it: its positions may not fit into memory.
  if (!same_rank || positions[1] - 1 != (text ? input[0] : (input[0] / patch) * (input[1] / patch))) {
    found.fault = fmt::format("pos_embed is {}, not that of samples {}", positions.to_string(), input.to_string());
  }
  return found;
}

}  // namespace

const Model& transformer() {
  static const Model model{.name = "transformer",
                           .variants = "[:small|big|PATCH-WIDTH-LAYERS-HEADS-HIDDEN-FEATURES|text-VOCABULARY-WIDTH-..]",
                           .help = "the Transformers of the REFINE paper, of images or token ids",
                           .tokens = true,
                           .sees_padding = true,
                           .build = build,
                           .recognise = recognise};
  return model;
}

}  // namespace rtl::layers::architectures

namespace rtl::models {

std::unique_ptr<layers::Network> transformer(const TransformerOptions& options, const Device& device) {
  return layers::make_network({"transformer", options.size, options.input, options.classes}, device, options.seed,
                              options.dtype);
}

}  // namespace rtl::models
