// Residual features beside frozen ones: the exact problem of the part `rate`, deep heads, and that every part runs on
// small made-up data, gives the same again, and goes on from what is finished.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "data/make_files.hpp"
#include "rtl/core/random.hpp"
#include "rtl/io/npy.hpp"
#include "studies/refine/deep_head.hpp"
#include "studies/refine/images.hpp"
#include "studies/refine/sieve.hpp"
#include "studies/refine/trials.hpp"
#include "studies/run_study.hpp"
#include "support/gzip.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::test {
namespace {

using namespace studies::refine;
using studies::Reproduction;

TEST(Sieve, HasTheRatesOfTheTheory) {
  EXPECT_NEAR(SieveProblem(1, 1, 1).rate(), -2.0 / 3, 1e-15);
  EXPECT_NEAR(SieveProblem(1, 2, 1).rate(), -4.0 / 5, 1e-15);
  EXPECT_NEAR(SieveProblem(2, 2, 1).rate(), -2.0 / 3, 1e-15);
  EXPECT_NEAR(SieveProblem(2, 1, 1).rho_exponent(), 1, 1e-15);
  EXPECT_EQ(SieveProblem(1, 1, 1).columns(1, 900), 15);  // 1.5 * 900^(1/3) = 14.48
  EXPECT_EQ(SieveProblem(1, 1, 1).columns(.5, 3600), 15);
}

/// Features that hold f* itself leave the variance of four columns and of the sieve's: s^2 (p + N) / n on average.
TEST(Sieve, LosesTheVarianceOfItsColumnsAlone) {
  const SieveProblem problem(1, 1, 3);
  double mean = 0;
  constexpr int draws = 200, samples = 400, columns = 3;
  for (int draw = 0; draw < draws; ++draw) {
    mean += problem.excess_risk(SieveProblem::Features::useful, 0, columns, samples, static_cast<std::uint64_t>(draw)) /
            draws;
  }
  // Chi-square of 7 degrees over 200 draws deviates by 4 %; columns beyond the normal equations' first order by 2 %.
  EXPECT_NEAR(mean, .25 * 7 / samples, .15 * .25 * 7 / samples);
  EXPECT_NEAR(problem.predicted_risk(SieveProblem::Features::useful, 0, columns, samples), .25 * 7 / samples, 1e-15);
}

TEST(Sieve, GivesTheSameAgainAndRefusesTooFewSamples) {
  const SieveProblem problem(2, 1, 5);
  using enum SieveProblem::Features;
  EXPECT_EQ(problem.excess_risk(useful, .5, 9, 100, 7), problem.excess_risk(useful, .5, 9, 100, 7));
  EXPECT_NE(problem.excess_risk(useful, .5, 9, 100, 7), problem.excess_risk(useful, .5, 9, 100, 8));
  EXPECT_THROW(problem.excess_risk(none, 1, 30, 20, 7), Error);
}

TEST(RefineTrials, PairsSeedsAndSetsPublishedNumbersBeside) {
  const Trials trials({{{"scratch", .50}, {"refine", .53}}, {{"scratch", .40}, {"refine", .44}}});
  const transfer::Interval difference = trials.difference("refine", "scratch");
  EXPECT_NEAR(difference.mean, 3.5, 1e-12);
  // Two differences, 3 and 4: sample deviation 1 / sqrt 2, t of one degree 12.706.
  EXPECT_NEAR(difference.high - difference.mean, 12.7062 * .5, 1e-3);
  const studies::TextTable table =
      table_of("", trials,
               {{"s", "NoTrans", "scratch"}, {"s", "REFINE", "refine", "scratch", Published{60, 1}, Published{55, 1}}});
  ASSERT_EQ(table.rows.size(), 2U);
  EXPECT_EQ(table.rows[0], (std::vector<std::string>{"s", "NoTrans", "45.00 ± 5.00", "", "", "", ""}));
  EXPECT_EQ(table.rows[1][4], "undecided");
  EXPECT_EQ(table.rows[1][5], "60.00 ± 1.00");
  EXPECT_EQ(table.rows[1][6], "+5.00");
  Reproduction result;
  claim_above(result, "above", difference);
  claim_no_worse(result, "no worse", {-2.0, -9, 5});
  claim_no_worse(result, "worse", {-2.5, -9, 5});
  EXPECT_FALSE(result.claims[0].passed());
  EXPECT_TRUE(result.claims[1].passed());
  EXPECT_FALSE(result.claims[2].passed());
}

/// 2,947,594 parameters, which is what the three variants of the paper's code have.
TEST(DeepHead, HasThePublishedNumberOfParameters) {
  const Device device = Device::cpu(1);
  for (const std::size_t behind : {std::size_t{3}, std::size_t{2}, std::size_t{1}}) {
    auto encoder =
        layers::make_network({.name = "paper_cnn", .variant = "", .input = {32, 32, 3}, .classes = 10}, device, 1);
    DeepHead head(std::move(encoder), 2560,
                  {std::vector<std::int64_t>(behind, 512), std::vector<std::int64_t>(4 - behind, 512)}, 10, device, 1);
    EXPECT_EQ(head.state().parameter_count(), 2'947'594);
  }
  DeepHead naive(nullptr, 8 * 512, {{}, {256, 256, 128}}, 10, device, 1);
  EXPECT_EQ(naive.state().parameter_count(), 1'148'810);
  EXPECT_FALSE(naive.wants_inputs());
}

/// Images of a class have its own shade, with noise.
void write_images(const TemporaryFolder& folder, const std::string& name, int count, int classes, int label_bytes) {
  RandomSequence random(static_cast<std::uint64_t>(count));
  std::string records;
  for (int i = 0; i < count; ++i) {
    const int label = i % classes;
    if (label_bytes == 2) records += static_cast<char>(label / 5);
    records += static_cast<char>(label);
    for (int pixel = 0; pixel < 3072; ++pixel) {
      records += static_cast<char>(20 * (label % 10) + static_cast<int>(random.below(50)));
    }
  }
  folder.write(name, records);
}

void write_cifar(const TemporaryFolder& folder) {
  write_images(folder, "images/cifar10/cifar10_train_200.bin", 200, 10, 1);
  write_images(folder, "images/cifar10/cifar10_test_40.bin", 40, 10, 1);
  write_images(folder, "images/cifar100/cifar100_train_300.bin", 300, 100, 2);
  write_images(folder, "images/cifar100/cifar100_test_100.bin", 100, 100, 2);
}

void write_digits(const TemporaryFolder& folder) {
  RandomSequence random(4);
  for (const auto& [set, extent] : {std::pair{"usps", 16U}, std::pair{"mnist", 28U}, std::pair{"fashion-mnist", 28U}}) {
    for (const auto& [part, count] : {std::pair{"train", 120U}, std::pair{"t10k", 40U}}) {
      std::vector<std::uint8_t> pixels, labels;
      for (unsigned i = 0; i < count; ++i) {
        labels.push_back(static_cast<std::uint8_t>(i % 10));
        for (unsigned pixel = 0; pixel < extent * extent; ++pixel) {
          pixels.push_back(static_cast<std::uint8_t>(20 * (i % 10) + random.below(50)));
        }
      }
      const std::string path = fmt::format("images/{}/{}-", set, part);
      folder.write(path + "images-idx3-ubyte", idx({count, extent, extent}, pixels));
      folder.write(path + "labels-idx1-ubyte", idx({count}, labels));
    }
  }
}

void write_reviews(const TemporaryFolder& folder) {
  RandomSequence random(5);
  for (const char* product : {"books", "dvd", "kitchen", "electronics"}) {
    for (const char* part : {"train", "test2000"}) {
      std::string lines;
      for (int i = 0; i < 60; ++i) {
        // Good reviews have the first words, bad ones the next.
        lines += i % 2 == 0 ? "1 " : "-1 ";
        const int first = i % 2 == 0 ? 0 : 10;
        for (int word = first; word < first + 10; ++word) {
          if (random.below(2) == 0) lines += fmt::format("{}:1 ", word);
        }
        lines += fmt::format("{}:2\n", 100 + random.below(4000));
      }
      folder.write(fmt::format("text/amazon_reviews/{}_{}.svmlight.gz", product, part), gzip(lines));
    }
  }
}

/// Regions are halves of the plane; types go with the first gene.
void write_cells(const TemporaryFolder& folder, int count) {
  RandomSequence random(6);
  std::vector<std::int32_t> counts;
  std::vector<float> places;
  std::vector<std::int32_t> types, regions;
  for (int i = 0; i < count; ++i) {
    const float x = static_cast<float>(random.uniform()), y = static_cast<float>(random.uniform());
    places.insert(places.end(), {x, y});
    regions.push_back(x > .5F ? 1 : 0);
    types.push_back(static_cast<std::int32_t>(random.below(3)));
    for (int gene = 0; gene < 5; ++gene)
      counts.push_back(static_cast<std::int32_t>(random.below(5)) + 8 * types.back());
  }
  const std::string path = folder / "singlecell/osmfish_cortex/";
  std::filesystem::create_directories(path);
  const Device host = Device::cpu(1);
  io::write_npy(path + "counts.npy", Tensor::from(counts, {count, 5}, host));
  io::write_npy(path + "xy.npy", Tensor::from(places, {count, 2}, host));
  io::write_npy(path + "celltype.npy", Tensor::from(types, {count}, host));
  io::write_npy(path + "region.npy", Tensor::from(regions, {count}, host));
}

Reproduction run_part_on(const TemporaryFolder& folder, const std::string& part, const std::string& state = "") {
  const auto run = study_named("refine").begin();
  set<std::string>(*run, "--data", folder.path());
  set<std::string>(*run, "--state", state.empty() ? "" : folder / state);
  set<int>(*run, "--seeds", 2);
  studies::RunOptions options;
  options.only = part;
  return run->run(options);
}

class RefinePart : public testing::TestWithParam<const char*> {};

TEST_P(RefinePart, RunsOnSmallImagesAndGoesOn) {
  const TemporaryFolder folder;
  write_cifar(folder);
  const std::string part = GetParam();
  const Reproduction first = run_part_on(folder, part, "kept");
  ASSERT_EQ(first.tables.size(), 1U);
  EXPECT_FALSE(first.claims.empty());
  EXPECT_TRUE(first.facts.contains(part));
  // One run is done again, the others are taken over.
  std::vector<std::filesystem::path> kept;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "kept")) {
    if (entry.path().filename().string().starts_with("refine_")) kept.push_back(entry.path());
  }
  ASSERT_GE(kept.size(), 4U);
  std::filesystem::remove(*std::min_element(kept.begin(), kept.end()));
  EXPECT_EQ(run_part_on(folder, part, "kept").tables[0].rows, first.tables[0].rows);
}

