// Richer features from several short pretrainings: the multi-view problem by its definition, and what the study says.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "studies/cifar_files.hpp"
#include "studies/ensemble/budget.hpp"
#include "studies/ensemble/feature_probe.hpp"
#include "studies/ensemble/parts.hpp"
#include "studies/ensemble/pretraining.hpp"
#include "studies/ensemble/views.hpp"
#include "studies/run_study.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::test {
namespace {

using namespace studies::ensemble;

TEST(MultiView, ShowsTheViewsThatAreWanted) {
  const Device device = Device::cpu(1);
  for (const int only : {-1, 2}) {
    const ViewSamples samples = draw_views({.only = only}, 40, 3, 1, device);
    const float* x = samples.patches.data_as<float>();
    double squares = 0;
    for (int i = 0; i < 40; ++i, x += patch_count * patch_size) {
      const int label = samples.labels[static_cast<std::size_t>(i)];
      EXPECT_EQ(label, i % class_count);
      for (int p = 0; p < view_count; ++p) {
        const float signal = x[p * patch_size + label * view_count + p];
        if (only >= 0 && p != only) {
          EXPECT_LT(std::abs(signal), .1);  // five deviations of the noise
        } else {
          EXPECT_GT(signal, .6);
          EXPECT_LT(signal, 1.4);
        }
      }
      for (std::int64_t k = view_count * patch_size; k < patch_count * patch_size; ++k) squares += x[k] * x[k];
    }
    // 40 * 4 patches of mean square 1.5^2: four deviations of a mean of 20,480 squares.
    EXPECT_NEAR(squares / (40 * noise_patches), 2.25, 4 * 2.25 * std::sqrt(2.0 / 20480));
  }
}

TEST(MultiView, ShowsOneViewAloneInItsShare) {
  const ViewSamples samples = draw_views({.single_share = .25}, 2000, 3, 1, Device::cpu(1));
  const float* x = samples.patches.data_as<float>();
  int single = 0;
  for (std::size_t i = 0; i < samples.labels.size(); ++i, x += patch_count * patch_size) {
    int views = 0;
    for (int p = 0; p < view_count; ++p) {
      views += x[p * patch_size + samples.labels[i] * view_count + p] > .35 ? 1 : 0;
    }
    EXPECT_TRUE(views == 1 || views == view_count);
    single += views == 1 ? 1 : 0;
  }
  EXPECT_NEAR(single / 2000.0, .25, 4 * std::sqrt(.25 * .75 / 2000));
}

TEST(MultiView, HasTheNeuronsOfItsDefinition) {
  const Device device = Device::cpu(1);
  ViewNetwork network(3, .5, 7, device);
  const ViewSamples samples = draw_views({}, 8, 3, 1, device);
  const Tensor features = network.features(samples);
  ASSERT_EQ(features.shape(), Shape({8, 12}));
  const float *x = samples.patches.data_as<float>(), *w = network.weights().data_as<float>();
  for (std::int64_t i = 0; i < 8; ++i) {
    for (std::int64_t j = 0; j < 12; ++j) {
      double sum = 0;
      for (std::int64_t p = 0; p < patch_count; ++p) {
        double z = 0;
        for (std::int64_t k = 0; k < patch_size; ++k) {
          z += static_cast<double>(w[j * patch_size + k]) * x[(i * patch_count + p) * patch_size + k];
        }
        sum += z <= 0 ? 0 : z <= 1 ? z * z * z / 3 : z - 2.0 / 3;
      }
      EXPECT_NEAR(features.data_as<float>()[i * 12 + j], sum, 1e-5);
    }
  }
}

TEST(MultiView, HasTheGradientOfItsLoss) {
  const Device device = Device::cpu(1);
  ViewNetwork network(2, .4, 7, device);
  const ViewSamples samples = draw_views({}, 12, 3, 1, device);
  const std::vector<float> exact = network.gradient(samples).to_vector<float>();
  float* w = network.weights().data_as<float>();
  // f32 outputs of a few units: rounding of 1e-6 in the loss over a step of 2^-6, and a third derivative of about 1.
  constexpr float step = 1.0F / 64;
  for (std::size_t i = 0; i < exact.size(); i += 5) {
    const float at = w[i];
    w[i] = at + step;
    const double above = network.loss(samples);
    w[i] = at - step;
    const double below = network.loss(samples);
    w[i] = at;
    EXPECT_NEAR((above - below) / (2 * step), exact[i], 3e-4) << i;
  }
}

TEST(MultiView, GoesOnWhereTrainingStopped) {
  const Device device = Device::cpu(1);
  const ViewSamples samples = draw_views({}, 100, 3, 1, device);
  ViewNetwork whole(2, .05, 7, device), parts(2, .05, 7, device);
  whole.train(samples, 12);
  parts.train(samples, 5);
  parts.train(samples, 7);
  EXPECT_EQ(whole.weights().to_vector<float>(), parts.weights().to_vector<float>());
}

TEST(MultiViewProbe, FindsWhatTheFeaturesSayAndNoMore) {
  const Device device = Device::cpu(1);
  std::vector<int> labels;
  std::vector<float> classes, noise;
  RandomSequence random(1);
  for (int i = 0; i < 400; ++i) {
    labels.push_back(i % class_count);
    for (int c = 0; c < class_count; ++c) {
      classes.push_back(c == labels.back() ? 1.F : 0.F);
      noise.push_back(static_cast<float>(random.normal()));
    }
  }
  const Tensor good = Tensor::from(classes, {400, class_count}, device);
  const Tensor bad = Tensor::from(noise, {400, class_count}, device);
  const auto both = [&](const Tensor& first, const Tensor& second) {
    std::vector<Tensor> blocks;
    blocks.push_back(first.clone());
    blocks.push_back(second.clone());
    return blocks;
  };
  EXPECT_EQ(probe(both(good, bad), labels, both(good, bad), labels, 1), 1);
  // Trained on noise, and tested on the same noise turned round.
  Tensor other = bad.clone();
  std::reverse(other.data_as<float>(), other.data_as<float>() + other.count());
  EXPECT_NEAR(probe(both(bad, bad), labels, both(other, other), labels, 1), .25, 4 * std::sqrt(.25 * .75 / 400));
}

TEST(Ensemble, SharesNoMoreThanItsBudget) {
  EXPECT_EQ(member_steps(3000, 4), 750);
  EXPECT_EQ(member_steps(1001, 5), 200);
}

TEST(Ensemble, HoldsWhatIsExact) { run_part("ensemble", "identities"); }

double measured(const studies::Reproduction& result, const std::string& name) {
  for (const studies::Claim& claim : result.claims) {
    if (claim.name == name) return claim.measured;
  }
  throw Error("there is no claim " + name);
}

/// Two seeds tell the mechanism: short runs side by side find what a long one has lost, and copies of one do not.
TEST(Ensemble, FindsMoreInSeveralShortRuns) {
  const TemporaryFolder folder;
  const auto run = study_named("ensemble").begin();
  set<int>(*run, "--seeds", 2);
  set<std::string>(*run, "--state", folder / "kept");
  studies::RunOptions options;
  options.only = "multi-view";
  const studies::Reproduction first = run->run(options);
  EXPECT_GE(measured(first, "multi-view: CAT5, T/5 each minus CAT1, T, points"), 12);
  EXPECT_GE(measured(first, "multi-view, CAT5, T/5 each: accuracy on the targets"), 95);
  EXPECT_LE(measured(first, "multi-view: 5 of one seed, T/5 each minus CAT1, T/5, points"), 1);
  EXPECT_TRUE(std::filesystem::exists(folder / "kept/views_multi-view_1.json"));
  std::filesystem::remove(folder / "kept/views_multi-view_1.json");
  EXPECT_EQ(run->run(options).tables.at(0).rows, first.tables.at(0).rows);
}

TEST(Ensemble, PretrainsMembersAsTheRecipeSays) {
  const data::Dataset samples = noise_images(60, 3);
  const Recipe recipe{.width = 2, .epochs = 2};
  const std::function<bool()> never = [] { return false; };
  const Pretraining pretraining(samples, recipe, 7, Device::cpu(1), never);
  const auto weights = [](const transfer::FrozenSource& source) { return source.fingerprint(); };
  const transfer::FrozenSource member = pretraining.member(1, 2);
  EXPECT_EQ(weights(member), weights(pretraining.member(1, 2)));
  EXPECT_NE(weights(member), weights(pretraining.member(0, 2)));
  EXPECT_NE(weights(member), weights(pretraining.member(1, 1)));
  EXPECT_EQ(weights(pretraining.untrained(1)), weights(pretraining.member(1, 0)));
  EXPECT_EQ(member.feature_count(), 8);
  EXPECT_EQ(pretraining.wide().feature_count(), 16);
  const transfer::FrozenSource towers = pretraining.towers(3);
  EXPECT_EQ(towers.feature_count(), 24);
  const std::int64_t head = 8 * 3;
  EXPECT_EQ(towers.parameter_count() - 3 * head - 3, 3 * (member.parameter_count() - head - 3));
  // One cycle is a member's run, and the first of two is half of one.
  EXPECT_EQ(weights(pretraining.snapshots(1).at(0)), weights(pretraining.member(0, 2)));
  const std::vector<transfer::FrozenSource> cycles = pretraining.snapshots(2);
  ASSERT_EQ(cycles.size(), 2U);
  EXPECT_EQ(weights(cycles[0]), weights(pretraining.member(0, 1)));
  EXPECT_NE(weights(cycles[1]), weights(cycles[0]));
  const transfer::FrozenSource student = pretraining.distilled({member, pretraining.member(0, 1)});
  EXPECT_EQ(student.feature_count(), 8);
  EXPECT_EQ(student.classes(), 3);
}

/// A source whose features say the class, and one whose features are noise.
TEST(Ensemble, ProbesTheFeaturesOfAllSideBySide) {
  const data::TrainTest task{.train = noise_images(120, 4), .test = noise_images(80, 4, 1)};
  const auto source = [&](bool informed) {
    return transfer::FrozenSource::of_features("features", 4, [informed](const data::Dataset& samples) {
      RandomSequence random(static_cast<std::uint64_t>(samples.size()));
      std::vector<float> rows;
      for (const std::int32_t label : samples.labels.to_vector<std::int32_t>()) {
        for (int c = 0; c < 4; ++c) {
          rows.push_back(informed ? (label == c ? 50.F : 20.F) : static_cast<float>(random.normal()));
        }
      }
      return Tensor::from(rows, {samples.size(), 4}, Device::cpu(1));
    });
  };
  const ProbeScores both = probe_features({source(false), source(true)}, task, Device::cpu(1));
  EXPECT_EQ(both.plain, 1);
  EXPECT_EQ(both.batch_norm, 1);
  const ProbeScores noise = probe_features({source(false)}, task, Device::cpu(1));
  EXPECT_NEAR(noise.plain, .25, 4 * std::sqrt(.25 * .75 / 80));
}

TEST(Ensemble, PretrainsNetworksAndKeepsThem) {
  const TemporaryFolder folder;
  write_cifar(folder);
  const auto run = study_named("ensemble").begin();
  set<bool>(*run, "--networks", true);
  set<std::string>(*run, "--data", folder.path());
  set<std::string>(*run, "--state", folder / "kept");
  studies::RunOptions options;
  options.only = "networks";
  const studies::Reproduction first = run->run(options);
  ASSERT_EQ(first.tables.size(), 2U);
  for (const studies::TextTable& table : first.tables) EXPECT_EQ(table.rows.size(), 11U);
  EXPECT_EQ(first.claims.size(), 4U);
  EXPECT_TRUE(std::filesystem::exists(folder / "kept/networks_10_to_100_0.json"));
  std::filesystem::remove(folder / "kept/networks_100_to_10_1.json");
  const studies::Reproduction second = run->run(options);
  for (std::size_t k = 0; k < 2; ++k) EXPECT_EQ(second.tables[k].rows, first.tables[k].rows);
  set<std::string>(*run, "--data", "");
  EXPECT_THROW(run->run(options), studies::OptionError);
}

}  // namespace
}  // namespace rtl::test
