// The claims of the parts of l2sp that are done in seconds, and its networks on images of noise.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "rtl/core/random.hpp"
#include "studies/l2sp/parts.hpp"
#include "studies/numpy_random.hpp"
#include "studies/run_study.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::test {
namespace {

TEST(L2SP, PublishedCurvesToTheirLastDigit) {
  const studies::Reproduction result = run_part("l2sp", "published");
  bool found = false;
  for (const studies::Claim& claim : result.claims) {
    if (!claim.name.starts_with("gamma 2: largest deviation")) continue;
    found = true;
    EXPECT_LT(claim.measured, 1e-6);
  }
  EXPECT_TRUE(found);
}

TEST(L2SP, TheAdvisorKeepsUpWithTheBestRules) { run_part("l2sp", "advisor"); }

TEST(L2SP, TheDecisionFlips) { run_part("l2sp", "decision"); }

/// Ten classes in few and small files: 28 x 28 digits of noise with a bright bar, CIFAR records of noise.
void write_images(const TemporaryFolder& folder) {
  RandomSequence random(7);
  const auto big_endian = [](std::uint32_t value) {
    return std::string{static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
                       static_cast<char>(value)};
  };
  for (const auto& [part, count] : {std::pair{"train", 200}, std::pair{"t10k", 20}}) {
    std::string images =
                    big_endian(0x803) + big_endian(static_cast<std::uint32_t>(count)) + big_endian(28) + big_endian(28),
                labels = big_endian(0x801) + big_endian(static_cast<std::uint32_t>(count));
    for (int i = 0; i < count; ++i) {
      labels += static_cast<char>(i % 10);
      for (int pixel = 0; pixel < 784; ++pixel) {
        images += static_cast<char>(pixel / 56 == i % 10 ? 200 : random.below(100));
      }
    }
    folder.write(std::string("images/mnist/") + part + "-images-idx3-ubyte", images);
    folder.write(std::string("images/mnist/") + part + "-labels-idx1-ubyte", labels);
  }
  for (const auto& [part, count] : {std::pair{"cifar10_train_30", 30}, std::pair{"cifar10_test_20", 20}}) {
    std::string records;
    for (int i = 0; i < count; ++i) {
      records += static_cast<char>(i % 10);
      for (int pixel = 0; pixel < 3072; ++pixel) records += static_cast<char>(random.below(256));
    }
    folder.write(std::string("images/cifar10/") + part + ".bin", records);
  }
}

/// What a run of the networks finds, and what it notes.
struct NetworkOutcome {
  studies::Reproduction result;
  std::vector<std::string> notes;
};

NetworkOutcome run_networks(const TemporaryFolder& folder, std::vector<double> fractions) {
  NetworkOutcome outcome;
  studies::RunOptions options;
  options.note = [&](const std::string& text) { outcome.notes.push_back(text); };
  const studies::l2sp::NetworkOptions networks{.wanted = true,
                                               .data = folder.path(),
                                               .state = folder / "state",
                                               .resume = true,
                                               .seeds = 2,
                                               .target_fractions = std::move(fractions)};
  studies::l2sp::networks(outcome.result, options, networks);
  return outcome;
}

/// Claims and figures, without the protocol.
std::string findings(const studies::Reproduction& result) {
  studies::Json json = studies::to_json(result);
  json.erase("protocol");
  return json.dump();
}

TEST(L2SPNetworks, KeepFinishedTrainingsAndGoOn) {
  const TemporaryFolder folder;
  write_images(folder);
  const NetworkOutcome first = run_networks(folder, {.5, 1});
  EXPECT_TRUE(first.notes.empty());
  // For each data set: three claims and two figures, a claim for each fraction, and a figure of them.
  EXPECT_EQ(first.result.claims.size(), 2u * (3 + 2));
  ASSERT_EQ(first.result.figures.size(), 2u * (2 + 1));
  EXPECT_EQ(first.result.figures[2].name, "fractions_MNIST");
  EXPECT_EQ(first.result.figures[2].series.size(), 2u);
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "state")) {
    if (entry.path().filename() != "protocol.json") files.push_back(entry.path());
  }
  ASSERT_EQ(files.size(), 2u * 2 * (3 + 1));  // data sets, seeds, decays and scratch
  // Some finished trainings are lost, one is a copy of another: the result is the same.
  std::sort(files.begin(), files.end());
  std::filesystem::remove(files[0]);
  std::filesystem::copy_file(files[2], files[1], std::filesystem::copy_options::overwrite_existing);
  const NetworkOutcome second = run_networks(folder, {.5, 1});
  ASSERT_EQ(second.notes.size(), 1u);
  EXPECT_NE(second.notes[0].find("is a copy of another result"), std::string::npos) << second.notes[0];
  EXPECT_EQ(findings(second.result), findings(first.result));
  // Another setting leaves them as they are.
  try {
    run_networks(folder, {.5});
    FAIL() << "took over the trainings of another setting";
  } catch (const ValueError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("target fractions 0.5"), std::string::npos) << text;
    EXPECT_NE(text.find("state-2"), std::string::npos) << text;
  }
  EXPECT_EQ(findings(run_networks(folder, {.5, 1}).result), findings(first.result));
}

TEST(L2SPNetworks, StopBetweenTrainingsAndTellWhatTheyKeep) {
  const TemporaryFolder folder;
  write_images(folder);
  studies::Reproduction result;
  studies::RunOptions options;
  options.stop = [] { return true; };
  std::vector<std::string> kept;
  options.keeps = [&](const std::string& where, const std::string& results) { kept = {where, results}; };
  const studies::l2sp::NetworkOptions networks{
      .wanted = true, .datasets = {"mnist"}, .data = folder.path(), .state = folder / "state"};
  EXPECT_THROW(studies::l2sp::networks(result, options, networks), Error);
  EXPECT_EQ(kept, (std::vector<std::string>{folder / "state", "trainings"}));
}

TEST(NumpyRandom, GivesTheLegacyNumbers) {
  studies::NumpyRandom random(42);
  for (const double expected : {0.4967141530112327, -0.13826430117118466, 0.6476885381006925, 1.5230298564080254}) {
    EXPECT_DOUBLE_EQ(random.normal(), expected);
  }
}

}  // namespace
}  // namespace rtl::test
