// Checkpoints of several files with an index, and loading a part of a checkpoint.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <algorithm>

#include "rtl/core/error.hpp"
#include "rtl/io/file.hpp"
#include "rtl/io/safetensors.hpp"
#include "rtl/layers/checkpoint.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::layers {
namespace {

const Architecture small{"mlp", "5-4", {6}, 3};

std::vector<std::vector<float>> values(Network& network) {
  std::vector<std::vector<float>> all;
  for (const NamedParameter& parameter : network.state().parameters) {
    all.push_back(parameter.value().to_vector<float>());
  }
  return all;
}

/// The tensors of a network in two files, and their index.
class Sharded : public testing::Test {
 protected:
  Sharded() {
    std::vector<io::NamedView> parts[2];
    std::string map;
    const ModuleState state = network_->state();
    for (std::size_t i = 0; i < state.parameters.size(); ++i) {
      const NamedParameter& parameter = state.parameters[i];
      parts[i % 2].emplace_back(parameter.name, parameter.value());
      map += fmt::format("{}\"{}\": \"part-{}.safetensors\"", i > 0 ? ", " : "", parameter.name, i % 2);
    }
    for (int i = 0; i < 2; ++i) io::write_safetensors(folder_ / fmt::format("part-{}.safetensors", i), parts[i]);
    write_index("{" + map + "}");
  }
  void write_index(const std::string& map) {
    io::write_file(index_, "{\"metadata\": {\"total_size\": 1}, \"weight_map\": " + map + "}");
  }
  std::string fault() {
    try {
      (void)load_network(index_, Device::cpu(1));
    } catch (const FormatError& error) {
      return error.what();
    }
    return "no FormatError";
  }

  test::TemporaryFolder folder_;
  std::string index_ = folder_ / "model.safetensors.index.json";
  std::unique_ptr<Network> network_ = make_network(small, Device::cpu(1), 3);
};

TEST_F(Sharded, IsReadAsOneFile) {
  const LoadedNetwork loaded = load_network(index_, Device::cpu(1));
  EXPECT_EQ(loaded.network->architecture(), small);
  EXPECT_EQ(values(*loaded.network), values(*network_));
  const auto other = make_network(small, Device::cpu(1), 4);
  io::load_safetensors(index_, other);
  EXPECT_EQ(values(*other), values(*network_));
}

TEST_F(Sharded, RefusesHostileIndexes) {
  for (const char* file : {"../part-0.safetensors", "/etc/passwd", "", ".", "..", "a/b", "part-0.safetensors\\u0000"}) {
    write_index(fmt::format("{{\"fc1.weight\": \"{}\"}}", file));
    EXPECT_NE(fault().find("which is none of its folder"), std::string::npos) << file << ": " << fault();
  }
  write_index("{\"fc1.weight\": \"part-7.safetensors\"}");
  EXPECT_NE(fault().find("which is not beside it"), std::string::npos) << fault();
  write_index("{\"fc9.weight\": \"part-0.safetensors\"}");
  EXPECT_NE(fault().find("has the tensor 'fc9.weight', but it has not"), std::string::npos) << fault();
  for (const char* map :
       {"{}", "[]", "7", "{\"fc1.weight\": 7}", "{\"fc1.weight\": [\"a\"]}", "{\"a\": \"b\", \"a\": \"c\"}"}) {
    write_index(map);
    EXPECT_NE(fault(), "no FormatError") << map;
  }
  for (const char* text : {"", "{", "{}", "null", "[[[[", "{\"weight_map\""}) {
    io::write_file(index_, std::string_view(text));
    EXPECT_NE(fault(), "no FormatError") << text;
  }
  io::write_file(index_, std::string(100000, '['));
  EXPECT_NE(fault(), "no FormatError");
}

TEST_F(Sharded, NamesADamagedPart) {
  io::write_file(folder_ / "part-1.safetensors", std::string_view("damaged"));
  EXPECT_NE(fault().find("part-1.safetensors"), std::string::npos) << fault();
}

TEST(PartialLoad, LeavesWhatDoesNotFitAsItWas) {
  const test::TemporaryFolder folder;
  const Device device = Device::cpu(1);
  const auto source = make_network({"resnet_cifar", "8", {8, 8, 3}, 7}, device, 1);
  save_network(folder / "source", *source, data::Normalization::imagenet);
  const auto target = make_network({"resnet_cifar", "8", {8, 8, 3}, 4}, device, 2);
  const auto before = target->state().parameters.back().value().to_vector<float>();
  const PartialLoad report = load_matching(folder / "source", *target);
  EXPECT_EQ(report.misshaped.size(), 2U) << report.to_string();
  EXPECT_TRUE(report.missing.empty());
  EXPECT_TRUE(report.unexpected.empty());
  EXPECT_EQ(report.loaded.size() + 2, target->state().parameters.size() + target->state().buffers.size());
  EXPECT_EQ(target->state().parameters.back().value().to_vector<float>(), before);
  EXPECT_EQ(target->state().parameters.front().value().to_vector<float>(),
            source->state().parameters.front().value().to_vector<float>());
  EXPECT_NE(report.to_string().find("linear.bias is f32 [7], not [4]"), std::string::npos) << report.to_string();
}

TEST(PartialLoad, TakesWhatPatternsMatch) {
  const test::TemporaryFolder folder;
  const Device device = Device::cpu(1);
  const auto source = make_network(small, device, 1), target = make_network(small, device, 2);
  save_network(folder / "source", *source, {});
  const auto before = values(*target);
  const PartialLoad report = load_matching(folder / "source", *target, {"fc1.*", "head.b?as"});
  EXPECT_EQ(report.loaded, (std::vector<std::string>{"fc1.bias", "fc1.weight", "head.bias"}));
  EXPECT_EQ(report.kept, (std::vector<std::string>{"fc2.bias", "fc2.weight", "head.weight"}));
  const auto after = values(*target), wanted = values(*source);
  const ModuleState state = target->state();
  for (std::size_t i = 0; i < after.size(); ++i) {
    const std::string& name = state.parameters[i].name;
    const bool loaded = std::find(report.loaded.begin(), report.loaded.end(), name) != report.loaded.end();
    EXPECT_EQ(after[i], loaded ? wanted[i] : before[i]) << name;
  }
  EXPECT_THROW(load_matching(folder / "source", *target, {"layer*"}), FormatError);
  EXPECT_EQ(values(*target), after);
}

TEST(PartialLoad, SaysWhatIsMissingAndUnexpected) {
  const test::TemporaryFolder folder;
  const Device device = Device::cpu(1);
  const auto source = make_network({"mlp", "5", {6}, 3}, device, 1);
  save_network(folder / "source", *source, {});
  const auto target = make_network({"mlp", "5-4", {6}, 3}, device, 2);
  const PartialLoad report = load_matching(folder / "source", *target);
  EXPECT_EQ(report.loaded, (std::vector<std::string>{"fc1.bias", "fc1.weight", "head.bias"}));
  EXPECT_EQ(report.missing, (std::vector<std::string>{"fc2.weight [4, 5]", "fc2.bias [4]"}));
  EXPECT_EQ(report.misshaped.size(), 1U);
}

}  // namespace
}  // namespace rtl::layers
