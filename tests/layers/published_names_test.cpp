// The tensors' names of torchvision, timm and Hugging Face for one network, what language models have beside it, and
// what the config.json beside a file says.
#include <gtest/gtest.h>

#include <fstream>
#include <functional>

#include "rtl/core/error.hpp"
#include "rtl/io/safetensors.hpp"
#include "rtl/layers/checkpoint.hpp"
#include "rtl/layers/models.hpp"
#include "support/devices.hpp"
#include "support/random_tensor.hpp"
#include "support/recorded.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::layers {
namespace {

using Values = std::map<std::string, Tensor>;
using Pairs = std::vector<std::pair<std::string, std::string>>;

Values values_of(Network& network) {
  Values values;
  for (const NamedParameter& one : network.state().parameters) values.emplace(one.name, one.value().clone());
  return values;
}

std::string replaced(std::string name, const Pairs& pairs) {
  for (const auto& [from, to] : pairs) {
    if (const auto at = name.find(from); at != std::string::npos) name.replace(at, from.size(), to);
  }
  return name;
}

/// Part i of three of a tensor's rows.
Tensor third(const Tensor& tensor, std::int64_t i, const Device& device) {
  const std::vector<float> all = tensor.to_vector<float>();
  const std::size_t size = all.size() / 3, begin = static_cast<std::size_t>(i) * size;
  std::vector<std::int64_t> extents;
  for (int axis = 0; axis < tensor.shape().rank(); ++axis) extents.push_back(tensor.shape()[axis]);
  extents[0] /= 3;
  return Tensor::from(std::vector<float>(all.data() + begin, all.data() + begin + size), Shape(extents), device);
}

/// Hugging Face has a product each for queries, keys and values, where timm has one.
Values hugging_face_vit(const Values& timm, const Device& device) {
  const Pairs pairs{{"patch_embed.proj", "vit.embeddings.patch_embeddings.projection"},
                    {"cls_token", "vit.embeddings.cls_token"},
                    {"pos_embed", "vit.embeddings.position_embeddings"},
                    {"blocks.", "vit.encoder.layer."},
                    {"attn.proj", "attention.output.dense"},
                    {"norm1", "layernorm_before"},
                    {"norm2", "layernorm_after"},
                    {"mlp.fc1", "intermediate.dense"},
                    {"mlp.fc2", "output.dense"},
                    {"head.", "classifier."}};
  Values values;
  for (const auto& [name, tensor] : timm) {
    const std::string other = name.starts_with("norm.") ? "vit.layernorm." + name.substr(5) : replaced(name, pairs);
    if (other.find("attn.qkv") == std::string::npos) {
      values.emplace(other, tensor.clone());
      continue;
    }
    for (int i = 0; i < 3; ++i) {
      const char* part[] = {"query", "key", "value"};
      values.emplace(replaced(other, {{"attn.qkv", std::string("attention.attention.") + part[i]}}),
                     third(tensor, i, device));
    }
  }
  return values;
}

Values torchvision_vit(const Values& timm, const Pairs& perceptron) {
  const Pairs pairs{{"patch_embed.proj", "conv_proj"},
                    {"cls_token", "class_token"},
                    {"pos_embed", "encoder.pos_embedding"},
                    {"blocks.", "encoder.layers.encoder_layer_"},
                    {"attn.qkv.", "self_attention.in_proj_"},
                    {"attn.proj", "self_attention.out_proj"},
                    {"norm1", "ln_1"},
                    {"norm2", "ln_2"},
                    {"head.", "heads.head."}};
  Values values;
  for (const auto& [name, tensor] : timm) {
    const std::string other = name.starts_with("norm.") ? "encoder.ln." + name.substr(5) : replaced(name, pairs);
    values.emplace(replaced(other, perceptron), tensor.clone());
  }
  return values;
}

class PublishedNames : public testing::Test {
 protected:
  std::string write(const Values& values, const std::string& prefix = "") {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : values) names.push_back(prefix + name);
    std::vector<io::NamedView> views;
    std::size_t i = 0;
    for (const auto& [name, tensor] : values) views.emplace_back(names[i++], tensor);
    const std::string path = folder_ / "model.safetensors";
    io::write_safetensors(path, views);
    return path;
  }
  void configure(const std::string& json) { std::ofstream(folder_ / "config.json") << json; }
  std::string fault(const std::string& path) {
    try {
      load_network(path, device_);
    } catch (const FormatError& error) {
      return error.what();
    }
    return "";
  }
  /// A network whose vectors are no zeros and ones, as they are at first.
  std::unique_ptr<Network> network_of(const Architecture& architecture) {
    auto network = make_network(architecture, device_, 3);
    test::RandomTensors random(11);
    for (const NamedParameter& one : network->state().parameters) {
      copy_bytes(random.f32(one.value().shape(), device_), one.value());
    }
    return network;
  }

  const test::TemporaryFolder folder_;
  const Device device_ = Device::cpu(1);
};

