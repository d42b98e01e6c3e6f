// What all studies share: claims, series, tables of numbers, parts; and that the studies are what they say.
#include "studies/study.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <set>

#include "studies/run_study.hpp"
#include "studies/store.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::test {
namespace {

using studies::Claim;
using studies::Figure;
using studies::Relation;
using studies::Reproduction;
using studies::RunOptions;
using studies::Series;

TEST(Claim, ComparesAsItsRelationSays) {
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

TEST(RunParts, RunsAllOrTheNamedOneAndTellsItsProgress) {
  std::string ran;
  double last = -1;
  const auto part = [&ran](const std::string& name, double weight) {
    return studies::Part{name, weight, [&ran, name](Reproduction&, const RunOptions& options) {
                           ran += name;
                           options.progress(1, name);
                         }};
  };
  const std::vector<studies::Part> parts = {part("a", 1), part("b", 3)};
  RunOptions options;
  options.progress = [&last](double fraction, const std::string&) {
    EXPECT_GE(fraction, last);
    last = fraction;
  };
  Reproduction result;
  studies::run_parts(parts, options, result);
  EXPECT_EQ(ran, "ab");
  EXPECT_DOUBLE_EQ(last, 1);
  options = {};
  options.only = "b";
  studies::run_parts(parts, options, result);
  EXPECT_EQ(ran, "abb");
  options.only = "c";
  EXPECT_THROW(studies::run_parts(parts, options, result), studies::OptionError);
}

TEST(Steps, ReachTheirEnd) {
  EXPECT_EQ(studies::steps(1, 3, 1), (std::vector<double>{1, 2, 3}));
  const auto alignments = studies::steps(.5, 1.5, .05);
  ASSERT_EQ(alignments.size(), 21);
  EXPECT_NEAR(alignments.back(), 1.5, 1e-15);
  const auto decades = studies::logarithmic_steps(.01, 50, 10);
  ASSERT_EQ(decades.size(), 4);
  EXPECT_NEAR(decades.back(), 10, 1e-13);
}

TEST(Series, HasErrorsWhereTheyAreGiven) {
  Series line = Series::line("formula"), points = Series::points("formula: draws");
  line.add(1, 2);
  points.add(1, 2, .5);
  points.add(2, {.mean = 3, .error = .25});
  EXPECT_TRUE(line.error.empty());
  EXPECT_EQ(points.x, (std::vector<double>{1, 2}));
  EXPECT_EQ(points.y, (std::vector<double>{2, 3}));
  EXPECT_EQ(points.error, (std::vector<double>{.5, .5}));
}

TEST(Reproduction, IsWrittenAsTables) {
  Reproduction result;
  result.claims = {{"right", 1, 1.05, .1}, {"wrong, \"clearly\"", 1, 1.2, .1}};
  result.figures.push_back({.name = "one", .title = "t", .caption = "c", .x_label = "x", .y_label = "y"});
  Series points = Series::points("p");
  points.add(.5, 2, .25);
  result.figures[0].series = {points};
  const TemporaryFolder folder;
  studies::write_csv(folder / "tables", result);
  const std::string claims = content_of(folder / "tables/claims.csv");
  EXPECT_EQ(std::count(claims.begin(), claims.end(), '\n'), 3);
  EXPECT_NE(claims.find("\"wrong, \"\"clearly\"\"\",1.2"), std::string::npos) << claims;
  EXPECT_EQ(content_of(folder / "tables/one.csv"), "series,x,y,error\n\"p\",0.5,2,0.25\n");
  EXPECT_EQ(studies::to_json(result).at("failed"), 1);
}

TEST(Studies, AreNamedOnceAndHaveTheirParts) {
  std::set<std::string> names;
  for (const studies::Study* study : studies::all()) {
    SCOPED_TRACE(study->name);
    EXPECT_TRUE(names.insert(study->name).second);
    EXPECT_FALSE(study->summary.empty());
    if (study->parts.empty()) continue;
    const auto run = study->begin();
    for (const studies::Option& option : run->options()) {
      if (option.name == "--networks") *std::get<bool*>(option.value) = true;
      if (option.name == "--data") *std::get<std::string*>(option.value) = ".";
    }
    RunOptions options;
    options.only = "no such part";
    std::string parts;
    for (const std::string& part : study->parts) parts += (parts.empty() ? "" : ", ") + part;
    try {
      run->run(options);
      FAIL() << "ran an unknown part";
    } catch (const studies::OptionError& error) {
      EXPECT_STREQ(error.what(), ("--only no such part: there is no such part; there are: " + parts).c_str());
    }
  }
  EXPECT_EQ(names, (std::set<std::string>{"ensemble", "l2sp", "linear-transfer", "optimal-features", "partial",
                                          "refine", "transfer-table"}));
}

TEST(Store, RunsAgainWhatIsMissingOrDoesNotDecode) {
  const TemporaryFolder folder;
  RunOptions options;
  std::vector<std::string> notes;
  options.note = [&](const std::string& text) { notes.push_back(text); };
  const studies::Store store(
      folder / "state", DeviceKind::cpu, 1, [](const std::string&) { return true; }, "numbers", options);
  int runs = 0;
  const auto get = [&](const std::string& name) {
    const auto decode = [&](const studies::Json& found) {
      const int value = found.at("value").get<int>();
      if (value < 0) throw FormatError(store.path(name), "is below zero");
      return value;
    };
    return store.find_or_run(
        name, {{"problem", "one"}}, decode,
        [](int value) -> studies::Json {
          return {{"value", value}};
        },
        [&] { return ++runs; });
  };
  EXPECT_EQ(get("a.json"), 1);
  EXPECT_EQ(get("a.json"), 1);
  EXPECT_TRUE(notes.empty());
  store.put("b.json", {{"problem", "one"}}, {{"other", 5}});
  store.put("c.json", {{"problem", "one"}}, {{"value", -5}});
  store.put("d.json", {{"problem", "two"}}, {{"value", 5}});
  EXPECT_EQ(get("b.json"), 2);
  EXPECT_EQ(get("c.json"), 3);
  EXPECT_EQ(get("b.json"), 2);
  EXPECT_THROW(get("d.json"), ValueError);
  ASSERT_EQ(notes.size(), 2U);
  EXPECT_NE(notes[0].find("b.json: lacks what is expected"), std::string::npos) << notes[0];
  EXPECT_NE(notes[1].find("c.json: is below zero"), std::string::npos) << notes[1];
  EXPECT_EQ(runs, 3);
}

}  // namespace
}  // namespace rtl::test
