// rtl reproduce linear-transfer, on tables as small as they may be: what it reports, and that it goes on where it
// stopped.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "cli/program.hpp"
#include "io/json.hpp"
#include "rtl/core/random.hpp"

namespace rtl::test {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

/// Two wines whose quality depends alike on their eleven properties.
void write_wines(const Workplace& place) {
  const std::string folder = place.path("data/tabular/wine_quality");
  std::filesystem::create_directories(folder);
  for (const std::string colour : {"red", "white"}) {
    RandomSequence random(colour == "red" ? 1 : 2);
    std::ofstream file(folder + "/winequality-" + colour + ".csv");
    for (int j = 0; j < 11; ++j) file << "\"property " << j << "\";";
    file << "\"quality\"\n";
    for (int i = 0; i < 80; ++i) {
      double quality = 5 + 0.3 * random.normal();
      for (int j = 0; j < 11; ++j) {
        const double value = random.normal();
        quality += value * (j % 3 - 1);
        file << value << ';';
      }
      file << quality << '\n';
    }
  }
}

Words study(const Words& more) {
  Words words = {"reproduce", "linear-transfer", "--threads", "1", "--data", "data", "--family", "wine", "--quick"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST(ReproduceLinearTransfer, ComparesPoliciesAndJudgesItsClaims) {
  const Workplace place;
  write_wines(place);
  const Outcome outcome = place.run(study({"--json", "s.json", "--html", "s.html", "--csv", "tables"}));
  const json facts = place.json("s.json");
  // Three seeds prove little: what counts is that the exit code agrees with the claims.
  EXPECT_EQ(outcome.code, facts["failed"] == 0 ? 0 : 1) << outcome.errors;
  ASSERT_EQ(facts["claims"].size(), 3U);
  EXPECT_EQ(facts["seeds"], 3);
  ASSERT_EQ(facts["settings"].size(), 4U);  // both directions, 20 and 50 rows
  double sum = 0;
  for (const json& setting : facts["settings"]) {
    EXPECT_EQ(setting["family"], "wine");
    const json& policies = setting["policies"];
    ASSERT_EQ(policies.size(), 4U);
    for (const json& policy : policies) ASSERT_EQ(policy["values"].size(), 3U);
    double difference = 0;
    for (std::size_t seed = 0; seed < 3; ++seed) {
      difference +=
          (policies["advisor"]["values"][seed].get<double>() - policies["scratch"]["values"][seed].get<double>()) / 3;
      const double trust = setting["trust"][seed];
      EXPECT_TRUE(trust >= 0 && trust <= 1) << trust;
    }
    EXPECT_NEAR(policies["advisor"]["difference_from_scratch"]["mean"].get<double>(), difference, 1e-12);
    sum += difference;
  }
  // The tables are alike, so that transfer from 80 rows to 20 must help.
  EXPECT_GT(sum, 0);
  EXPECT_NE(outcome.output.find("wine, red to white, 20 rows"), std::string::npos) << outcome.output;
  EXPECT_NE(place.read("s.html").find("wine, white to red, 50 rows"), std::string::npos);
  EXPECT_TRUE(place.has("tables/claims.csv"));
}

TEST(ReproduceLinearTransfer, GoesOnFromFinishedSettings) {
  const Workplace place;
  write_wines(place);
  place.run(study({"--state", "kept", "--json", "first.json"}));
  const std::string kept = "kept/wine__red_to_white__20_rows.json";
  ASSERT_TRUE(place.has(kept));
  io::Json setting = io::read_sealed_json(place.path(kept));
  setting["result"]["trust"] = {0.125, 0.125, 0.125};
  io::write_sealed_json(place.path(kept), setting);
  place.write("kept/wine__red_to_white__50_rows.json", "{\"seeds\": 3, \"policies\": {\"scr");
  std::filesystem::remove(place.path("kept/wine__white_to_red__20_rows.json"));
  const Outcome outcome = place.run(study({"--state", "kept", "--json", "second.json"}));
  EXPECT_NE(outcome.errors.find("wine__red_to_white__50_rows.json"), std::string::npos) << outcome.errors;
  json first = place.json("first.json"), second = place.json("second.json");
  EXPECT_EQ(second["settings"][0]["trust"][0], 0.125) << "a finished setting was computed again";
  EXPECT_EQ(place.json("kept/wine__red_to_white__50_rows.json")["content"]["result"], first["settings"][1])
      << "not repaired";
  first["settings"][0].erase("trust");
  second["settings"][0].erase("trust");
  first.erase("protocol");  // names the files
  second.erase("protocol");
  EXPECT_EQ(first, second);
}

TEST(ReproduceLinearTransfer, KeepsSettingsOfOtherDataAndFewerSeeds) {
  const Workplace place;
  write_wines(place);
  place.run(study({"--state", "kept", "--json", "first.json"}));
  const std::string before = place.read("kept/wine__red_to_white__20_rows.json");
  place.run(study({"--state", "kept", "--seeds", "2", "--json", "fewer.json"}));
  EXPECT_EQ(place.json("fewer.json")["settings"][0]["trust"].size(), 2u);
  EXPECT_EQ(place.read("kept/wine__red_to_white__20_rows.json"), before);
  const std::string table = "data/tabular/wine_quality/winequality-white.csv";
  place.write(table, place.read(table) + "1;2;3;4;5;6;7;8;9;10;11;5\n");
  const Outcome other = place.run(study({"--state", "kept", "--json", "other.json"}));
  EXPECT_EQ(other.code, 1);
  EXPECT_NE(other.errors.find("data is white (81 rows) here and white (80 rows) there"), std::string::npos)
      << other.errors;
  EXPECT_EQ(place.read("kept/wine__red_to_white__20_rows.json"), before);
}

TEST(ReproduceLinearTransfer, RefusesWhatItCannotDo) {
  const Workplace place;
  const Outcome unknown = place.run({"reproduce", "linear-transfer", "--family", "beer"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_NE(unknown.errors.find("beer"), std::string::npos) << unknown.errors;
  const Outcome missing = place.run(study({}));
  EXPECT_EQ(missing.code, 1);
  EXPECT_NE(missing.errors.find("winequality-red.csv"), std::string::npos) << missing.errors;
  write_wines(place);
  const Outcome unwritable = place.run(study({"--json", "nowhere/s.json"}));
  EXPECT_EQ(unwritable.code, 1);
  EXPECT_NE(unwritable.errors.find("nowhere"), std::string::npos) << unwritable.errors;
}

}  // namespace
}  // namespace rtl::test
