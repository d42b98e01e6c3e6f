#include <fmt/format.h>

#include <array>

#include "core/by_name.hpp"
#include "layers/model_parts.hpp"
#include "rtl/core/error.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/layers/attention.hpp"
#include "rtl/layers/models.hpp"
#include "rtl/layers/row_norm.hpp"

namespace rtl::layers::architectures {
namespace {

constexpr double epsilon = 1e-12, deviation = 0.02, dropout = 0.1;

/// Word, position and type vectors, summed and normalised. Every token is of type 0.
class BertEmbeddings final : public Module {
 public:
  BertEmbeddings(std::int64_t vocabulary, std::int64_t positions, std::int64_t width, const Construction& construction)
      : words_({.vocabulary = vocabulary, .width = width, .deviation = deviation},
               construction.child("word_embeddings")),
        positions_("weight", {positions, width}, deviation, construction.child("position_embeddings")),
        types_(normal_parameter("weight", {2, width}, deviation, construction.child("token_type_embeddings"))),
        norm_(width, epsilon, construction.child("LayerNorm")),
        dropout_(dropout, construction.prefix + "dropout") {}

  Value forward(const Value& ids, const ForwardContext& context) override {
    const Value words = words_.forward(ids, context), types = context.read(ids, types_);
    const Value first = graph::reshape(graph::slice(types, 0, 0, 1), {types.extent(1)});
    const Value sum = graph::add(positions_.forward(words, context), graph::cast(first, words.dtype()));
    return dropout_.forward(norm_.forward(sum, context), context);
  }
  void visit(const std::string& prefix, ModuleState& state) override {
    words_.visit(prefix + "word_embeddings.", state);
    positions_.visit(prefix + "position_embeddings.", state);
    state.parameters.push_back({prefix + "token_type_embeddings.weight", &types_});
    norm_.visit(prefix + "LayerNorm.", state);
  }

 private:
  Embedding words_;
  LearnedPositions positions_;
  Parameter types_;
  LayerNorm norm_;
  Dropout dropout_;
};

/// tanh of a linear layer of the first position.
class BertPooler final : public Module {
 public:
  BertPooler(std::int64_t width, const Construction& construction)
      : dense_({.inputs = width, .outputs = width}, construction.child("dense")) {}
  Value forward(const Value& x, const ForwardContext& context) override {
    return graph::tanh(dense_.forward(FirstPosition().forward(x, context), context));
  }
  void visit(const std::string& prefix, ModuleState& state) override { dense_.visit(prefix + "dense.", state); }

