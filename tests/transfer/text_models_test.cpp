// Published language models as frozen sources of texts: against golden values, where the models are.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "rtl/core/error.hpp"
#include "rtl/data/load.hpp"
#include "rtl/data/text_encoder.hpp"
#include "rtl/io/npy.hpp"
#include "rtl/layers/checkpoint.hpp"
#include "rtl/transfer/source.hpp"
#include "support/paths.hpp"
#include "support/real_data.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::transfer {
namespace {

/// Where scripts/fetch-minilm puts it; empty if it is not there.
std::string minilm() {
  const auto variable = [](const char* name) {
    const char* const value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  std::string folder = variable("RTL_MINILM");
  if (folder.empty()) {
    const std::string cache = variable("XDG_CACHE_HOME");
    folder = (cache.empty() ? variable("HOME") + "/.cache" : cache) + "/rtl/minilm";
  }
  return std::filesystem::exists(folder + "/model.safetensors") ? folder : std::string();
}

#define RTL_NEEDS_MINILM() \
  if (minilm().empty()) GTEST_SKIP() << "NOT TESTED without MiniLM: scripts/fetch-minilm fetches it"

std::string golden(const std::string& name) { return test::source_folder() + "/tests/golden/minilm/" + name; }

FrozenSource source_of(const std::string& file, Precision precision = Precision::f32) {
  return FrozenSource(layers::load_network(file, Device::cpu()).network, {}, "source", precision);
}

data::Dataset texts(const std::string& file, const std::string& tokenizer, const std::string& more = "") {
  return data::load("text:" + file + "?label=none&tokenizer=" + tokenizer + more, Device::cpu()).train;
}

/// Rows of length 1.
std::vector<float> unit_rows(const Tensor& features) {
  std::vector<float> values = features.to_vector<float>();
  const auto width = static_cast<std::size_t>(features.extent(1));
  for (std::size_t begin = 0; begin < values.size(); begin += width) {
    double squares = 0;
    for (std::size_t i = 0; i < width; ++i) squares += static_cast<double>(values[begin + i]) * values[begin + i];
    for (std::size_t i = 0; i < width; ++i) values[begin + i] /= static_cast<float>(std::sqrt(squares));
  }
  return values;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    largest = std::max<double>(largest, std::abs(a[i] - b[i]));
  return largest;
}

TEST(TextModels, MiniLmEmbedsAsPublished) {
  RTL_NEEDS_MINILM();
  const FrozenSource source = source_of(minilm() + "/model.safetensors");
  EXPECT_EQ(source.architecture().to_string(), "bert:minilm");
  EXPECT_EQ(source.architecture().vocabulary, 30522);
  const std::vector<float> expected = io::read_npy(golden("embeddings.npy"), Device::cpu()).to_vector<float>();
  for (const char* tokenizer : {"/tokenizer.json", "/vocab.txt"}) {
    const data::Dataset sentences = texts(golden("sentences.txt"), minilm() + tokenizer);
    EXPECT_LT(largest_difference(unit_rows(source.features(sentences)), expected), 1e-4) << tokenizer;
  }
  const FrozenSource rounded = source_of(minilm() + "/model.safetensors", Precision::bf16);
  const data::Dataset sentences = texts(golden("sentences.txt"), minilm() + "/vocab.txt");
  EXPECT_LT(largest_difference(unit_rows(rounded.features(sentences)), expected), 0.02);
}

TEST(TextModels, MiniLmReadsAllGoldenSentences) {
  RTL_NEEDS_MINILM();
  RTL_NEEDS_REAL_DATA("golden/minilm_l6");
  const std::string folder = test::real_data("golden/minilm_l6");
  const data::Dataset sentences = texts(folder + "/sentences.txt", minilm() + "/tokenizer.json", "&length=48");
  std::vector<std::int32_t> expected = io::read_npy(folder + "/input_ids.npy", Device::cpu()).to_vector<std::int32_t>();
  for (std::int32_t& token : expected) token = token == 0 ? -1 : token;
  EXPECT_EQ(sentences.inputs.to_vector<std::int32_t>(), expected);
  const std::vector<float> embeddings = io::read_npy(folder + "/embeddings.npy", Device::cpu()).to_vector<float>();
  const Tensor features = source_of(minilm() + "/model.safetensors").features(sentences);
  EXPECT_LT(largest_difference(unit_rows(features), embeddings), 1e-4);
}

TEST(TextModels, FeaturesDoNotDependOnPaddingOrNeighbours) {
  RTL_NEEDS_REAL_DATA("models/stories260K.safetensors");
  const std::string models = test::real_data("models");
  const FrozenSource source = source_of(models + "/stories260K.safetensors");
  const test::TemporaryFolder folder;
  folder.write("a.txt",
               std::string("Once upon a time, there was a little girl.\nTim\nA big dog ran to the park and sat.\n"));
  folder.write("b.txt", std::string("Tim\n"));
  const std::string tokenizer = models + "/stories260K.vocab.tsv";
  const std::vector<float> all = source.features(texts(folder / "a.txt", tokenizer)).to_vector<float>();
  const std::vector<float> alone =
      source.features(texts(folder / "b.txt", tokenizer, "&length=100")).to_vector<float>();
  ASSERT_EQ(alone.size(), 64u);
  EXPECT_EQ(std::vector<float>(all.begin() + 64, all.begin() + 128), alone);
}

TEST(TextModels, RefusesWhatIsNotItsOwn) {
  RTL_NEEDS_REAL_DATA("models/stories260K.safetensors");
  const std::string models = test::real_data("models");
  const FrozenSource source = source_of(models + "/stories260K.safetensors");
  data::Dataset tokens = texts(golden("sentences.txt"), models + "/stories260K.vocab.tsv");
  tokens.vocabulary = 600;
  EXPECT_THROW((void)source.features(tokens), ShapeError) << "another vocabulary";
  const data::Dataset images = data::load("glyphs:?train=4&test=2", Device::cpu()).train;
  EXPECT_THROW((void)source.features(images), ValueError);
  const data::Dataset long_ones = texts(golden("sentences.txt"), models + "/stories260K.vocab.tsv", "&length=600");
  EXPECT_THROW((void)source.features(long_ones), ShapeError);
}

}  // namespace
}  // namespace rtl::transfer
