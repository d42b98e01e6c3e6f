// rtl reproduce: claims, exit codes, and the JSON, CSV and HTML files of its quick parts.
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "cli/commands.hpp"
#include "cli/numpy_random.hpp"
#include "cli/plot.hpp"
#include "cli/program.hpp"
#include "cli/reproduction.hpp"
#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"

namespace rtl::test {
namespace {

using nlohmann::json;

std::size_t lines(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

/// The keys and types that docs/cli.md promises, the sums, and that the claims say what their numbers say.
void check_facts(const json& facts, const std::string& paper) {
  EXPECT_EQ(facts.at("paper"), paper);
  EXPECT_EQ(facts.at("effort"), "quick");
  EXPECT_GT(facts.at("seconds").get<double>(), 0);
  EXPECT_TRUE(facts.at("rtl").is_string());
  EXPECT_TRUE(facts.at("protocol").at("program").is_string());
  const json& claims = facts.at("claims");
  ASSERT_FALSE(claims.empty());
  std::size_t passed = 0;
  for (const json& claim : claims) {
    const double measured = claim.at("measured"), expected = claim.at("expected"), tolerance = claim.at("tolerance");
    const std::string relation = claim.at("relation");
    const bool holds = relation == "within"     ? std::abs(measured - expected) <= tolerance
                       : relation == "at least" ? measured >= expected - tolerance
                                                : measured <= expected + tolerance;
    EXPECT_EQ(claim.at("passed"), holds) << claim;
    EXPECT_GE(tolerance, 0) << claim;
    EXPECT_FALSE(claim.at("name").get<std::string>().empty());
    passed += holds ? 1 : 0;
  }
  EXPECT_EQ(facts.at("passed"), passed);
  EXPECT_EQ(facts.at("failed"), claims.size() - passed);
  for (const json& figure : facts.at("figures")) {
    EXPECT_TRUE(figure.at("title").is_string());
    for (const json& series : figure.at("series")) {
      EXPECT_TRUE(series.at("kind") == "line" || series.at("kind") == "points") << series.at("name");
      EXPECT_EQ(series.at("x").size(), series.at("y").size()) << series.at("name");
      EXPECT_TRUE(series.at("error").empty() || series.at("error").size() == series.at("x").size());
    }
  }
}

/// Runs one part; every claim of it must hold. Gives its JSON.
json run_part(const Workplace& place, const std::string& paper, const std::string& part) {
  const auto outcome =
      place.run({"reproduce", paper, "--only", part, "--json", "r.json", "--csv", "tables", "--html", "r.html"});
  EXPECT_EQ(outcome.code, 0) << outcome.output << outcome.errors;
  EXPECT_EQ(outcome.output.find("FAIL"), std::string::npos) << outcome.output;
  const json facts = place.json("r.json");
  check_facts(facts, paper);
  EXPECT_EQ(facts.at("failed"), 0);
  EXPECT_EQ(lines(place.read("tables/claims.csv")), facts.at("claims").size() + 1);
  for (const json& figure : facts.at("figures")) {
    std::size_t rows = 1;
    for (const json& series : figure.at("series")) rows += series.at("x").size();
    EXPECT_EQ(lines(place.read("tables/" + figure.at("name").get<std::string>() + ".csv")), rows);
  }
  const std::string html = place.read("r.html");
  EXPECT_NE(html.find("</html>"), std::string::npos);
  EXPECT_NE(html.find("passed"), std::string::npos);
  std::size_t charts = 0;
  for (auto at = html.find("<svg"); at != std::string::npos; at = html.find("<svg", at + 1)) ++charts;
  EXPECT_EQ(charts, cli::gnuplot_version().empty() ? 0 : facts.at("figures").size());
  return facts;
}

TEST(Reproduce, PublishedCurvesToTheirLastDigit) {
  const Workplace place;
  const json facts = run_part(place, "l2sp", "published");
  bool found = false;
  for (const json& claim : facts.at("claims")) {
    if (!claim.at("name").get<std::string>().starts_with("gamma 2: largest deviation")) continue;
    found = true;
    EXPECT_LT(claim.at("measured").get<double>(), 1e-6);
  }
  EXPECT_TRUE(found);
}

TEST(Reproduce, TheAdvisorKeepsUpWithTheBestRules) { run_part(Workplace(), "l2sp", "advisor"); }

TEST(Reproduce, TheDecisionFlips) { run_part(Workplace(), "l2sp", "decision"); }

TEST(Reproduce, TheGroundTruthDivergesTwice) { run_part(Workplace(), "optimal-features", "divergence"); }

TEST(Reproduce, PhasesOfTheBestFeatures) { run_part(Workplace(), "optimal-features", "phases"); }

TEST(Reproduce, DescentReachesTheClosedForms) { run_part(Workplace(), "optimal-features", "descent"); }

TEST(Reproduce, IsAFunctionOfTheSeed) {
  const Workplace place;
  const auto claims = [&](const char* seed) {
    const auto outcome =
        place.run({"reproduce", "optimal-features", "--only", "descent", "--seed", seed, "--json", "-"});
    const json facts = json::parse(outcome.output);
    EXPECT_EQ(std::to_string(facts.at("seed").get<int>()), seed);
    return facts.at("claims");
  };
  const json first = claims("3");
  EXPECT_EQ(first, claims("3"));
  EXPECT_NE(first, claims("4"));
}

/// Ten classes in few and small files: 28 x 28 digits of noise with a bright bar, CIFAR records of noise.
void write_images(const Workplace& place) {
  std::filesystem::create_directories(place.path("images/mnist"));
  std::filesystem::create_directories(place.path("images/cifar10"));
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
    place.write(std::string("images/mnist/") + part + "-images-idx3-ubyte", images);
    place.write(std::string("images/mnist/") + part + "-labels-idx1-ubyte", labels);
  }
  for (const auto& [part, count] : {std::pair{"cifar10_train_30", 30}, std::pair{"cifar10_test_20", 20}}) {
    std::string records;
    for (int i = 0; i < count; ++i) {
      records += static_cast<char>(i % 10);
      for (int pixel = 0; pixel < 3072; ++pixel) records += static_cast<char>(random.below(256));
    }
    place.write(std::string("images/cifar10/") + part + ".bin", records);
  }
}

TEST(ReproduceNetworks, KeepsFinishedTrainingsAndGoesOn) {
  const Workplace place;
  write_images(place);
  const std::vector<std::string> words = {
      "reproduce", "l2sp",     "--only", "networks", "--networks",         "--data", ".", "--seeds", "2", "--state",
      "state",     "--resume", "--json", "r.json",   "--target-fractions", "0.5,1"};
  const auto outcome = place.run(words);
  ASSERT_TRUE(place.has("r.json")) << outcome.errors;  // but claims about noise may fail
  const json facts = place.json("r.json");
  check_facts(facts, "l2sp");
  // For each data set: three claims and two figures, a claim for each fraction, and a figure of them.
  EXPECT_EQ(facts.at("claims").size(), 2 * (3 + 2));
  ASSERT_EQ(facts.at("figures").size(), 2 * (2 + 1));
  const json& fractions = facts.at("figures").at(2);
  EXPECT_EQ(fractions.at("name"), "fractions_MNIST");
  EXPECT_EQ(fractions.at("series").size(), 2);
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(place.path("state"))) {
    if (entry.path().filename() != "protocol.json") files.push_back(entry.path());
  }
  EXPECT_EQ(files.size(), 2 * 2 * (3 + 1));  // data sets, seeds, decays and scratch
  // Some finished trainings are lost, one is a copy of another: the result is the same.
  std::sort(files.begin(), files.end());
  std::filesystem::remove(files[0]);
  std::filesystem::copy_file(files[2], files[1], std::filesystem::copy_options::overwrite_existing);
  const auto again = place.run(words);
  EXPECT_EQ(again.code, outcome.code);
  EXPECT_NE(again.errors.find("is a copy of another result"), std::string::npos) << again.errors;
  EXPECT_EQ(place.json("r.json").at("claims"), facts.at("claims"));
  EXPECT_EQ(place.json("r.json").at("figures"), facts.at("figures"));
  // Another setting leaves them as they are.
  std::vector<std::string> other = words;
  other.back() = "0.5";
  const auto refused = place.run(other);
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.errors.find("target fractions 0.5"), std::string::npos) << refused.errors;
  EXPECT_NE(refused.errors.find("state-2"), std::string::npos) << refused.errors;
  EXPECT_EQ(place.run(words).code, outcome.code);
  EXPECT_EQ(place.json("r.json").at("claims"), facts.at("claims"));
}

