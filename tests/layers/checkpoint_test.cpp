#include "rtl/layers/checkpoint.hpp"

#include <gtest/gtest.h>

#include "rtl/io/safetensors.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/layers/models.hpp"
#include "support/devices.hpp"
#include "support/random_tensor.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::layers {
namespace {

std::vector<std::vector<float>> values(Network& network) {
  std::vector<std::vector<float>> all;
  for (const NamedParameter& parameter : network.state().parameters) {
    all.push_back(parameter.value().to_vector<float>());
  }
  for (const NamedBuffer& buffer : network.state().buffers) all.push_back(buffer.value().to_vector<float>());
  return all;
}

/// The tensors of a network as a foreign file has them: no metadata. `rename` changes names.
void write_foreign(
    const std::string& path, Network& network,
    const std::function<std::string(std::string)>& rename = [](std::string name) { return name; },
    const io::Metadata& metadata = {}) {
  std::vector<io::NamedView> tensors;
  for (const NamedParameter& parameter : network.state().parameters) {
    tensors.emplace_back(rename(parameter.name), parameter.value());
  }
  for (const NamedBuffer& buffer : network.state().buffers) tensors.emplace_back(rename(buffer.name), buffer.value());
  io::write_safetensors(path, tensors, metadata);
}

std::string fault(const std::function<void()>& call) {
  try {
    call();
  } catch (const FormatError& error) {
    return error.what();
  }
  return "no FormatError";
}

const Architecture every_kind[] = {{"paper_cnn", "", {32, 32, 3}, 10},
                                   {"paper_cnn", "h1", {28, 28, 1}, 7},
                                   {"paper_cnn", "4-5-6-7", {40, 40, 2}, 3},
                                   {"mlp", "12-9", {33}, 4},
                                   {"resnet_cifar", "20", {32, 32, 3}, 100},
                                   {"paper_demo", "", {8, 8, 3}, 5},
                                   {"paper_demo", "h", {12, 12, 2}, 5},
                                   {"transformer", "small", {32, 32, 3}, 10},
                                   {"transformer", "text-50-16-2-8-20-24", {12}, 3, 50},
                                   {"vit", "8-64-2-1-40", {24, 24, 3}, 5},
                                   {"bert", "2-64-1-40-50-mean", {16}, 2, 50},
                                   {"bert", "2-64-1-40-50-pooler", {16}, 2, 50},
                                   {"llama", "2-24-3-1-40-50", {512}, 2, 50},
                                   {"llama", "2-24-3-3-40-50-hf", {512}, 3, 50},
                                   {"text_bag", "6", {256}, 3, 20},
                                   {"text_bag", "6-5-4", {256}, 2, 20}};

/// Of millions of parameters, which take long.
const Architecture large_kinds[] = {{"resnet", "10", {224, 224, 3}, 5},
                                    {"resnet", "10-small", {32, 32, 1}, 3},
                                    {"efficientnet_lite", "0", {224, 224, 3}, 4},
                                    {"densenet", "121", {224, 224, 3}, 2}};

void expect_same_after_saving(const std::string& path, const Architecture& architecture, const Device& device) {
  const std::unique_ptr<Network> network = make_network(architecture, device, 3);
  save_network(path, *network, data::Normalization::imagenet, {{"epochs", "30"}});
  const LoadedNetwork loaded = load_network(path, device);
  EXPECT_EQ(loaded.network->architecture(), architecture) << architecture.to_string();
  EXPECT_EQ(values(*loaded.network), values(*network));
  EXPECT_EQ(loaded.normalization, data::Normalization::imagenet);
  EXPECT_EQ(loaded.metadata.at("epochs"), "30");
}

TEST(Checkpoint, ReturnsWhatWasSaved) {
  const test::TemporaryFolder folder;
  for (const Device& device : test::devices()) {
    for (const Architecture& architecture : every_kind) {
      expect_same_after_saving(folder / "network.safetensors", architecture, device);
    }
  }
  for (const Architecture& architecture : large_kinds) {
    expect_same_after_saving(folder / "network.safetensors", architecture, Device::cpu());
  }
}

TEST(Checkpoint, KeepsInputsThatTensorsDoNotShow) {
  const test::TemporaryFolder folder;
  const Device device = Device::cpu();
  const Architecture odd[] = {
      {"paper_cnn", "h0", {24, 50, 3}, 10}, {"resnet_cifar", "8", {64, 48, 1}, 10}, {"mlp", "5", {4, 4, 3}, 10}};
  for (const Architecture& architecture : odd) {
    save_network(folder / "odd", *make_network(architecture, device, 1), {});
    EXPECT_EQ(load_network(folder / "odd", device).network->architecture(), architecture) << architecture.to_string();
  }
}

TEST(Checkpoint, RecognisesForeignFiles) {
  const test::TemporaryFolder folder;
  const Device device = Device::cpu();
  for (const Architecture& architecture : every_kind) {
    const std::unique_ptr<Network> network = make_network(architecture, device, 3);
    write_foreign(folder / "plain", *network);
    write_foreign(folder / "prefixed", *network, [](const std::string& name) { return "module." + name; });
    for (const char* name : {"plain", "prefixed"}) {
      const LoadedNetwork loaded = load_network(folder / name, device);
      EXPECT_EQ(loaded.network->architecture(), architecture) << architecture.to_string();
      EXPECT_EQ(values(*loaded.network), values(*network));
      EXPECT_FALSE(loaded.normalization);
    }
    EXPECT_EQ(load_network(folder / "plain", device, architecture.name).network->architecture(), architecture);
    EXPECT_EQ(load_network(folder / "plain", device, architecture.to_string()).network->architecture(), architecture);
  }
  for (const Architecture& architecture : large_kinds) {
    write_foreign(folder / "large", *make_network(architecture, device, 3));
    EXPECT_EQ(load_network(folder / "large", device).network->architecture(), architecture) << architecture.to_string();
  }
}

TEST(Checkpoint, RecognisesTheBigCnn) {
  const test::TemporaryFolder folder;
  const Device device = Device::cpu();
  const std::unique_ptr<Network> network = models::paper_big_cnn({.seed = 2}, device);
  write_foreign(folder / "big", *network);
  EXPECT_EQ(load_network(folder / "big", device).network->architecture(), network->architecture());
}

TEST(Checkpoint, ConvertsFloatingTypes) {
  const test::TemporaryFolder folder;
  const Device device = Device::cpu();
  const std::unique_ptr<Network> network = models::mlp({.inputs = 3}, device);
  std::vector<Tensor> halves;
  std::vector<io::NamedView> tensors;
  for (const NamedParameter& parameter : network->state().parameters) {
    Tensor& half = halves.emplace_back(parameter.value().shape(), DType::bf16, device);
    kernels::cast(device, parameter.value(), half);
    kernels::cast(device, half, parameter.value());
  }
  for (std::size_t i = 0; i < halves.size(); ++i) tensors.emplace_back(network->state().parameters[i].name, halves[i]);
  io::write_safetensors(folder / "half", tensors);
  EXPECT_EQ(values(*load_network(folder / "half", device).network), values(*network));
  const LoadedNetwork wide = load_network(folder / "half", device, std::nullopt, DType::f64);
  EXPECT_EQ(wide.network->dtype(), DType::f64);
}

TEST(Checkpoint, SaysWhyAFileFitsNothing) {
  const test::TemporaryFolder folder;
  const Device device = Device::cpu();
  const std::unique_ptr<Network> resnet = models::resnet_cifar({.depth = 8}, device);
  write_foreign(folder / "renamed", *resnet,
                [](std::string name) { return name == "layer2.0.bn1.running_mean" ? "layer2.0.bn1.mean" : name; });
  const std::string text = fault([&] { load_network(folder / "renamed", device); });
  EXPECT_NE(text.find("renamed: "), std::string::npos) << text;
  EXPECT_NE(
      text.find("nearest is resnet_cifar:8: 36 of 37 tensors fit; missing layer2.0.bn1.running_mean [32]; unexpected "
                "layer2.0.bn1.mean [32]"),
      std::string::npos)
      << text;
  EXPECT_NE(text.find("paper_cnn: "), std::string::npos) << text;
  EXPECT_NE(text.find("mlp: fc1.weight is missing"), std::string::npos) << text;

  write_foreign(folder / "resnet", *resnet);
  EXPECT_NE(fault([&] { load_network(folder / "resnet", device, "resnet_cifar:20"); }).find("holds resnet_cifar:8"),
            std::string::npos);
  EXPECT_NE(fault([&] { load_network(folder / "resnet", device, "mlp"); }).find("do not fit mlp"), std::string::npos);
  EXPECT_NE(fault([&] { load_network(folder / "resnet", device, "unheard_of"); }).find("'unheard_of' is no"),
            std::string::npos);
}

TEST(Checkpoint, AHeadAloneIsALinearClassifier) {
  const test::TemporaryFolder folder;
  const Device device = Device::cpu();
  const std::unique_ptr<Network> linear = models::mlp({.inputs = 7, .hidden = {}, .classes = 3, .seed = 2}, device);
  write_foreign(folder / "foreign", *linear,
                [](const std::string& name) { return "fc" + name.substr(name.find('.')); });
  save_network(folder / "own", *linear, {});
  for (const char* name : {"foreign", "own"}) {
    const LoadedNetwork loaded = load_network(folder / name, device);
    EXPECT_EQ(loaded.network->architecture(), linear->architecture()) << name;
    EXPECT_EQ(values(*loaded.network), values(*linear));
  }
}

TEST(Checkpoint, RefusesMetadataThatContradictsTheTensors) {
  const test::TemporaryFolder folder;
  const Device device = Device::cpu();
  const std::unique_ptr<Network> network = models::paper_cnn({.size = "4-4-4-4"}, device);
  const auto same = [](std::string name) { return name; };
  const auto load = [&](const io::Metadata& metadata) {
    write_foreign(folder / "file", *network, same, metadata);
    return fault([&] { load_network(folder / "file", device); });
  };
  EXPECT_NE(load({{"architecture", "mlp"}}).find("do not fit mlp"), std::string::npos);
  EXPECT_NE(load({{"architecture", "paper_cnn"}, {"input", "1048576,1048576,3"}}).find("does not fit inputs"),
            std::string::npos);
  EXPECT_NE(load({{"architecture", "paper_cnn"}, {"input", "3072"}}).find("does not fit inputs"), std::string::npos);
  for (const char* input : {"", "32,32", "a", "32,32,3,1", "-1", "32,,3", "32,32,3,"}) {
    EXPECT_NE(load({{"input", input}}), "no FormatError") << input;
  }
}

TEST(Checkpoint, MetadataCannotAskForMorePositionsThanTheTensorsHave) {
  const test::TemporaryFolder folder;
  const Device device = Device::cpu();
  const auto same = [](std::string name) { return name; };
  const std::unique_ptr<Network> network = models::transformer({.input = {8, 8, 3}}, device);
  for (const char* input : {"1048576,1048576,3", "1099511627776"}) {
    write_foreign(folder / "file", *network, same, {{"architecture", "transformer"}, {"input", input}});
    EXPECT_NE(fault([&] { load_network(folder / "file", device); }).find("pos_embed is"), std::string::npos) << input;
  }
}

TEST(Checkpoint, FillsANetworkOrLeavesItAsItWas) {
  const test::TemporaryFolder folder;
  const Device device = Device::cpu();
  const std::unique_ptr<Network> source = models::resnet_cifar({.depth = 8, .seed = 1}, device);
  const std::unique_ptr<Network> target = models::resnet_cifar({.depth = 8, .seed = 2}, device);
  write_foreign(folder / "file", *source);
  io::load_safetensors(folder / "file", target);
  EXPECT_EQ(values(*source), values(*target));
  const std::unique_ptr<Network> other = models::resnet_cifar({.depth = 8, .classes = 11, .seed = 2}, device);
  const std::vector<std::vector<float>> before = values(*other);
  EXPECT_THROW(io::load_safetensors(folder / "file", other), FormatError);
  EXPECT_EQ(values(*other), before);
  EXPECT_THROW(io::load_safetensors(folder / "absent", target), IoError);
}

}  // namespace
}  // namespace rtl::layers