TEST_F(PublishedNames, OfVisionTransformersMeanOneNetwork) {
  const auto network = network_of({"vit", "4-128-2-2-40", {12, 12, 3}, 5});
  const Values timm = values_of(*network);
  const Tensor x = test::RandomTensors(5).f32({3, 12, 12, 3}, device_);
  const std::vector<float> expected = test::forward(*network, x).to_vector<float>();
  std::vector<std::pair<std::string, Values>> all;
  all.emplace_back("hf", hugging_face_vit(timm, device_));
  all.emplace_back("torchvision", torchvision_vit(timm, {{"mlp.fc1", "mlp.0"}, {"mlp.fc2", "mlp.3"}}));
  all.emplace_back("torchvision011", torchvision_vit(timm, {{"mlp.fc1", "mlp.linear_1"}, {"mlp.fc2", "mlp.linear_2"}}));
  for (const auto& [naming, values] : all) {
    for (const char* prefix : {"", "module.", "_orig_mod.model."}) {
      SCOPED_TRACE(naming + " " + prefix);
      const LoadedNetwork loaded = load_network(write(values, prefix), device_);
      EXPECT_EQ(loaded.network->architecture().variant, "4-128-2-2-40-" + naming);
      EXPECT_EQ(loaded.network->architecture().classes, 5);
      const std::vector<float> found = test::forward(*loaded.network, x).to_vector<float>();
      ASSERT_EQ(found.size(), expected.size());
      for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-4) << i;
      const std::string own = folder_ / "own.safetensors";
      save_network(own, *loaded.network, {});
      EXPECT_EQ(load_network(own, device_).network->architecture(), loaded.network->architecture());
    }
  }
}

TEST_F(PublishedNames, OfTokenHeadsAreLeftOut) {
  const Tensor matrix = Tensor::zeros({30, 64}, DType::f32, device_);
  const Architecture llama{"llama", "2-64-8-4-24-30-hf", {16}, 0}, bert{"bert", "2-64-1-24-30-mean", {9}, 0};
  Values values = values_of(*network_of(llama));
  values.emplace("lm_head.weight", matrix.clone());
  values.emplace("layers.0.self_attn.rotary_emb.inv_freq", Tensor::zeros({4}, DType::f32, device_));
  const auto untied = load_network(write(values, "model."), device_).network;
  EXPECT_EQ(untied->architecture().variant, llama.variant + "-untied");
  graph::Graph graph(device_);
  EXPECT_THROW(models::language_logits(*untied, graph.input("ids", {2, 5}, DType::i32), {}), ValueError);
  const std::string own = folder_ / "own.safetensors";
  save_network(own, *untied, {});
  EXPECT_EQ(load_network(own, device_).network->architecture(), untied->architecture());
  values = values_of(*network_of(bert));
  Values old;  // as in the first published files of BERT
  for (const auto& [name, tensor] : values) {
    old.emplace(
        "bert." + replaced(name, {{"LayerNorm.weight", "LayerNorm.gamma"}, {"LayerNorm.bias", "LayerNorm.beta"}}),
        tensor.clone());
  }
  old.emplace("cls.predictions.transform.dense.weight", matrix.clone());
  old.emplace("cls.predictions.bias", Tensor::zeros({30}, DType::f32, device_));
  EXPECT_EQ(load_network(write(old), device_).network->architecture().variant, bert.variant);
}

TEST_F(PublishedNames, AConfigurationSaysHowManyHeads) {
  const std::string path = write(values_of(*network_of({"bert", "2-64-4-24-30-mean", {9}, 0})));
  EXPECT_EQ(load_network(path, device_).network->architecture().variant, "2-64-1-24-30-mean");
  configure(R"({"num_attention_heads": 4, "hidden_act": "gelu"})");
  EXPECT_EQ(load_network(path, device_).network->architecture().variant, "2-64-4-24-30-mean");
  configure(R"({"num_attention_heads": 5})");
  EXPECT_NE(fault(path), "");
  configure(R"({"num_attention_heads": "four"})");
  EXPECT_EQ(fault(path), "");
  configure("[1, 2");
  EXPECT_NE(fault(path).find("config.json"), std::string::npos);
}

TEST_F(PublishedNames, AConfigurationOfAnotherNetworkIsTold) {
  const std::string path = write(values_of(*network_of({"llama", "2-64-8-4-24-30-hf", {16}, 0})));
  for (const char* same : {R"({"rope_theta": 10000.0, "rope_scaling": null, "hidden_act": "silu"})",
                           R"({"rope_parameters": {"rope_theta": 10000, "rope_type": "default"}})"}) {
    configure(same);
    EXPECT_EQ(fault(path), "") << same;
  }
  for (const char* other : {R"({"rope_theta": 0.5})", R"({"rms_norm_eps": 2e-6})",
                            R"({"rope_scaling": {"rope_type": "llama3"}})", R"({"hidden_act": "gelu"})"}) {
    configure(other);
    EXPECT_NE(fault(path), "") << other;
  }
}

TEST_F(PublishedNames, AConfigurationSaysThetaAndEpsilon) {
  const std::string path = write(values_of(*network_of({"llama", "2-64-8-4-24-30-hf", {16}, 2})));
  configure(R"({"num_attention_heads": 4, "rms_norm_eps": 1e-06, "rope_parameters": {"rope_theta": 500000.0}})");
  const std::string variant = "2-64-4-2-24-30-hf-eps6-theta500000";
  const LoadedNetwork loaded = load_network(path, device_);
  EXPECT_EQ(loaded.network->architecture().variant, variant);
  const std::string own = folder_ / "own.safetensors";
  save_network(own, *loaded.network, {});
  EXPECT_EQ(load_network(own, device_).network->architecture().variant, variant);
  const Tensor ids = Tensor::from(std::vector<std::int32_t>{3, 14, 15, 9, 2, 6}, {1, 6}, device_);
  const std::vector<float> features = test::forward(*loaded.network, ids).to_vector<float>();
  configure(R"({"num_attention_heads": 4, "rms_norm_eps": 1e-06})");
  EXPECT_NE(test::forward(*load_network(path, device_).network, ids).to_vector<float>(), features);
}

}  // namespace
}  // namespace rtl::layers