INSTANTIATE_TEST_SUITE_P(All, RefinePart,
                         testing::Values("noise", "big-source", "confusion", "imbalance", "encoder", "head",
                                         "sources"));

TEST(Refine, SeesOtherDataSets) {
  const TemporaryFolder folder;
  write_cifar(folder);
  write_digits(folder);
  write_reviews(folder);
  const Reproduction found = run_part_on(folder, "shift");
  ASSERT_EQ(found.tables.size(), 1U);
  // Two settings with a second source and one without.
  EXPECT_EQ(found.tables[0].rows.size(), 3U * 6 + 2 * 2);
  EXPECT_EQ(found.claims.size(), 3U);
}

TEST(Refine, SeesWhereCellsLie) {
  const TemporaryFolder folder;
  write_cells(folder, 600);
  const Reproduction found = run_part_on(folder, "multimodal");
  ASSERT_EQ(found.tables.size(), 2U);
  EXPECT_EQ(found.tables[0].rows.size(), 2U * (7 + 6));
  // Expression says nothing of regions, places all.
  const auto above = [&](const std::string& name) {
    for (const studies::Claim& claim : found.claims) {
      if (claim.name.starts_with(name)) return claim.measured;
    }
    throw Error("no claim " + name);
  };
  const double low = above("300 labels, h sees places: REFINE minus the probe of expression");
  EXPECT_GT(low, -100);
  const auto& rows = found.tables[0].rows;
  const auto mean = [&](const char* setting, const char* strategy) {
    for (const auto& row : rows) {
      if (row[0] == setting && row[1] == strategy) return std::stod(row[2]);
    }
    throw Error("no row");
  };
  EXPECT_GT(mean("300 labels, h sees places", "REFINE"), mean("300 labels, h sees places", "LinearProbe") + 15);
  EXPECT_GT(mean("300 labels, h sees places", "safe"), mean("300 labels, h sees places", "LinearProbe") + 15);
  // The graph has expression alone, so it says nothing either.
  EXPECT_LT(mean("300 labels, h sees the graph", "h alone"), mean("300 labels, h sees places", "h alone") - 15);
}

TEST(Refine, AsksForDataAndStops) {
  const auto run = study_named("refine").begin();
  studies::RunOptions options;
  options.only = "noise";
  EXPECT_THROW(run->run(options), studies::OptionError);
  const TemporaryFolder folder;
  write_cifar(folder);
  set<std::string>(*run, "--data", folder.path());
  options.stop = [] { return true; };
  EXPECT_THROW(run->run(options), Error);
}

TEST(Refine, HoldsTheClaimsOfItsRates) { run_part("refine", "rate"); }

}  // namespace
}  // namespace rtl::test
