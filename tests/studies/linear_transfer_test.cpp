// Linear transfer, on tables as small as they may be: what it reports, and that it goes on where it stopped.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "io/json.hpp"
#include "studies/run_study.hpp"
#include "studies/wines.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::test {
namespace {

using studies::Json;

struct Outcome {
  studies::Reproduction result;
  Json facts;
  std::vector<std::string> notes;
};

Outcome run_wines(const TemporaryFolder& folder, const std::string& state = "", int seeds = 3) {
  const auto run = study_named("linear-transfer").begin();
  set<std::string>(*run, "--data", folder.path());
  set<std::vector<std::string>>(*run, "--family", {"wine"});
  set<std::string>(*run, "--state", state.empty() ? "" : folder / state);
  set<int>(*run, "--seeds", seeds);
  Outcome outcome;
  studies::RunOptions options;
  options.device = Device::cpu(1);
  options.only = "policies";
  options.note = [&](const std::string& text) { outcome.notes.push_back(text); };
  outcome.result = run->run(options);
  outcome.facts = studies::to_json(outcome.result);
  return outcome;
}

TEST(LinearTransfer, ComparesPoliciesAndJudgesItsClaims) {
  const TemporaryFolder folder;
  write_wines(folder);
  const Outcome outcome = run_wines(folder);
  ASSERT_EQ(outcome.result.claims.size(), 3U);
  EXPECT_EQ(outcome.facts.at("seeds"), 3);
  const Json& settings = outcome.facts.at("settings");
  ASSERT_EQ(settings.size(), 4U);  // both directions, 20 and 50 rows
  double sum = 0;
  for (const Json& setting : settings) {
    EXPECT_EQ(setting.at("family"), "wine");
    const Json& policies = setting.at("policies");
    ASSERT_EQ(policies.size(), 4U);
    for (const Json& policy : policies) ASSERT_EQ(policy.at("values").size(), 3U);
    double difference = 0;
    for (std::size_t seed = 0; seed < 3; ++seed) {
      difference += (policies.at("advisor").at("values")[seed].get<double>() -
                     policies.at("scratch").at("values")[seed].get<double>()) /
                    3;
      const double trust = setting.at("trust")[seed];
      EXPECT_TRUE(trust >= 0 && trust <= 1) << trust;
    }
    EXPECT_NEAR(policies.at("advisor").at("difference_from_scratch").at("mean").get<double>(), difference, 1e-12);
    sum += difference;
  }
  // The tables are alike, so that transfer from 80 rows to 20 must help.
  EXPECT_GT(sum, 0);
  ASSERT_EQ(outcome.result.tables.size(), 2U);
  ASSERT_EQ(outcome.result.tables[1].rows.size(), 4U);
  EXPECT_EQ(outcome.result.tables[1].rows[0][0], "wine, red to white, 20 rows");
  ASSERT_EQ(outcome.result.figures.size(), 1U);
  EXPECT_EQ(outcome.result.figures[0].series[0].x.size(), 4U);
}

TEST(LinearTransfer, JudgesFewRowsInTheirParts) {
  const TemporaryFolder folder;
  write_wines(folder);
  const auto run = study_named("linear-transfer").begin();
  set<std::string>(*run, "--data", folder.path());
  set<std::vector<std::string>>(*run, "--family", {"wine"});
  studies::RunOptions options;
  options.device = Device::cpu(1);
  options.only = "few-rows";
  const studies::Reproduction result = run->run(options);
  const Json facts = studies::to_json(result);
  // One direction is of the pilot, the other was kept aside; two numbers of rows.
  const Json& settings = facts.at("few_rows").at("settings");
  ASSERT_EQ(settings.size(), 4U);
  EXPECT_EQ(settings[0].at("part"), "pilot");
  EXPECT_EQ(settings[2].at("part"), "first check");
  ASSERT_EQ(result.claims.size(), 6U);
  for (const Json& setting : settings) {
    const Json& risk = setting.at("risk");
    const double better = std::min(risk.at("scratch").get<double>(), risk.at("source_as_it_is").get<double>());
    EXPECT_NEAR(setting.at("regret").get<double>(), risk.at("advisor").get<double>() / better - 1, 1e-12);
  }
  // The tables are alike: the source as it is must be much better than 12 rows, and the advisor near it.
  const Json& few = settings[0].at("risk");
  EXPECT_LT(few.at("source_as_it_is").get<double>(), 0.5 * few.at("scratch").get<double>());
  EXPECT_LT(few.at("advisor").get<double>(), 0.6 * few.at("scratch").get<double>());
}

TEST(LinearTransfer, GoesOnFromFinishedSettings) {
  const TemporaryFolder folder;
  write_wines(folder);
  Json first = run_wines(folder, "kept").facts;
  const std::string kept = folder / "kept/wine__red_to_white__20_rows.json";
  Json setting = io::read_sealed_json(kept);
  setting["result"]["trust"] = {0.125, 0.125, 0.125};
  io::write_sealed_json(kept, setting);
  folder.write("kept/wine__red_to_white__50_rows.json", "{\"seeds\": 3, \"policies\": {\"scr");
  std::filesystem::remove(folder / "kept/wine__white_to_red__20_rows.json");
  const Outcome outcome = run_wines(folder, "kept");
  ASSERT_EQ(outcome.notes.size(), 1U);
  EXPECT_NE(outcome.notes[0].find("wine__red_to_white__50_rows.json"), std::string::npos) << outcome.notes[0];
  Json second = outcome.facts;
  EXPECT_EQ(second["settings"][0]["trust"][0], 0.125) << "a finished setting was computed again";
  EXPECT_EQ(io::read_sealed_json(folder / "kept/wine__red_to_white__50_rows.json")["result"], first["settings"][1])
      << "not repaired";
  first["settings"][0].erase("trust");
  second["settings"][0].erase("trust");
  EXPECT_EQ(first, second);
}

TEST(LinearTransfer, KeepsSettingsOfOtherDataAndFewerSeeds) {
  const TemporaryFolder folder;
  write_wines(folder);
  run_wines(folder, "kept");
  const std::string kept = folder / "kept/wine__red_to_white__20_rows.json";
  const std::string before = content_of(kept);
  EXPECT_EQ(run_wines(folder, "kept", 2).facts.at("settings")[0].at("trust").size(), 2U);
  EXPECT_EQ(content_of(kept), before);
  const std::string table = "tabular/wine_quality/winequality-white.csv";
  folder.write(table, content_of(folder / table) + "1;2;3;4;5;6;7;8;9;10;11;5\n");
  try {
    run_wines(folder, "kept");
    FAIL() << "took over the settings of other data";
  } catch (const ValueError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("data is white (81 rows) here and white (80 rows) there"), std::string::npos) << text;
  }
  EXPECT_EQ(content_of(kept), before);
}

}  // namespace
}  // namespace rtl::test
