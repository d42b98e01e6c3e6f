#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "layers/model_parts.hpp"
#include "rtl/core/error.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/layers/attention.hpp"
#include "rtl/layers/models.hpp"
#include "rtl/layers/row_norm.hpp"

namespace rtl::layers::architectures {
namespace {

constexpr double deviation = 0.02;
/// Of llama2.c and Llama 2; others are said by a variant's words "eps6" (1e-6) and "theta500000".
constexpr std::int64_t usual_epsilon_digits = 5, usual_theta = 10000;
constexpr std::string_view stories = "5-64-8-4-172-512";
/// Of files that do not say it: Llama 2 was trained on 4,096 positions, llama2.c's models on 512 or fewer.
constexpr std::int64_t usual_positions = 512;

/// How the tensors are called, and which elements rotary positions pair.
struct Naming {
  std::string embedding, attention, query, key, value, output, attention_norm, feed_forward_norm, gate, up, down;
  kernels::RotaryPairs pairs;
};

const Naming& naming_of(bool hugging_face) {
  static const Naming published{"tok_embeddings",
                                "attention",
                                "wq",
                                "wk",
                                "wv",
                                "wo",
                                "attention_norm",
                                "ffn_norm",
                                "feed_forward.w1",
                                "feed_forward.w3",
                                "feed_forward.w2",
                                kernels::RotaryPairs::interleaved};
  static const Naming converted{"embed_tokens",  "self_attn",   "q_proj",          "k_proj",
                                "v_proj",        "o_proj",      "input_layernorm", "post_attention_layernorm",
                                "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",   kernels::RotaryPairs::halves};
  return hugging_face ? converted : published;
}

struct Sizes {
  std::int64_t layers, width, heads, key_heads, hidden, vocabulary;
  bool hugging_face;
  std::int64_t theta = usual_theta;                    ///< of rotary positions
  std::int64_t epsilon_digits = usual_epsilon_digits;  ///< norms have the epsilon 10^-digits
  bool untied = false;                                 ///< the file has a language head of its own, which is left out
  double epsilon() const { return 1 / std::pow(10., static_cast<double>(epsilon_digits)); }
  std::string text() const {
    return fmt::format("{}-{}-{}-{}-{}-{}{}{}{}{}", layers, width, heads, key_heads, hidden, vocabulary,
                       hugging_face ? "-hf" : "",
                       epsilon_digits == usual_epsilon_digits ? "" : fmt::format("-eps{}", epsilon_digits),
                       theta == usual_theta ? "" : fmt::format("-theta{}", theta), untied ? "-untied" : "");
  }
};

/// Takes a last word off if it is this one.
bool take_word(std::vector<std::string>& words, std::string_view word) {
  const bool found = !words.empty() && words.back() == word;
  if (found) words.pop_back();
  return found;
}

/// Takes a last word "eps6" or "theta500000" off, and returns its number; `usual` if there is none.
std::int64_t take_number(const Architecture& architecture, std::vector<std::string>& words, const std::string& name,
                         std::int64_t usual) {
  if (words.empty() || !words.back().starts_with(name)) return usual;
  const std::string number = words.back().substr(name.size());
  words.pop_back();
  return parse_sizes(architecture, {number}, 1)[0];
}

Sizes parse(Architecture& architecture) {
  std::string text = architecture.variant;
  if (text.empty() || text == "stories260k") text = stories;
  std::vector<std::string> words = variant_words(text);
  const bool untied = take_word(words, "untied");
  const std::int64_t theta = take_number(architecture, words, "theta", usual_theta);
  const std::int64_t digits = take_number(architecture, words, "eps", usual_epsilon_digits);
  const bool hugging_face = take_word(words, "hf");
  const std::vector<std::int64_t> n = parse_sizes(architecture, words, 6);
  const Sizes sizes{n[0], n[1], n[2], n[3], n[4], n[5], hugging_face, theta, digits, untied};
  architecture.vocabulary = sizes.vocabulary;
  architecture.variant = sizes.text() == stories ? "stories260k" : sizes.text();
  return sizes;
}

TransformerBlockOptions block_options(const Sizes& sizes) {
  const Naming& naming = naming_of(sizes.hugging_face);
  return {
      .attention = {.width = sizes.width,
                    .heads = sizes.heads,
                    .key_heads = sizes.key_heads,
                    .causal = true,
                    .output_bias = false,
                    .rotary = RotaryOptions{.pairs = naming.pairs, .theta = static_cast<double>(sizes.theta)},
                    .names = {.weights = {naming.query + ".weight", naming.key + ".weight", naming.value + ".weight"},
                              .biases = {},
                              .output = naming.output}},
      .hidden = sizes.hidden,
      .norm = NormKind::rms,
      .epsilon = sizes.epsilon(),
      .bias = false,
      .names = {.attention = naming.attention,
                .attention_norm = naming.attention_norm,
                .feed_forward_norm = naming.feed_forward_norm,
                .up = naming.up,
                .down = naming.down,
                .gate = naming.gate}};
}

Trunk build(Architecture& architecture, const Construction& construction) {
  check_tokens(architecture);
  const Sizes sizes = parse(architecture);
  const std::string embedding = naming_of(sizes.hugging_face).embedding;
  auto trunk = std::make_unique<Sequential>();
  trunk->add(embedding,
             std::make_unique<Embedding>(
                 EmbeddingOptions{.vocabulary = sizes.vocabulary, .width = sizes.width, .deviation = deviation},
                 construction.child(embedding)));
  for (std::int64_t i = 0; i < sizes.layers; ++i) {
    const std::string name = fmt::format("layers.{}", i);
    trunk->add(name, std::make_unique<TransformerBlock>(block_options(sizes), construction.child(name)));
  }
  trunk->add("norm", std::make_unique<RmsNorm>(sizes.width, sizes.epsilon(), construction.child("norm")));
  trunk->add(std::make_unique<MeanPooling>());
  return {.modules = std::move(trunk), .features = sizes.width};
}

/// Elements of a head by the usual widths, which no tensor shows.
std::int64_t usual_head_size(std::int64_t width) {
  if (width < 256) return 8;
  if (width == 288) return 48;
  return width < 3072 ? 64 : 128;
}

/// Theta and epsilon, where a file beside the tensors says them. Returns why they are none that a variant can say.
std::string read_numbers(const CheckpointTensors& tensors, Sizes& sizes) {
  if (tensors.rotary_theta > 0) {
    sizes.theta = static_cast<std::int64_t>(std::clamp(std::round(tensors.rotary_theta), 1., 1048576.));
    if (static_cast<double>(sizes.theta) != tensors.rotary_theta) {
      return fmt::format("rope_theta = {} is no whole number up to 1048576", tensors.rotary_theta);
    }
  }
  if (tensors.norm_epsilon > 0) {
    sizes.epsilon_digits =
        static_cast<std::int64_t>(std::clamp(std::round(-std::log10(tensors.norm_epsilon)), 1., 12.));
    if (std::abs(sizes.epsilon() / tensors.norm_epsilon - 1) > 1e-6) {
      return fmt::format("rms_norm_eps = {} is no power of ten from 1e-12 to 0.1", tensors.norm_epsilon);
    }
  }
  return "";
}

Recognised recognise(const CheckpointTensors& tensors) {
  const bool hugging_face = tensors.shapes.contains("embed_tokens.weight");
  const Naming& naming = naming_of(hugging_face);
  ShapeReader reader(tensors.shapes);
  const Shape words = reader.read(naming.embedding + ".weight", 2);
  const std::int64_t width = words[1], layers = reader.count("layers.", "." + naming.gate + ".weight");
  const std::int64_t hidden = reader.read("layers.0." + naming.gate + ".weight", 2)[0];
  const std::int64_t keys = reader.read(fmt::format("layers.0.{}.{}.weight", naming.attention, naming.key), 2)[0];
  for (std::int64_t i = 0; i < layers; ++i) {
    const std::string layer = fmt::format("layers.{}.", i), attention = layer + naming.attention + ".";
    reader.expect(layer + naming.gate + ".weight", {hidden, width});
    reader.expect(attention + naming.query + ".weight", {width, width});
    reader.expect(attention + naming.key + ".weight", {keys, width});
  }
  Recognised found{.fault = reader.fault()};
  if (!found.fault.empty()) return found;
  std::int64_t size = usual_head_size(width);
  if (tensors.heads > 0) size = std::max<std::int64_t>(1, width / tensors.heads);
  Sizes sizes{layers, width, 1, 1, hidden, words[0], hugging_face};
  sizes.untied = tensors.shapes.contains("lm_head.weight");
  found.fault = read_numbers(tensors, sizes);
  if (!tensors.variant.empty()) {
    Architecture said{"llama", tensors.variant, {}, 0};
    const Sizes given = parse(said);
    size = std::max<std::int64_t>(1, width / given.heads);
    sizes.theta = given.theta;
    sizes.epsilon_digits = given.epsilon_digits;
    sizes.untied = given.untied;
  }
  sizes.heads = std::max<std::int64_t>(1, width / size);
  sizes.key_heads = std::max<std::int64_t>(1, keys / size);
  found.architecture = {"llama", sizes.text(), tensors.input.value_or(Shape{usual_positions}), tensors.classes};
  parse(found.architecture);
  return found;
}

}  // namespace

const Model& llama() {
  static const Model model{
      .name = "llama",
      .variants =
          "[:stories260k|LAYERS-WIDTH-HEADS-KEY_HEADS-HIDDEN-VOCABULARY[-hf][-epsDIGITS][-thetaTHETA][-untied]]",
      .help = "Llama of token ids, with llama2.c's or Hugging Face's names",
      .head = "score",
      .spare = {"lm_head."},
      .tokens = true,
      .build = build,
      .recognise = recognise};
  return model;
}

}  // namespace rtl::layers::architectures

