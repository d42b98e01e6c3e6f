// The transfer table: its settings, its statistics on made-up numbers, and, on tables as small as they may be, that it
// gives the same again and goes on where it stopped.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "io/json.hpp"
#include "rtl/transfer/strategy.hpp"
#include "studies/run_study.hpp"
#include "studies/transfer_table/selection.hpp"
#include "studies/transfer_table/summaries.hpp"
#include "studies/transfer_table/transferability.hpp"
#include "studies/wines.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::test {
namespace {

namespace table = studies::transfer_table;
using studies::Json;

TEST(TransferTable, KeepsTheSameThirdOfItsPairsAside) {
  const std::vector<table::Setting> all = table::settings(false);
  EXPECT_EQ(all.size(), 201U);
  std::set<std::string> names, pairs, kept, groups;
  for (const table::Setting& setting : all) {
    EXPECT_TRUE(names.insert(setting.name()).second) << setting.name();
    pairs.insert(setting.pair());
    groups.insert(setting.group());
    if (setting.kept) kept.insert(setting.pair());
  }
  for (const table::Setting& setting : all) EXPECT_EQ(setting.kept, kept.count(setting.pair()) == 1) << setting.name();
  const std::vector<std::string> known = table::groups();
  EXPECT_EQ(groups, (std::set<std::string>(known.begin(), known.end())));
  EXPECT_EQ(pairs.size(), 122U);
  EXPECT_EQ(kept.size(), 42U);
  // Pinned: rules that were made on the others must meet the same settings for ever.
  for (const char* pair :
       {"wine, red to white", "heart, hungarian to switzerland", "heart, hungarian to va", "heart, switzerland to va",
        "heart, va to hungarian", "digits, mnist to fashion", "digits, fashion to usps", "cifar100, ResNet-20 to fine",
        "cifar100, ResNet-56 to fine", "cifar100, ResNet-56 to vehicles",
        "cortex, cell type to region from other genes", "heart, cleveland to hungarian, source: random labels",
        "heart, cleveland to hungarian, source: rows permuted", "digits, usps to mnist, source: random labels",
        "digits, usps to mnist, source: noise of width 512", "digits, usps to mnist, source: times 100",
        "wine, red to white, source: random labels", "wine, red to white, source: rows permuted"})
    EXPECT_EQ(kept.count(pair), 1U) << pair;
  for (const table::Setting& setting : table::settings(true)) {
    EXPECT_EQ(names.count(setting.name()), 1U);
    EXPECT_EQ(setting.kept, kept.count(setting.pair()) == 1);
  }
}

table::Outcome made_up(const std::string& source, const std::map<std::string, std::vector<double>>& scores) {
  table::Outcome outcome;
  outcome.setting = {"made", source, "up", 10};
  for (const auto& [label, own] : scores) outcome.strategies[label] = {own, {}, 0.5};
  return outcome;
}

/// Scores around a mean with a deviation that is known: +-d in turn have a sample deviation of d sqrt(10 / 9).
std::vector<double> around(double mean, double d) {
  std::vector<double> values(10);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = mean + (i % 2 == 0 ? d : -d);
  return values;
}

TEST(TransferTable, SumsUpByPlainArithmetic) {
  const std::vector<double> flat(10, 0.5);
  // A mean difference m of values +-d has the interval m -+ 2.262157 d sqrt(10 / 9) / sqrt(10) = m -+ 0.754052 d.
  const std::vector<table::Outcome> outcomes{
      made_up("helps",
              {{"scratch", flat}, {"probe", around(0.6, 0.1)}, {"ridge-probe", flat}, {"refine", around(0.57, 0.1)}}),
      made_up("harms", {{"scratch", flat},
                        {"probe", around(0.4, 0.1)},
                        {"ridge-probe", around(0.45, 0.1)},
                        {"refine", around(0.42, 0.1)}}),
      made_up("unclear",
              {{"scratch", flat}, {"probe", flat}, {"ridge-probe", around(0.55, 0.2)}, {"refine", around(0.43, 0.1)}}),
      made_up("without", {{"scratch", flat}, {"probe", flat}, {"ridge-probe", flat}, {"refine", around(-9, 0.1)}}),
  };
  std::vector<const table::Outcome*> all;
  for (const table::Outcome& outcome : outcomes) all.push_back(&outcome);
  const transfer::Interval one = outcomes[2].difference("refine", "scratch");
  EXPECT_NEAR(one.mean, -0.07, 1e-12);
  EXPECT_NEAR(one.high - one.mean, 2.2621571627 * 0.1 * std::sqrt(10.0 / 9) / std::sqrt(10.0), 1e-9);

  EXPECT_EQ(outcomes[0].best_rival(), "probe");
  EXPECT_EQ(outcomes[1].best_rival(), "scratch");
  EXPECT_EQ(outcomes[2].best_rival(), "ridge-probe");
  EXPECT_EQ(outcomes[3].best_rival(), "scratch") << "the first of equals";

  const table::Tally refine = table::Tally::of(all, "refine");
  EXPECT_EQ(refine.settings, 4U);
  // -9 counts as -1.
  EXPECT_NEAR(refine.gain, (0.07 - 0.08 - 0.07 - 1.5) / 4, 1e-12);
  EXPECT_NEAR(refine.worst, -1.5, 1e-12);
  EXPECT_EQ(refine.worst_setting, outcomes[3].setting.name());
  // 0.0754 is the half-width: 0.07 is not significant, 0.08 is.
  EXPECT_EQ(refine.worse, 2U);
  EXPECT_EQ(refine.better, 0U);
  // The best are 0.6, 0.5, 0.55, 0.5; differences to probe in the first are -0.03 throughout.
  EXPECT_NEAR(refine.regret, (0.03 + 0.08 + 0.12 + 1.5) / 4, 1e-12);
  // In the third the difference alternates by 0.1 - 0.2: half-width 0.0754 again.
  EXPECT_EQ(refine.worse_than_best, 4U);
  EXPECT_EQ(refine.better_than_best, 0U);
  EXPECT_NEAR(refine.processor_seconds, 0.5, 1e-12);

  const table::Tally scratch = table::Tally::of(all, "scratch");
  EXPECT_EQ(scratch.gain, 0);
  EXPECT_EQ(scratch.worse, 0U);
  EXPECT_NEAR(scratch.regret, (0.1 + 0 + 0.05 + 0) / 4, 1e-12);
  EXPECT_EQ(scratch.worse_than_best, 1U) << "0.05 of a half-width of 0.1508 is not significant";
  EXPECT_EQ(table::Tally::of(all, "fine-tune").settings, 0U);
}

TEST(TransferTable, ChoosesStrategiesByNameOrFromTheLibrary) {
  using Labels = std::vector<std::string>;
  const auto chosen = [](const Labels& asked) { return table::Selection::of(asked); };
  EXPECT_EQ(chosen({"main"}).labels, table::main_labels());
  EXPECT_EQ(chosen({"main"}).detailed, table::main_labels());
  const table::Selection all = chosen({"all"});
  EXPECT_EQ(all.detailed, table::main_labels());
  EXPECT_EQ(all.others().size(), all.labels.size() - all.detailed.size());
  EXPECT_TRUE(chosen({"main"}).others().empty());
  EXPECT_TRUE(std::equal(table::main_labels().begin(), table::main_labels().end(), all.labels.begin()));
  std::set<std::string> names(all.labels.begin(), all.labels.end());
  EXPECT_EQ(names.size(), all.labels.size()) << "no label twice";
  for (const transfer::Strategy* strategy : transfer::strategies()) {
    EXPECT_EQ(names.contains(strategy->info().name), strategy->info().in_all) << strategy->info().name;
  }
  const Labels few{"scratch", "probe", "ridge-probe", "refine", "dann-gate:published", "mmd"};
  EXPECT_EQ(chosen({"dann-gate:published", "probe", "mmd"}).labels, few) << "with what hindsight chooses among";
  EXPECT_EQ(chosen({"dann-gate:published", "probe", "mmd"}).detailed, few);
  EXPECT_EQ(chosen({"main", "mmd"}).labels.back(), "mmd");
  EXPECT_THROW(chosen({}), studies::OptionError);
  EXPECT_THROW(chosen({"everything"}), studies::OptionError);
  EXPECT_THROW(chosen({"refine:unheard-of"}), studies::OptionError);
}

/// The cells of the row that begins so.
std::vector<std::string> row_of(const studies::TextTable& table, const std::string& first) {
  for (const std::vector<std::string>& row : table.rows) {
    if (row.front() == first) return row;
  }
  return {};
}

TEST(TransferTable, ComparesAStrategyWithScratchWhereItIsAllowed) {
  const std::vector<double> flat(10, 0.5);
  std::vector<table::Outcome> outcomes;
  for (const char* name : {"one", "two", "three"}) {
    outcomes.push_back(
        made_up(name, {{"scratch", flat}, {"probe", around(0.8, 0.1)}, {"ridge-probe", flat}, {"refine", flat}}));
    outcomes.back().setting.family = "wine";
  }
  outcomes[1].strategies["mmd"] = {around(0.4, 0.1), {3}, 4};
  outcomes[1].strategies["scratch"].processor_seconds = 0.25;
  outcomes[2].strategies["mmd"] = {around(0.7, 0.1), {}, 2};
  outcomes[0].left_out = {{"mmd", "mmd trains the source"}, {"lora", "lora trains the source"}};
  outcomes[1].left_out = {{"cat", "cat looks at samples of the source"}};
  outcomes[2].setting.kept = true;
  Json json;
  const studies::TextTable overview = table::overview_table(outcomes, {"scratch", "mmd", "cat"}, json);
  // Gains -0.1 and +0.2, of half-widths 0.0754; the best there is probe's 0.8; 3 s against (0.25 + 0.5) / 2.
  ASSERT_EQ(overview.header.size(), 9U) << "one kind of setting, and what all cost";
  EXPECT_EQ(row_of(overview, "mmd"),
            (std::vector<std::string>{"mmd", "2", "+5.0", "1", "-10.0", "+25.0", "3.000", "8.0", "1"}));
  EXPECT_TRUE(row_of(overview, "cat").empty()) << "it is nowhere";
  EXPECT_NEAR(json.at("mmd").at("mean_gain").get<double>(), 0.05, 1e-12);
  EXPECT_NEAR(json.at("mmd").at("scratch_processor_seconds").get<double>(), 0.375, 1e-12);
  EXPECT_EQ(json.at("scratch").at("settings"), 3);
  outcomes[1].setting.regression = true;
  const studies::TextTable apart = table::overview_table(outcomes, {"mmd"}, json);
  EXPECT_EQ(row_of(apart, "mmd"), (std::vector<std::string>{"mmd", "1", "+20.0", "0", "+20.0", "+10.0", "1", "-10.0",
                                                            "1", "-10.0", "+40.0", "3.000", "8.0", "1"}));
  EXPECT_EQ(json.at("mmd").at("kinds").at("real targets").at("settings"), 1);
  outcomes[1].setting.regression = false;

  const studies::TextTable kinds = table::kinds_table(outcomes, {"scratch", "mmd"});
  ASSERT_EQ(kinds.rows.size(), 4U);
  EXPECT_EQ(kinds.rows[1],
            (std::vector<std::string>{"visible", "classes, natural sources", "mmd", "1", "-10.00", "1 (100 %)", "-10.0",
                                      "0 (0 %)", "+40.00", "1 (100 %)", "16.0", outcomes[1].setting.name()}));
  EXPECT_EQ(kinds.rows[3][4], "+20.00");

  const studies::TextTable each = table::differences_table(outcomes, {"mmd", "probe"});
  EXPECT_EQ(row_of(each, outcomes[1].setting.name())[1], "-10.0*");
  EXPECT_EQ(row_of(each, outcomes[0].setting.name()),
            (std::vector<std::string>{outcomes[0].setting.name(), "", "+30.0*"}));

  const studies::TextTable without = table::left_out_table(outcomes, {"cat", "lora", "mmd"});
  ASSERT_EQ(without.rows.size(), 2U);
  EXPECT_EQ(row_of(without, "lora, mmd"),
            (std::vector<std::string>{"lora, mmd", "1", "wine 1", "lora trains the source"}));
  EXPECT_EQ(row_of(without, "cat")[3], "cat looks at samples of the source");
}

TEST(TransferTable, CorrelatesRanks) {
  using Numbers = std::vector<double>;
  const auto rho = [](const Numbers& a, const Numbers& b) { return table::rank_correlation(a, b); };
  // Differences of ranks 2, -1, -1, 1, -1: 1 - 6 * 8 / (5 * 24).
  EXPECT_NEAR(rho({3, 1, 2, 5, 4}, {-1, 2, 3, 40, 50}).value(), 0.6, 1e-15);
  // Ranks 0, 1.5, 1.5, 3 and 0, 3, 1.5, 1.5: 2.25 / 4.5.
  EXPECT_NEAR(rho({1, 2, 2, 4}, {10, 30, 20, 20}).value(), 0.5, 1e-15);
  // Ranks 1, 1, 1, 3, 4 and 0, 1, 2, 3.5, 3.5 around 2: (2 + 1 + 0 + 1.5 + 3) / sqrt(8 * 9.5).
  EXPECT_NEAR(rho({5, 5, 5, 6, 7}, {1, 2, 3, 9, 9}).value(), 7.5 / std::sqrt(76.0), 1e-15);
  EXPECT_EQ(rho({1, 2, 2}, {-8, -7, -7}).value(), 1);
  EXPECT_EQ(rho({1, 2}, {5, 4}).value(), -1);
  EXPECT_FALSE(rho({1, 1, 1}, {1, 2, 3}));
  EXPECT_FALSE(rho({1, 2, 3}, {4, 4, 4}));
  EXPECT_FALSE(rho({1}, {1}));
  EXPECT_FALSE(rho({}, {}));
  EXPECT_THROW(rho({1, 2}, {1}), ShapeError);
}

/// Two seeds of each strategy with the same score.
table::Outcome scored(const std::string& target, std::int64_t rows, double scratch, double probe, double ridge,
                      double log_me) {
  table::Outcome outcome =
      made_up("source", {{"scratch", {scratch, scratch}}, {"probe", {probe, probe}}, {"ridge-probe", {ridge, ridge}}});
  outcome.setting.target = target;
  outcome.setting.rows = rows;
  outcome.transferability = {{"log_me", log_me}};
  return outcome;
}

TEST(TransferTable, CorrelatesScoresWithinTargetsAndOverAll) {
  std::vector<table::Outcome> outcomes{
      // The better probes score 0.6, 0.7, 0.8, and gain as much less 0.5: ranks 0, 1, 2 and 0, 2, 1.
      scored("a", 10, 0.5, 0.6, 0.1, 1), scored("a", 10, 0.5, 0.2, 0.7, 3), scored("a", 10, 0.5, 0.8, 0.8, 2),
      // Scores 0.3, 0.4, 0.5 and gains 0.3, 0.2, 0.1.
      scored("b", 10, 0.0, 0.3, 0.3, 4), scored("b", 10, 0.2, 0.4, 0.3, 5), scored("b", 10, 0.4, 0.5, 0.3, 6),
      // Too few, and a target that the score does not tell the sources of apart.
      scored("a", 20, 0.5, 0.9, 0.9, 9), scored("a", 20, 0.5, 0.1, 0.1, 10), scored("c", 10, 0.5, 0.1, 0.1, 7),
      scored("c", 10, 0.5, 0.2, 0.1, 7), scored("c", 10, 0.5, 0.3, 0.1, 7)};
  outcomes[6].transferability["leep"] = -1;
  std::vector<const table::Outcome*> all;
  for (const table::Outcome& outcome : outcomes) all.push_back(&outcome);
  const table::Agreement found = table::Agreement::of(all, "log_me");
  EXPECT_EQ(found.settings, 11U);
  EXPECT_EQ(found.targets, 2U);
  EXPECT_NEAR(found.gain_within.value(), (0.5 - 1) / 2, 1e-15);
  EXPECT_NEAR(found.accuracy_within.value(), (0.5 + 1) / 2, 1e-15);
  std::vector<double> scores, accuracies;
  for (const table::Outcome& outcome : outcomes) {
    scores.push_back(outcome.transferability.at("log_me"));
    accuracies.push_back(std::max(outcome.mean("probe"), outcome.mean("ridge-probe")));
  }
  EXPECT_EQ(found.accuracy_over_all.value(), table::rank_correlation(scores, accuracies).value());
  const table::Agreement one = table::Agreement::of(all, "leep");
  EXPECT_EQ(one.settings, 1U);
  EXPECT_EQ(one.targets, 0U);
  EXPECT_FALSE(one.gain_within || one.gain_over_all);
  EXPECT_EQ(table::Agreement::of(all, "nce").settings, 0U);
}

struct Result {
  studies::Reproduction reproduction;
  Json settings;
  std::vector<std::string> notes;
};

Result run_wines(const TemporaryFolder& folder, const std::string& state = "", int seeds = 2,
                 const std::vector<std::string>& strategies = {"main"}) {
  const auto run = study_named("transfer-table").begin();
  set<std::string>(*run, "--data", folder.path());
  set<std::vector<std::string>>(*run, "--group", {"wine", "wine-classes"});
  set<std::vector<std::string>>(*run, "--strategies", strategies);
  set<std::string>(*run, "--state", state.empty() ? "" : folder / state);
  set<int>(*run, "--seeds", seeds);
  Result result;
  studies::RunOptions options;
  options.note = [&](const std::string& text) { result.notes.push_back(text); };
  result.reproduction = run->run(options);
  result.settings = studies::to_json(result.reproduction).at("settings");
  return result;
}

/// What does not depend on the machine's speed.
Json scores_of(Json settings) {
  for (Json& setting : settings) {
    for (Json& strategy : setting["strategies"]) strategy.erase("processor_seconds");
  }
  return settings;
}

TEST(TransferTable, GivesTheSameScoresAgain) {
  const TemporaryFolder folder;
  write_wines(folder, 120);
  const Result first = run_wines(folder);
  ASSERT_EQ(first.settings.size(), 4U);  // both directions of both
  for (const Json& setting : first.settings) {
    ASSERT_EQ(setting.at("strategies").size(), table::main_labels().size());
    ASSERT_TRUE(setting.at("left_out").empty());
    // Of real targets LogME alone; sources of classes have a head.
    ASSERT_EQ(setting.at("transferability").size(), setting.at("regression").get<bool>() ? 1U : 6U);
    for (const Json& score : setting.at("transferability")) EXPECT_TRUE(std::isfinite(score.get<double>()));
    for (const Json& strategy : setting.at("strategies")) {
      EXPECT_EQ(strategy.at("scores").size(), 2U);
      EXPECT_GT(strategy.at("processor_seconds").get<double>(), 0);
    }
  }
  EXPECT_EQ(scores_of(first.settings), scores_of(run_wines(folder).settings));
  // The wines are alike, and 120 rows of one say more than 50 of the other.
  double gain = 0;
  for (const Json& setting : first.settings) {
    if (!setting.at("regression").get<bool>()) continue;
    for (const std::size_t seed : {0, 1}) {
      gain += setting.at("strategies").at("fine-tune").at("scores")[seed].get<double>() -
              setting.at("strategies").at("scratch").at("scores")[seed].get<double>();
    }
  }
  EXPECT_GT(gain, 0);
}

constexpr const char* one_setting = "wine__red_to_white__50_rows.json";

TEST(TransferTable, GoesOnFromFinishedSettings) {
  const TemporaryFolder folder;
  write_wines(folder, 120);
  const Json before = scores_of(run_wines(folder, "kept").settings);
  const std::string kept = folder / "kept" + std::string("/") + one_setting;
  Json setting = io::read_sealed_json(kept);
  setting["result"]["strategies"]["probe"]["scores"] = {0.125, 0.125};
  setting["result"]["strategies"].erase("refine");
  setting["result"].erase("transferability");
  setting["result"].erase("left_out");  // as it was kept before there were reasons
  io::write_sealed_json(kept, setting);
  folder.write("kept/wine__white_to_red__50_rows.json", "{\"strategies\": {\"scr");
  std::filesystem::remove(folder / "kept/wine-classes__red_to_white__50_rows.json");
  const Result after = run_wines(folder, "kept");
  ASSERT_EQ(after.notes.size(), 1U);
  EXPECT_NE(after.notes[0].find("wine__white_to_red__50_rows.json"), std::string::npos) << after.notes[0];
  Json expected = before;
  for (Json& one : expected) {
    if (one["family"] == "wine" && one["source"] == "red") one["strategies"]["probe"]["scores"] = {0.125, 0.125};
  }
  EXPECT_EQ(scores_of(after.settings), expected) << "what was there is taken over, what was not is the same again";
  EXPECT_EQ(scores_of(run_wines(folder, "kept").settings), expected);
}

/// Strategies of the library and no others: programs' own are registered by other tests.
std::set<std::string> library_names() {
  std::set<std::string> names;
  for (const transfer::Strategy* strategy : transfer::strategies()) {
    if (strategy->info().in_all) names.insert(strategy->info().name);
  }
  return names;
}

TEST(TransferTable, FitsEveryStrategyThatASettingAllowsAndSaysWhyNotTheOthers) {
  const TemporaryFolder folder;
  write_wines(folder, 120);
  const Result result = run_wines(folder, "", 2, {"all"});
  ASSERT_EQ(result.settings.size(), 4U);
  for (const Json& setting : result.settings) {
    const bool regression = setting.at("regression").get<bool>();
    std::set<std::string> missing = library_names(), left_out;
    for (const auto& [label, own] : setting.at("strategies").items()) {
      missing.erase(label);
      EXPECT_EQ(own.at("scores").size(), 2U) << label;
      for (const Json& score : own.at("scores")) EXPECT_TRUE(std::isfinite(score.get<double>())) << label;
    }
    for (const auto& [label, reason] : setting.at("left_out").items()) {
      left_out.insert(label);
      EXPECT_NE(reason.get<std::string>().find(label + " needs classes"), std::string::npos) << reason;
    }
    EXPECT_EQ(missing, left_out) << "the source has a network and samples, with targets like these";
    EXPECT_EQ(left_out, regression ? (std::set<std::string>{"coral-gate", "dann-gate", "nearest-mean"})
                                   : std::set<std::string>());
  }
  const Json facts = studies::to_json(result.reproduction);
  const auto settings_of = [&](const char* label) {
    return facts.at("strategies").at(label).at("settings").get<int>();
  };
  EXPECT_EQ(settings_of("scratch"), 4);
  EXPECT_EQ(settings_of("cat"), 4);
  EXPECT_EQ(settings_of("dann-gate"), 2);
}

TEST(TransferTable, AddsStrategiesToKeptSettings) {
  const TemporaryFolder folder;
  write_wines(folder, 120);
  run_wines(folder, "kept");
  const std::string kept = folder / "kept" + std::string("/") + one_setting;
  Json setting = io::read_sealed_json(kept);
  setting["result"]["strategies"]["probe"]["scores"] = {0.125, 0.125};
  setting["result"].erase("left_out");
  io::write_sealed_json(kept, setting);
  const std::vector<std::string> more{"mmd", "coral-gate:alpha=8"};
  Json expected = scores_of(run_wines(folder, "", 2, more).settings);
  for (Json& one : expected) {
    const bool changed = one["family"] == "wine" && one["source"] == "red";
    if (changed) one["strategies"]["probe"]["scores"] = {0.125, 0.125};
    EXPECT_EQ(one["strategies"].size(), one["regression"].get<bool>() ? 5U : 6U) << "with scratch and its rivals";
  }
  EXPECT_EQ(scores_of(run_wines(folder, "kept", 2, more).settings), expected);
  const std::string whole = content_of(kept);
  EXPECT_NE(whole.find("safe:fits=two"), std::string::npos) << "what is not asked for stays";
  EXPECT_EQ(scores_of(run_wines(folder, "kept", 2, more).settings), expected);
  EXPECT_EQ(content_of(kept), whole) << "nothing is left to do, of what is left out either";
}

TEST(TransferTable, KeepsSeedsThatAreNotAskedForAndOtherData) {
  const TemporaryFolder folder;
  write_wines(folder, 120);
  run_wines(folder, "kept", 3);
  const std::string kept = folder / "kept" + std::string("/") + one_setting, whole = content_of(kept);
  for (const Json& setting : run_wines(folder, "kept", 2).settings) {
    for (const Json& strategy : setting.at("strategies")) EXPECT_EQ(strategy.at("scores").size(), 2U);
  }
  EXPECT_EQ(content_of(kept), whole);
  const std::string wines = "tabular/wine_quality/winequality-white.csv";
  folder.write(wines, content_of(folder / wines) + "1;2;3;4;5;6;7;8;9;10;11;5\n");
  EXPECT_THROW(run_wines(folder, "kept"), ValueError);
  EXPECT_EQ(content_of(kept), whole);
}

TEST(TransferTable, StopsAndKeepsWhatIsFinished) {
  const TemporaryFolder folder;
  write_wines(folder, 120);
  const auto run = study_named("transfer-table").begin();
  set<std::string>(*run, "--data", folder.path());
  set<std::vector<std::string>>(*run, "--group", {"wine"});
  set<std::string>(*run, "--state", folder / "kept");
  studies::RunOptions options;
  options.stop = [] { return true; };
  EXPECT_THROW(run->run(options), Error);
  set<std::vector<std::string>>(*run, "--group", {"cifar100"});
  EXPECT_THROW(run->run({}), studies::OptionError) << "no setting of cifar100 is quick";
}

}  // namespace
}  // namespace rtl::test