 private:
  Linear dense_;
};

struct Sizes {
  std::int64_t layers, width, heads, hidden, vocabulary;
  std::string pooling;
  std::string text() const {
    return fmt::format("{}-{}-{}-{}-{}-{}", layers, width, heads, hidden, vocabulary, pooling);
  }
};

constexpr std::array named_variants{std::pair("base", "12-768-12-3072-30522-pooler"),
                                    std::pair("minilm", "6-384-12-1536-30522-mean")};

Sizes parse(Architecture& architecture) {
  std::string text = architecture.variant.empty() ? "base" : architecture.variant;
  for (const auto& [name, sizes] : named_variants) {
    if (text == name) text = sizes;
  }
  std::vector<std::string> words = variant_words(text);
  const std::string pooling = words.back();
  if (!is_one_of(pooling, {"pooler", "mean", "first"})) {
    throw ValueError(
        fmt::format("make_network: '{}' ends in none of pooler, mean and first", architecture.to_string()));
  }
  words.pop_back();
  const std::vector<std::int64_t> sizes = parse_sizes(architecture, words, 5);
  const Sizes found{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], pooling};
  architecture.variant = found.text();
  architecture.vocabulary = found.vocabulary;
  for (const auto& [name, known] : named_variants) {
    if (architecture.variant == known) architecture.variant = name;
  }
  return found;
}

TransformerBlockOptions block_options(const Sizes& sizes) {
  return {.attention = {.width = sizes.width,
                        .heads = sizes.heads,
                        .dropout = dropout,
                        .names = {.weights = {"self.query.weight", "self.key.weight", "self.value.weight"},
                                  .biases = {"self.query.bias", "self.key.bias", "self.value.bias"},
                                  .output = "output.dense"}},
          .hidden = sizes.hidden,
          .epsilon = epsilon,
          .norm_first = false,
          .dropout = dropout,
          .names = {.attention = "attention",
                    .attention_norm = "attention.output.LayerNorm",
                    .feed_forward_norm = "output.LayerNorm",
                    .up = "intermediate.dense",
                    .down = "output.dense"}};
}

Trunk build(Architecture& architecture, const Construction& construction) {
  check_tokens(architecture);
  const Sizes sizes = parse(architecture);
  auto trunk = std::make_unique<Sequential>();
  trunk->add("embeddings", std::make_unique<BertEmbeddings>(sizes.vocabulary, architecture.input[0], sizes.width,
                                                            construction.child("embeddings")));
  for (std::int64_t i = 0; i < sizes.layers; ++i) {
    const std::string name = fmt::format("encoder.layer.{}", i);
    trunk->add(name, std::make_unique<TransformerBlock>(block_options(sizes), construction.child(name)));
  }
  if (sizes.pooling == "pooler") {
    trunk->add("pooler", std::make_unique<BertPooler>(sizes.width, construction.child("pooler")));
  } else if (sizes.pooling == "mean") {
    trunk->add(std::make_unique<MeanPooling>());
  } else {
    trunk->add(std::make_unique<FirstPosition>());
  }
  return {.modules = std::move(trunk), .features = sizes.width, .dropout = dropout};
}

/// What no tensor shows: MiniLM's heads have 32 elements, all others' 64; sentence encoders have means.
Sizes with_conventions(Sizes sizes, bool has_pooler) {
  const bool minilm = sizes.width == 384;
  sizes.heads = std::max<std::int64_t>(1, sizes.width / (minilm ? 32 : 64));
  sizes.pooling = minilm || !has_pooler ? "mean" : "pooler";
  return sizes;
}

Recognised recognise(const CheckpointTensors& tensors) {
  ShapeReader reader(tensors.shapes);
  const Shape words = reader.read("embeddings.word_embeddings.weight", 2);
  const std::int64_t width = words[1], layers = reader.count("layer.", ".intermediate.dense.weight");
  const Shape positions = reader.read("embeddings.position_embeddings.weight", 2);
  reader.expect("embeddings.position_embeddings.weight", {positions[0], width});
  const std::int64_t hidden = reader.read("layer.0.intermediate.dense.weight", 2)[0];
  for (std::int64_t i = 0; i < layers; ++i) {
    const std::string layer = fmt::format("layer.{}.", i);
    reader.expect(layer + "intermediate.dense.weight", {hidden, width});
    reader.expect(layer + "attention.self.query.weight", {width, width});
  }
  const bool has_pooler = reader.contains("pooler.dense.weight");
  if (has_pooler) reader.expect("pooler.dense.weight", {width, width});
  Recognised found{.fault = reader.fault()};
  if (!found.fault.empty()) return found;
  Sizes sizes = with_conventions({layers, width, 1, hidden, words[0], ""}, has_pooler);
  if (tensors.heads > 0) sizes.heads = tensors.heads;
  if (!tensors.variant.empty()) {
    Architecture said{"bert", tensors.variant, {}, 0};
    const Sizes given = parse(said);
    sizes.heads = given.heads;
    sizes.pooling = given.pooling;
  }
  found.architecture = {"bert", sizes.text(), {positions[0]}, tensors.classes};
  parse(found.architecture);
  return found;
}

}  // namespace

const Model& bert() {
  static const Model model{.name = "bert",
                           .variants = "[:base|minilm|LAYERS-WIDTH-HEADS-HIDDEN-VOCABULARY-POOLING]",
                           .help = "BERT of token ids, with Hugging Face's names; MiniLM",
                           .head = "classifier",
                           .spare = {"pooler.", "cls."},
                           .tokens = true,
                           .build = build,
                           .recognise = recognise};
  return model;
}

}  // namespace rtl::layers::architectures

namespace rtl::models {

std::unique_ptr<layers::Network> bert(const BertOptions& options, const Device& device) {
  return layers::make_network({"bert", options.size, {options.positions}, options.classes}, device, options.seed,
                              options.dtype);
}

}  // namespace rtl::models
