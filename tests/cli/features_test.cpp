// rtl features: a network's features as a file, with the labels of their rows.
#include <gtest/gtest.h>

#include <sstream>

#include "cli/program.hpp"
#include "rtl/data/load.hpp"
#include "rtl/io/npy.hpp"
#include "rtl/layers/checkpoint.hpp"
#include "rtl/transfer/source.hpp"

namespace rtl::test {
namespace {

const std::string glyphs = "glyphs:?classes=3&size=16&train=50&test=30";

Words features(const Words& more) {
  Words words = {"features", "--model", "source.safetensors", "--data", glyphs, "--threads", "1", "--out", "X.npy"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST(Features, AreTheSourcesOfThePartThatIsAskedFor) {
  const Workplace place;
  make_source(place);
  const Device device = Device::cpu(1);
  auto loaded = layers::load_network(place.path("source.safetensors"), device);
  const transfer::FrozenSource source(std::move(loaded.network), loaded.normalization);
  const data::TrainTest parts = data::load(glyphs, device);
  for (const char* part : {"train", "test"}) {
    const Outcome outcome = place.run(features({"--part", part, "--labels", "Y.npy", "--json", "f.json"}));
    ASSERT_EQ(outcome.code, 0) << outcome.errors;
    const data::Dataset& rows = std::string(part) == "train" ? parts.train : parts.test;
    const Tensor written = io::read_npy(place.path("X.npy"), device);
    const Tensor want = source.features(rows);
    ASSERT_EQ(written.dtype(), DType::f32);
    ASSERT_EQ(written.shape(), want.shape());
    EXPECT_EQ(written.to_vector<float>(), want.to_vector<float>());
    EXPECT_EQ(io::read_npy(place.path("Y.npy"), device).to_vector<std::int32_t>(),
              rows.labels.to_vector<std::int32_t>());
    const auto facts = place.json("f.json");
    EXPECT_EQ(facts.at("n"), rows.size());
    EXPECT_EQ(facts.at("p"), source.feature_count());
    EXPECT_EQ(facts.at("part"), part);
  }
}

TEST(Features, AreThoseBehindANamedLayer) {
  const Workplace place;
  make_source(place);
  const Device device = Device::cpu(1);
  const data::Dataset train = data::load(glyphs, device).train;
  const auto write = [&](const std::string& model) {
    return place.run({"features", "--model", model, "--data", glyphs, "--threads", "1", "--out", "X.npy"});
  };
  for (const char* layer : {"conv1", "conv2"}) {
    const Outcome outcome = write(std::string("source.safetensors?layer=") + layer);
    ASSERT_EQ(outcome.code, 0) << outcome.errors;
    auto loaded = layers::load_network(place.path("source.safetensors"), device);
    const transfer::FrozenSource source(std::move(loaded.network), loaded.normalization, {}, Precision::f32, layer);
    const Tensor want = source.features(train), written = io::read_npy(place.path("X.npy"), device);
    ASSERT_EQ(written.shape(), want.shape());
    EXPECT_EQ(written.to_vector<float>(), want.to_vector<float>());
  }
  const Outcome unknown = write("source.safetensors?layer=conv9");
  EXPECT_NE(unknown.code, 0);
  for (const char* part : {"conv9", "conv1", "conv2"}) {
    EXPECT_NE(unknown.errors.find(part), std::string::npos) << unknown.errors;
  }
}

TEST(Features, OfATableComeWithTheNamesOfItsClasses) {
  const Workplace place;
  place.write("trees.csv", "a,b,kind\n1,2,oak\n2,1,\"fir, old\"\n3,5,oak\n4,1,\"fir, old\"\n");
  const std::string trees = "csv:trees.csv?label=kind&test_fraction=0&split=train";
  ASSERT_EQ(
      place.run({"pretrain", "--data", trees, "--model", "mlp:4", "--epochs", "1", "--out", "m.safetensors"}).code, 0);
  const Outcome outcome =
      place.run({"features", "--model", "m.safetensors", "--data", trees, "--out", "X.npy", "--labels", "Y.csv"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_EQ(place.read("Y.csv"), "class\noak\n\"fir, old\"\noak\n\"fir, old\"\n");
  EXPECT_EQ(io::read_npy(place.path("X.npy"), Device::cpu(1)).shape(), (Shape{4, 4}));
}

TEST(Features, WrongUsageIsRefused) {
  const Workplace place;
  make_source(place);
  const std::pair<Words, const char*> cases[] = {
      {{"--part", "all"}, "--part"},
      {{"--labels", "Y.txt"}, "--labels: 'Y.txt' ends neither in .npy nor in .csv"},
      {{"--labels", "X.npy"}, "--labels"},
      {{"--precision", "f8"}, "f8"},
  };
  for (const auto& [more, message] : cases) {
    const Outcome outcome = place.run(features(more));
    EXPECT_EQ(outcome.code, 2) << outcome.errors;
    EXPECT_NE(outcome.errors.find(message), std::string::npos) << outcome.errors;
    EXPECT_FALSE(place.has("X.npy"));
  }
}

}  // namespace
}  // namespace rtl::test
