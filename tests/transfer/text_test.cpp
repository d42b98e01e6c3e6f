// Texts through all of transfer: what networks of tokens learn, every strategy on them, and what files keep.
#include <gtest/gtest.h>

#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"
#include "rtl/data/load.hpp"
#include "rtl/data/text_encoder.hpp"
#include "rtl/transfer/metrics.hpp"
#include "rtl/transfer/strategies.hpp"
#include "support/random.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using testing::Folder;
using testing::quick;

/// Texts of words of which some say the class: "good" or "bad", among others of all lengths.
std::string reviews(int count, std::uint64_t seed) {
  RandomSequence random(seed, 1);
  std::string text;
  for (int i = 0; i < count; ++i) {
    const bool good = i % 2 == 0;
    text += good ? "1" : "0";
    const auto words = 2 + random.below(6), place = random.below(words);
    for (std::uint64_t w = 0; w < words; ++w) {
      text += w == place ? (good ? " good" : " bad") : " w" + std::to_string(random.below(9));
    }
    text += "\n";
  }
  return text;
}

data::TrainTest load_reviews(const Folder& folder, const std::string& more, const Device& device) {
  const std::string path = folder.path() + "/reviews.txt";
  if (!std::filesystem::exists(path)) io::write_file(path, reviews(80, test::seed()));
  return data::load("text:" + path + "?test_fraction=0.25" + more, device);
}

StrategyOptions small_options(const data::Dataset& source_data) {
  StrategyOptions options;
  options.model = "text_bag:6-5";
  options.source_data = &source_data;
  return options;
}

TrainingOptions longer() {
  TrainingOptions options = quick(30);
  options.optimizer = OptimizerKind::adam;
  options.learning_rate = 0.02;
  options.batch_size = 16;
  return options;
}

TEST(TextTransfer, LearnsWords) {
  for (const Device& device : testing::devices()) {
    const Folder folder;
    const data::TrainTest parts = load_reviews(folder, "", device);
    StrategyOptions options;
    EXPECT_EQ(score(fit("scratch", {}, parts.train, longer(), options).outputs(parts.test), parts.test).accuracy, 1.0)
        << "text_bag is what learns from tokens";
  }
}

TEST(TextTransfer, RunsEveryStrategyAndKeepsItsEncoder) {
  const Device device = Device::cpu(1);
  const Folder folder;
  const data::TrainTest parts = load_reviews(folder, "", device);
  const auto network =
      layers::make_network({"text_bag", "7-4", parts.train.sample_shape(), 2, parts.train.vocabulary}, device, 3);
  const FrozenSource source(layers::clone(*network, device));
  for (const Strategy* strategy : testing::library_strategies()) {
    const StrategyInfo& info = strategy->info();
    SCOPED_TRACE(info.name);
    const std::vector<FrozenSource> sources = testing::sources_for(info, source);
    const Fitted fitted = fit(info.name, sources, parts.train, quick(2), small_options(parts.train));
    ASSERT_NE(fitted.inputs().text, nullptr);
    const std::string file = folder.path() + "/model.safetensors";
    fitted.save(file);
    const Fitted loaded = Fitted::load(file, device);
    ASSERT_NE(loaded.inputs().text, nullptr);
    const data::TrainTest again = data::load(parts.train.name + "&words=2", device, {.text = loaded.inputs().text});
    EXPECT_EQ(again.test.input_hash(), parts.test.input_hash());
    EXPECT_TRUE(testing::same_bytes(loaded.outputs(again.test).to_vector<float>(),
                                    fitted.outputs(parts.test).to_vector<float>()));
  }
}

TEST(TextTransfer, ComputesInBf16) {
  const Device device = Device::cpu(1);
  const Folder folder;
  const data::TrainTest parts = load_reviews(folder, "", device);
  TrainingOptions options = longer();
  options.precision = Precision::bf16;
  const Fitted fitted = fit("scratch", {}, parts.train, options, small_options(parts.train));
  EXPECT_EQ(score(fitted.outputs(parts.test), parts.test).accuracy, 1.0);
}

TEST(TextTransfer, SaysWhatDoesNotGoTogether) {
  const Device device = Device::cpu(1);
  const Folder folder;
  const data::TrainTest parts = load_reviews(folder, "", device), bag = load_reviews(folder, "&encode=bag", device);
  const FrozenSource images(testing::make("resnet_cifar", "8", {8, 8, 3}, 2, 3, device));
  const auto fault = [](const auto& call) -> std::string {
    try {
      call();
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  };
  const std::string wrong = fault([&] { (void)images.features(parts.train); });
  EXPECT_NE(wrong.find("are tokens of texts, but resnet_cifar:8 takes images"), std::string::npos) << wrong;
  StrategyOptions options;
  options.model = "mlp:4";
  const std::string numbers = fault([&] { (void)fit("scratch", {}, parts.train, quick(1), options); });
  EXPECT_NE(numbers.find("mlp:4 takes numbers, and not tokens"), std::string::npos) << numbers;
  options.model = "text_bag";
  EXPECT_NE(fault([&] { (void)fit("scratch", {}, bag.train, quick(1), options); }).find("takes tokens"),
            std::string::npos);
  options.model = "";
  options.normalization = data::Normalization::standardize;
  EXPECT_NE(fault([&] { (void)fit("scratch", {}, parts.train, quick(1), options); }).find("tokens, which take none"),
            std::string::npos);
}

TEST(TextTransfer, DoesNotStandardiseWordCounts) {
  const Device device = Device::cpu(1);
  const Folder folder;
  const data::TrainTest bag = load_reviews(folder, "&encode=bag", device);
  EXPECT_EQ(data::fit_normalization(bag.train, data::Normalization::automatic).kind, data::Normalization::none);
  EXPECT_EQ(data::fit_normalization(bag.train, data::Normalization::standardize).kind,
            data::Normalization::standardize);
}

}  // namespace
}  // namespace rtl::transfer