TEST(ReproduceNetworks, NeedsItsData) {
  const Workplace place;
  const auto without = place.run({"reproduce", "l2sp", "--only", "networks", "--networks"}, {"RTL_DATA="});
  EXPECT_EQ(without.code, 2);
  EXPECT_NE(without.errors.find("--data"), std::string::npos) << without.errors;
  const auto unknown = place.run({"reproduce", "l2sp", "--networks", "--datasets", "mnist,iris", "--data", "."});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_NE(unknown.errors.find("iris"), std::string::npos) << unknown.errors;
  for (const std::string fraction : {"0", "nan", "1.5", "half"}) {
    EXPECT_EQ(place.run({"reproduce", "l2sp", "--networks", "--target-fractions", fraction, "--data", "."}).code, 2);
  }
  const auto nowhere = place.run({"reproduce", "l2sp", "--only", "networks", "--networks", "--data", "nowhere"});
  EXPECT_EQ(nowhere.code, 1);
  EXPECT_NE(nowhere.errors.find("nowhere/images/mnist"), std::string::npos) << nowhere.errors;
}

TEST(Reproduce, AFailedClaimFailsTheCommandAndIsWritten) {
  const Workplace place;
  CLI::App app;
  bool quick = false;
  cli::add_study(app, "study", "", [&](const cli::ReproductionOptions& options) {
    quick = options.effort == cli::Effort::quick;
    cli::Reproduction result;
    result.paper = "study";
    result.claims = {{"right", 1, 1.05, .1}, {"wrong, \"clearly\"", 1, 1.2, .1}};
    return result;
  });
  try {
    app.parse("study --json " + place.path("r.json") + " --csv " + place.path("tables"));
    FAIL() << "the claim passed";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "1 of 2 claims failed");
  }
  EXPECT_TRUE(quick);
  check_facts(place.json("r.json"), "study");
  EXPECT_EQ(place.json("r.json").at("failed"), 1);
  EXPECT_NE(place.read("tables/claims.csv").find("\"wrong, \"\"clearly\"\"\",1.2"), std::string::npos);
}