namespace rtl::models {

std::unique_ptr<layers::Network> llama(const LlamaOptions& options, const Device& device) {
  return layers::make_network({"llama", options.size, {options.positions}, options.classes}, device, options.seed,
                              options.dtype);
}

graph::Value language_logits(layers::Network& network, const graph::Value& ids, const layers::ForwardContext& context) {
  if (network.architecture().name != "llama") {
    throw ValueError(
        fmt::format("language_logits: {} is no language model; llama is one", network.architecture().to_string()));
  }
  if (network.architecture().variant.ends_with("-untied")) {
    throw ValueError(
        "language_logits: the network's file had lm_head.weight, a language head of its own, which is not kept; a file "
        "whose head is its embedding does without that tensor");
  }
  const graph::Value last = network.output_of("norm", ids, context);
  layers::ModuleState trunk;
  network.visit_trunk("", trunk);
  const graph::Value table = context.read(last, *trunk.parameters.front().parameter);
  const std::int64_t sequences = last.extent(0), positions = last.extent(1);
  const graph::Value rows = graph::reshape(last, {sequences * positions, last.extent(2)});
  return graph::reshape(graph::matmul(rows, table, {.transpose_b = true, .wide = true}),
                        {sequences, positions, table.extent(0)});
}

}  // namespace rtl::models
