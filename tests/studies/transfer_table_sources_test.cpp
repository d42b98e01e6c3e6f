// What the transfer table hands over of a source: its network, its samples, or its features alone, and which strategies
// go with that.
#include <gtest/gtest.h>

#include <filesystem>

#include "rtl/core/random.hpp"
#include "rtl/io/npy.hpp"
#include "studies/transfer_table/material.hpp"
#include "studies/transfer_table/runs.hpp"
#include "support/gzip.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::test {
namespace {

namespace table = studies::transfer_table;
using table::Setting;
using table::Stress;

constexpr std::int64_t pictures = 150, words = 80;

/// Counts of words by the class of a picture, alike for all cameras.
void write_camera(const TemporaryFolder& folder, const std::string& camera, std::uint64_t seed) {
  RandomSequence random(seed);
  std::vector<std::uint8_t> counts;
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < pictures; ++i) {
    labels.push_back(static_cast<std::int32_t>(i % 10));
    for (std::int64_t word = 0; word < words; ++word) {
      counts.push_back(static_cast<std::uint8_t>(random.below(word % 10 == i % 10 ? 9 : 4)));
    }
  }
  const std::string path = "features/office_caltech10_surf/" + camera;
  std::filesystem::create_directories(folder / "features/office_caltech10_surf");
  const Device host = Device::cpu(1);
  io::write_npy(folder / "plain.npy", Tensor::from(counts, {pictures, words}, host));
  folder.write(path + "_X.npy.gz", gzip(content_of(folder / "plain.npy")));
  io::write_npy(folder / (path + "_y.npy"), Tensor::from(labels, {pictures}, host));
}

struct Cameras {
  TemporaryFolder folder;
  Setting setting{"office", "dslr", "webcam", 70};
  Cameras() {
    write_camera(folder, "dslr", 1);
    write_camera(folder, "webcam", 2);
  }
  table::Prepared prepare(Stress stress = Stress::none) {
    setting.stress = stress;
    return table::Material({folder.path(), ""}).prepare(setting);
  }
};

TEST(TransferTableSources, HandOverTheirSamplesAndTheFeaturesOfThem) {
  Cameras cameras;
  const table::Prepared natural = cameras.prepare();
  ASSERT_TRUE(natural.source_data);
  EXPECT_FALSE(natural.source.has_network()) << "h sees principal components";
  EXPECT_EQ(natural.target.train.sample_shape(), Shape({64}));
  EXPECT_EQ(natural.source_data->size(), pictures);
  EXPECT_EQ(natural.source_data->sample_shape(), Shape({words}));
  const std::vector<float> features = natural.source.features(*natural.source_data).to_vector<float>();
  EXPECT_EQ(features, natural.head->features(*natural.source_data).to_vector<float>());

  const table::Prepared random = cameras.prepare(Stress::random_labels);
  ASSERT_TRUE(random.source_data);
  const auto labels = random.source_data->labels.to_vector<std::int32_t>();
  EXPECT_NE(labels, natural.source_data->labels.to_vector<std::int32_t>()) << "those that it was trained on";
  EXPECT_EQ(std::count(labels.begin(), labels.end(), 3), 15);
  EXPECT_EQ(random.source_data->input_hash(), natural.source_data->input_hash());

  EXPECT_TRUE(cameras.prepare(Stress::times_100).source_data);
  EXPECT_FALSE(cameras.prepare(Stress::permuted).source_data);
  EXPECT_FALSE(cameras.prepare(Stress::noise_512).source_data);
}

TEST(TransferTableSources, DecideWhichStrategiesAreLeftOut) {
  const Cameras cameras;
  const std::vector<std::string> labels{"scratch",   "ridge-probe", "l2sp-ridge", "dann-gate",
                                        "fine-tune", "cat",         "distill",    "importance-weighting"};
  const studies::RunOptions options;
  const table::OutcomeStore store("", options);
  const auto run = [&](Stress stress) {
    Setting setting = cameras.setting;
    setting.stress = stress;
    std::vector<Setting> settings{setting};
    return table::run_settings(settings, labels, {cameras.folder.path(), ""}, store, 2, options).front();
  };
  const table::Outcome natural = run(Stress::none);
  const auto why = [&](const char* label) {
    const auto found = natural.left_out.find(label);
    return found == natural.left_out.end() ? std::string() : found->second;
  };
  for (const char* label : {"scratch", "ridge-probe", "l2sp-ridge", "dann-gate"}) {
    EXPECT_TRUE(natural.has(label)) << label << ": " << why(label);
    EXPECT_GT(natural.mean(label), 0.3) << label;
  }
  for (const char* label : {"fine-tune", "cat"}) {
    EXPECT_NE(why(label).find("is features alone"), std::string::npos) << why(label);
  }
  EXPECT_NE(why("distill").find("needs the source's own head"), std::string::npos) << why("distill");
  EXPECT_NE(why("importance-weighting").find("are [80]"), std::string::npos) << why("importance-weighting");

  const table::Outcome permuted = run(Stress::permuted);
  EXPECT_TRUE(permuted.has("ridge-probe"));
  EXPECT_NE(permuted.left_out.at("l2sp-ridge").find("none are given"), std::string::npos);
  EXPECT_LT(permuted.mean("ridge-probe"), natural.mean("ridge-probe"));
}

}  // namespace
}  // namespace rtl::test
