// Transformers: attention, blocks and embeddings as layers, and the models that are made of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "rtl/layers/attention.hpp"
#include "rtl/layers/models.hpp"
#include "rtl/layers/row_norm.hpp"
#include "support/devices.hpp"
#include "support/random_tensor.hpp"
#include "support/recorded.hpp"

namespace rtl::layers {
namespace {

std::int64_t count(const Architecture& architecture) {
  return make_network(architecture, Device::cpu(), 1)->parameter_count();
}

std::vector<std::string> names_of(Module& module) {
  std::vector<std::string> names;
  for (const NamedParameter& parameter : module.state().parameters) names.push_back(parameter.name);
  return names;
}

TEST(Transformers, HaveTheParameterCountsOfThePapers) {
  const Shape cifar{32, 32, 3};
  EXPECT_EQ(count({"transformer", "big", cifar, 10}), 14'094'346);
  EXPECT_EQ(count({"transformer", "big", cifar, 100}), 14'324'836);
  EXPECT_EQ(count({"transformer", "small", cifar, 10}), 350'858);
  EXPECT_EQ(count({"transformer", "small", cifar, 100}), 397'028);
  // REFINE: h and a linear head on its 512 features and the source's 2,560.
  EXPECT_EQ(count({"transformer", "small", cifar, 0}) + (512 + 2560) * 10 + 10, 376'458);
  EXPECT_EQ(count({"transformer", "small", cifar, 0}) + (512 + 2560) * 100 + 100, 653'028);
  EXPECT_EQ(count({"vit", "b16", {224, 224, 3}, 1000}), 86'567'656);
  EXPECT_EQ(count({"vit", "s16", {224, 224, 3}, 1000}), 22'050'664);
  EXPECT_EQ(count({"vit", "deit-ti16", {224, 224, 3}, 1000}), 5'717'416);
  EXPECT_EQ(count({"bert", "base", {512}, 0}), 109'482'240);
  EXPECT_EQ(count({"llama", "stories260k", {512}, 0}), 260'032);
}

TEST(Transformers, KeepTheNamesOfTheField) {
  const Device device = Device::cpu();
  using Names = std::vector<std::string>;
  EXPECT_EQ(names_of(*make_network({"vit", "4-8-1-2-12", {8, 8, 3}, 2}, device, 1)), (Names{"patch_embed.proj.weight",
                                                                                            "patch_embed.proj.bias",
                                                                                            "cls_token",
                                                                                            "pos_embed",
                                                                                            "blocks.0.norm1.weight",
                                                                                            "blocks.0.norm1.bias",
                                                                                            "blocks.0.attn.qkv.weight",
                                                                                            "blocks.0.attn.qkv.bias",
                                                                                            "blocks.0.attn.proj.weight",
                                                                                            "blocks.0.attn.proj.bias",
                                                                                            "blocks.0.norm2.weight",
                                                                                            "blocks.0.norm2.bias",
                                                                                            "blocks.0.mlp.fc1.weight",
                                                                                            "blocks.0.mlp.fc1.bias",
                                                                                            "blocks.0.mlp.fc2.weight",
                                                                                            "blocks.0.mlp.fc2.bias",
                                                                                            "norm.weight",
                                                                                            "norm.bias",
                                                                                            "head.weight",
                                                                                            "head.bias"}));
  EXPECT_EQ(names_of(*make_network({"llama", "1-8-2-1-12-9", {8}, 0}, device, 1)),
            (Names{"tok_embeddings.weight", "layers.0.attention_norm.weight", "layers.0.attention.wq.weight",
                   "layers.0.attention.wk.weight", "layers.0.attention.wv.weight", "layers.0.attention.wo.weight",
                   "layers.0.ffn_norm.weight", "layers.0.feed_forward.w1.weight", "layers.0.feed_forward.w3.weight",
                   "layers.0.feed_forward.w2.weight", "norm.weight"}));
  const Names bert = names_of(*make_network({"bert", "1-8-2-12-9-pooler", {8}, 2}, device, 1));
  for (const char* name :
       {"embeddings.token_type_embeddings.weight", "embeddings.LayerNorm.bias",
        "encoder.layer.0.attention.self.query.weight", "encoder.layer.0.attention.output.dense.bias",
        "encoder.layer.0.attention.output.LayerNorm.weight", "encoder.layer.0.intermediate.dense.weight",
        "encoder.layer.0.output.LayerNorm.bias", "pooler.dense.weight", "classifier.weight"}) {
    EXPECT_NE(std::find(bert.begin(), bert.end(), name), bert.end()) << name;
  }
}

/// Rows [begin, end) of a tensor's values.
std::vector<float> part(const Tensor& tensor, std::size_t begin, std::size_t end, std::size_t width) {
  const std::vector<float> all = tensor.to_vector<float>();
  return {all.begin() + static_cast<std::ptrdiff_t>(begin * width),
          all.begin() + static_cast<std::ptrdiff_t>(end * width)};
}

void expect_close(const std::vector<float>& a, const std::vector<float>& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 2e-5) << what;
}

TEST(Transformers, PaddingChangesNothing) {
  for (const Device& device : test::devices()) {
    for (const Architecture& architecture :
         {Architecture{"bert", "2-16-4-24-30-mean", {9}, 3}, Architecture{"bert", "2-16-4-24-30-first", {9}, 3},
          Architecture{"llama", "2-16-4-2-24-30", {9}, 3}, Architecture{"llama", "2-16-4-2-24-30-hf", {9}, 3}}) {
      const auto network = make_network(architecture, device, 7);
      const std::vector<std::int32_t> ids{3, 14, 15, 9, 2};
      std::vector<std::int32_t> padded = ids;
      padded.resize(9, -1);
      const Tensor alone = test::forward(*network, Tensor::from(ids, {1, 5}, device));
      const Tensor beside = test::forward(*network, Tensor::from(padded, {1, 9}, device));
      expect_close(alone.to_vector<float>(), beside.to_vector<float>(), architecture.to_string());
    }
  }
}

TEST(Transformers, CausalOnesDoNotSeeTheFuture) {
  for (const Device& device : test::devices()) {
    const auto network = make_network({"llama", "2-16-4-2-24-30", {9}, 0}, device, 7);
    const auto logits = [&](const std::vector<std::int32_t>& ids) {
      return test::evaluate(Tensor::from(ids, {1, 6}, device),
                            [&](const Value& x) { return models::language_logits(*network, x, {}); });
    };
    const Tensor one = logits({3, 14, 15, 9, 2, 6}), other = logits({3, 14, 15, 20, 21, 22});
    EXPECT_EQ(one.shape(), (Shape{1, 6, 30}));
    expect_close(part(one, 0, 3, 30), part(other, 0, 3, 30), "the first three");
    EXPECT_NE(part(one, 3, 4, 30), part(other, 3, 4, 30));
  }
}

/// Low-rank updates of every matrix: with B = 0 the base's very bits, and merged what they were beside it.
TEST(Transformers, LowRankUpdatesReachEveryMatrix) {
  for (const Device& device : test::devices()) {
    for (const Architecture& architecture :
         {Architecture{"vit", "4-16-2-2-24", {8, 8, 3}, 3}, Architecture{"llama", "2-16-4-2-24-30", {5}, 3}}) {
      const auto network = make_network(architecture, device, 7);
      test::RandomTensors random(5);
      const Tensor x = architecture.input.rank() == 3
                           ? random.f32({2, 8, 8, 3}, device)
                           : Tensor::from(std::vector<std::int32_t>{3, 9, 4, 1, 7, 2, 2, 8, 5, 6}, {2, 5}, device);
      const std::vector<float> base = test::forward(*network, x).to_vector<float>();
      for (const bool zero : {true, false}) {
        Hooks hooks;
        std::vector<graph::Storage> kept;
        for (const NamedParameter& parameter : network->state().parameters) {
          const Shape& shape = parameter.value().shape();
          if (shape.rank() != 2) continue;
          const graph::Storage a(random.f32({2, shape[1]}, device));
          const graph::Storage b(zero ? Tensor::zeros({shape[0], 2}, DType::f32, device)
                                      : random.f32({shape[0], 2}, device));
          hooks.parameters[parameter.parameter] = [a, b](const Value& original) {
            const Value left = original.graph().variable("b", b), right = original.graph().variable("a", a);
            return graph::add(original, graph::matmul(left, right));
          };
        }
        EXPECT_GE(hooks.parameters.size(), 2 * 4U);
        const std::vector<float> beside = test::forward(*network, x, {.hooks = &hooks}).to_vector<float>();
        if (zero) {
          EXPECT_EQ(beside, base) << architecture.to_string();
          continue;
        }
        EXPECT_NE(beside, base);
        for (const auto& [parameter, function] : hooks.parameters) {
          const Tensor merged = test::evaluate(parameter->value(), function);
          copy_bytes(merged, parameter->value());
        }
        EXPECT_EQ(test::forward(*network, x).to_vector<float>(), beside) << architecture.to_string();
      }
    }
  }
}

TEST(Transformers, BlocksHaveTwoBranchesAndNames) {
  const Device device = Device::cpu();
  const auto network = make_network({"vit", "4-16-3-2-24", {8, 8, 3}, 3}, device, 7);
  EXPECT_EQ(network->layer_names(),
            (std::vector<std::string>{"patch_embed.proj", "blocks.0", "blocks.1", "blocks.2", "norm"}));
  const Tensor x = test::RandomTensors(5).f32({2, 8, 8, 3}, device);
  std::vector<std::string> last;
  Hooks hooks;
  hooks.branch = [&](const Parameter& weight, const Value& branch) {
    last.push_back(weight.name);
    return graph::scale(branch, 0);
  };
  const Tensor without =
      test::evaluate(x, [&](const Value& in) { return network->output_of("blocks.2", in, {.hooks = &hooks}); });
  EXPECT_EQ(last, (std::vector<std::string>{"blocks.0.attn.proj.weight", "blocks.0.mlp.fc2.weight",
                                            "blocks.1.attn.proj.weight", "blocks.1.mlp.fc2.weight",
                                            "blocks.2.attn.proj.weight", "blocks.2.mlp.fc2.weight"}));
  EXPECT_EQ(without.shape(), (Shape{2, 5, 16}));
  const Tensor pooled = test::evaluate(x, [&](const Value& in) { return network->features_at("blocks.2", in, {}); });
  EXPECT_EQ(pooled.shape(), (Shape{2, 16}));
}

/// The layer in f64 by its definition.
TEST(Transformers, AttentionIsWhatItSays) {
  for (const Device& device : test::devices()) {
    const Construction construction{.device = device, .seed = 3, .dtype = DType::f64};
    MultiHeadAttention layer({.width = 4, .heads = 2}, construction);
    const Shape shape{1, 3, 4};
    const std::vector<double> x{0.1, -0.4, 0.3, 0.9, -1.2, 0.5, 0.6, -0.7, 0.2, 0.8, -0.3, 0.4};
    const std::vector<double> found = test::forward(layer, Tensor::from(x, shape, device)).to_vector<double>();
    std::map<std::string, std::vector<double>> w;
    for (const NamedParameter& parameter : layer.state().parameters) {
      w[parameter.name] = parameter.value().to_vector<double>();
    }
    const auto linear = [&](const std::vector<double>& in, const std::string& name, std::size_t outputs) {
      std::vector<double> out;
      for (std::size_t t = 0; t < in.size() / 4; ++t) {
        for (std::size_t o = 0; o < outputs; ++o) {
          double sum = w[name + ".bias"][o];
          for (std::size_t i = 0; i < 4; ++i) sum += in[t * 4 + i] * w[name + ".weight"][o * 4 + i];
          out.push_back(sum);
        }
      }
      return out;
    };
    const std::vector<double> heads = linear(x, "qkv", 12);
    std::vector<double> mixed(12);
    for (std::size_t h = 0; h < 2; ++h) {
      for (std::size_t i = 0; i < 3; ++i) {
        double sum = 0, values[2] = {0, 0};
        for (std::size_t j = 0; j < 3; ++j) {
          double score = 0;
          for (std::size_t d = 0; d < 2; ++d) score += heads[i * 12 + 2 * h + d] * heads[j * 12 + 4 + 2 * h + d];
          const double weight = std::exp(score / std::sqrt(2.0));
          sum += weight;
          for (std::size_t d = 0; d < 2; ++d) values[d] += weight * heads[j * 12 + 8 + 2 * h + d];
        }
        for (std::size_t d = 0; d < 2; ++d) mixed[i * 4 + 2 * h + d] = values[d] / sum;
      }
    }
    const std::vector<double> wanted = linear(mixed, "proj", 4);
    for (std::size_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR(found[i], wanted[i], 1e-12) << device.name();
  }
}

TEST(Transformers, FaultsNameWhatDoesNotFit) {
  const Device device = Device::cpu();
  const Construction construction{.device = device};
  EXPECT_THROW(MultiHeadAttention({.width = 6, .heads = 4}, construction), ValueError);
  EXPECT_THROW(MultiHeadAttention({.width = 8, .heads = 4, .key_heads = 3}, construction.child("a")), ValueError);
  EXPECT_THROW(Embedding({.vocabulary = 0, .width = 3}, construction.child("b")), ValueError);
  EXPECT_THROW(LayerNorm(0, 1e-5, construction.child("c")), ValueError);
  for (const char* variant : {"2-16-4-24-30", "2-16-4-24-30-sum", "large", "2-16-4-24-mean"}) {
    EXPECT_THROW(make_network({"bert", variant, {9}, 2}, device, 1), ValueError) << variant;
  }
  EXPECT_THROW(make_network({"bert", "base", {9, 3}, 2}, device, 1), ValueError);
  EXPECT_THROW(make_network({"vit", "ti9", {32, 32, 3}, 2}, device, 1), ValueError);
  EXPECT_THROW(make_network({"vit", "ti16", {8, 8, 3}, 2}, device, 1), ValueError);
  EXPECT_THROW(make_network({"llama", "2-16-4-2-24", {9}, 2}, device, 1), ValueError);
  const auto network = make_network({"bert", "1-8-2-12-9-mean", {6}, 2}, device, 1);
  graph::Graph graph(device);
  EXPECT_THROW(network->forward(graph.input("ids", {2, 7}, DType::i32), {}), ShapeError) << "longer than its positions";
  EXPECT_THROW(models::language_logits(*network, graph.input("ids", {2, 5}, DType::i32), {}), ValueError);
}

}  // namespace
}  // namespace rtl::layers