TEST(Claim, ComparesAsItsRelationSays) {
  using cli::Claim;
  using cli::Relation;
  EXPECT_TRUE((Claim{"", 1, 1.5, .5}.passed()));
  EXPECT_FALSE((Claim{"", 1, 1.5, .4}.passed()));
  EXPECT_TRUE((Claim{"", 1, .75, .25, Relation::at_least}.passed()));
  EXPECT_TRUE((Claim{"", 1, 9, 0, Relation::at_least}.passed()));
  EXPECT_FALSE((Claim{"", 1, .5, .25, Relation::at_least}.passed()));
  EXPECT_TRUE((Claim{"", 1, 1.25, .25, Relation::at_most}.passed()));
  EXPECT_FALSE((Claim{"", 1, 1.5, .25, Relation::at_most}.passed()));
  const double nothing = std::numeric_limits<double>::quiet_NaN();
  for (const Relation relation : {Relation::within, Relation::at_least, Relation::at_most}) {
    EXPECT_FALSE((Claim{"", 1, nothing, 1, relation}.passed()));
    EXPECT_FALSE((Claim{"", 1, 1, nothing, relation}.passed()));
  }
}

TEST(Figure, TakesAnyText) {
  if (cli::gnuplot_version().empty()) GTEST_SKIP() << "gnuplot is not installed: run scripts/setup";
  cli::Figure figure{"one", "a & b", "c < d", "scratch's $x", "it's", false, false, {}};
  figure.series.push_back({"don't: draws", cli::Series::Kind::points, {1, 2}, {3, 4}, {.1, .1}});
  cli::Reproduction result;
  result.figures.push_back(figure);
  EXPECT_NE(cli::html_report(result).find("<svg"), std::string::npos);
}

TEST(RunParts, RunsAllOrTheNamedOneAndTellsItsProgress) {
  std::string ran;
  double last = -1;
  const auto part = [&ran](const std::string& name, double weight) {
    return cli::ReproductionPart{name, weight,
                                 [&ran, name](cli::Reproduction&, const cli::ReproductionOptions& options) {
                                   ran += name;
                                   options.progress(1, name);
                                 }};
  };
  const std::vector<cli::ReproductionPart> parts = {part("a", 1), part("b", 3)};
  cli::ReproductionOptions options;
  options.progress = [&last](double fraction, const std::string&) {
    EXPECT_GE(fraction, last);
    last = fraction;
  };
  cli::Reproduction result;
  cli::run_parts(parts, options, result);
  EXPECT_EQ(ran, "ab");
  EXPECT_DOUBLE_EQ(last, 1);
  options.progress = {};
  options.only = "b";
  cli::run_parts(parts, options, result);
  EXPECT_EQ(ran, "abb");
  options.only = "c";
  EXPECT_THROW(cli::run_parts(parts, options, result), cli::UsageError);
}

TEST(Steps, ReachTheirEnd) {
  EXPECT_EQ(cli::steps(1, 3, 1), (std::vector<double>{1, 2, 3}));
  const auto alignments = cli::steps(.5, 1.5, .05);
  ASSERT_EQ(alignments.size(), 21);
  EXPECT_NEAR(alignments.back(), 1.5, 1e-15);
  const auto decades = cli::logarithmic_steps(.01, 50, 10);
  ASSERT_EQ(decades.size(), 4);
  EXPECT_NEAR(decades.back(), 10, 1e-13);
}

TEST(NumpyRandom, GivesTheLegacyNumbers) {
  cli::NumpyRandom random(42);
  for (const double expected : {0.4967141530112327, -0.13826430117118466, 0.6476885381006925, 1.5230298564080254}) {
    EXPECT_DOUBLE_EQ(random.normal(), expected);
  }
}

}  // namespace
}  // namespace rtl::test
