// The HTML report is one file that refers to nothing outside, with and without gnuplot.
#include <gtest/gtest.h>

#include <cmath>
#include <regex>

#include "cli/html_report.hpp"
#include "cli/json_report.hpp"
#include "cli/plot.hpp"
#include "cli/program.hpp"
#include "cli/table.hpp"
#include "cli/verdict_text.hpp"

namespace rtl::test {
namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++found;
  return found;
}

TEST(Report, IsSelfContained) {
  if (cli::gnuplot_version().empty()) GTEST_SKIP() << "gnuplot is not installed: run scripts/setup";
  const Workplace place;
  make_source(place);
  const auto outcome = place.run(small_transfer({"--html", "report.html"}));
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  const std::string html = place.read("report.html");
  EXPECT_TRUE(html.starts_with("<!DOCTYPE html>"));
  EXPECT_EQ(html.find("://"), std::string::npos);
  for (const char* outside : {"<script", "<link", "<img", "<iframe", "@import", "src="}) {
    EXPECT_EQ(html.find(outside), std::string::npos) << outside;
  }
  EXPECT_EQ(count(html, "<svg"), 3u);
  EXPECT_EQ(count(html, "</svg>"), 3u);
  // References stay inside the page, and lead to something.
  static const std::regex reference("href=['\"]([^'\"]*)['\"]");
  for (auto at = std::sregex_iterator(html.begin(), html.end(), reference); at != std::sregex_iterator(); ++at) {
    const std::string target = (*at)[1].str();
    ASSERT_TRUE(target.starts_with("#")) << target;
    EXPECT_EQ(count(html, "id='" + target.substr(1) + "'"), 1u) << target;
  }
}

TEST(Report, StatesTheProtocol) {
  const Workplace place;
  make_source(place);
  ASSERT_EQ(place.run(small_transfer({"--html", "report.html", "--label-flips", "0.25", "--flip-each-epoch"})).code, 0);
  const std::string html = place.read("report.html");
  for (const char* fact : {"rtl transfer --source source.safetensors", "1 to 2", "60 for training", "30 for the test",
                           "paper_cnn:2-2-2-8", "learning rate 0.01", "batch size 16", "0.25, drawn anew", "cpu"}) {
    EXPECT_NE(html.find(fact), std::string::npos) << fact;
  }
}

TEST(Report, GoesWithoutGnuplot) {
  const Workplace place;
  make_source(place);
  const auto outcome = place.run(small_transfer({"--html", "report.html"}), {"PATH=/nowhere"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_NE(outcome.errors.find("gnuplot-nox"), std::string::npos) << outcome.errors;
  const std::string html = place.read("report.html");
  EXPECT_EQ(html.find("<svg"), std::string::npos);
  EXPECT_NE(html.find("gnuplot-nox"), std::string::npos);
  EXPECT_NE(html.find("</html>"), std::string::npos);
}

/// A comparison with one strategy that helps and one that hurts.
transfer::Comparison example() {
  transfer::Comparison comparison;
  comparison.target = "a <b> & \"c\"";
  comparison.device = "cpu";
  comparison.sources = {"poor"};
  comparison.seeds = {1, 2, 3};
  const auto add = [&](const std::string& name, std::vector<double> values, std::vector<double> scratch) {
    transfer::StrategyResult result;
    result.name = name;
    result.accuracy.values = values;
    result.accuracy.mean = transfer::summarize(values).mean;
    result.pairs = 3;
    for (std::size_t i = 0; i < values.size(); ++i) scratch[i] = values[i] - scratch[i];
    if (name != "scratch") {
      const std::vector<double> samples(5000, transfer::summarize(scratch).mean);
      const auto difference = transfer::compare_paired(scratch, samples);
      result.difference_from_scratch = difference.over_seeds;
      result.difference_new_samples = difference.new_samples;
      result.verdict = transfer::judge(difference.over_seeds);
      result.verdict_new_samples = transfer::judge(difference.new_samples);
      result.p_value = result.p_value_holm = difference.p_value;
    }
    comparison.strategies.push_back(result);
  };
  const std::vector<double> scratch = {0.50, 0.52, 0.51};
  add("scratch", scratch, scratch);
  add("good", {0.60, 0.62, 0.62}, scratch);
  add("bad", {0.30, 0.33, 0.31}, scratch);
  add("even", {0.51, 0.52, 0.50}, scratch);
  auto& bad = comparison.strategies[2];
  bad.influence = {{"h", 32, 0.5, 0.1, 0.1}, {"poor", 64, 8.0, 0.9, 0.9}};
  bad.dominated_by = "poor";
  return comparison;
}

TEST(Report, SaysTheVerdictsInWords) {
  const auto comparison = example();
  const auto text = [&](std::size_t i) { return cli::describe_verdict(comparison.strategies[i], comparison); };
  EXPECT_NE(text(1).find("good helps: on average 10.3 percentage points above scratch"), std::string::npos) << text(1);
  EXPECT_NE(text(2).find("bad hurts: on average 19.7 percentage points below scratch"), std::string::npos) << text(2);
  EXPECT_NE(text(3).find("even: undecided"), std::string::npos) << text(3);
}

TEST(Report, ConcludesAfterHolmsCorrection) {
  auto comparison = example();
  const auto lines = cli::describe_conclusion(comparison);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0], "Transfer helped: good (Holm's correction over 3 strategies, 95 % in all).");
  EXPECT_EQ(lines[1], "Transfer hurt: bad (Holm's correction over 3 strategies, 95 % in all).");
  for (auto& result : comparison.strategies) result.p_value_holm = 0.06;  // the words of the rows stay
  EXPECT_EQ(cli::describe_conclusion(comparison).at(0),
            "Neither help nor harm of transfer is beyond chance (Holm's correction over 3 strategies, 95 % in all).");
  comparison.strategies.resize(1);
  EXPECT_TRUE(cli::describe_conclusion(comparison).empty());
}

TEST(Report, ConcludesNothingWhereNothingWasCompared) {
  auto comparison = example();
  auto& strategies = comparison.strategies;
  for (std::size_t i = 1; i < strategies.size(); ++i) {
    auto& result = strategies[i];
    result.pairs = 0;
    result.verdict = result.verdict_new_samples = transfer::Verdict::undecided;
    result.p_value = result.p_value_holm = 1;
  }
  EXPECT_EQ(cli::describe_conclusion(comparison),
            std::vector<std::string>{"No seed has a finished run of both scratch and a strategy, so nothing is said "
                                     "about help or harm of transfer."});
  strategies.front().pairs = 0;
  strategies.front().diverged = 3;
  const std::vector<std::string> want = {
      "Scratch did not finish: all of its runs diverged, so nothing is said about help or harm of transfer."};
  EXPECT_EQ(cli::describe_conclusion(comparison), want);
  const std::string html = cli::html_report(comparison, {}, {});
  EXPECT_NE(html.find(want[0]), std::string::npos);
  for (const char* sentence : {"Transfer helped", "Transfer hurt", "beyond chance"}) {
    EXPECT_EQ(html.find(sentence), std::string::npos) << sentence;
  }
}

TEST(Report, NotesWhatMakesNumbersSayLess) {
  auto comparison = example();
  comparison.test_samples = 50;
  comparison.class_names = {"oak", "fir"};
  comparison.scratch.beats_majority = false;
  comparison.scratch.majority_class = 1;
  comparison.strategies[1].diverged = 1;
  comparison.strategies[1].divergence = "train: the loss became NaN";
  comparison.strategies[2].constant = 3;
  for (std::int32_t c = 0; c < 25; ++c) comparison.strategies[3].forgotten.push_back(c);
  comparison.strategies[3].no_spread = true;
  const auto notes = cli::describe_notes(comparison);
  ASSERT_EQ(notes.size(), 6u);
  EXPECT_EQ(notes[0],
            "good: 1 of 3 runs diverged. The first: the loss became NaN. They are left out of its means, and it is not "
            "said to help.");
  EXPECT_NE(notes[1].find("scratch did not learn"), std::string::npos) << notes[1];
  EXPECT_NE(notes[1].find("always predicting class fir"), std::string::npos) << notes[1];
  EXPECT_EQ(notes[2], "bad: 3 of 3 runs predict one and the same class for every test sample.");
  EXPECT_EQ(notes[3], "even: no run predicts any of the classes oak, fir, 2, 3, 4, 5, 6, 7, 8, 9 and 15 more.");
  EXPECT_NE(notes[4].find("all equal"), std::string::npos) << notes[4];
  EXPECT_NE(notes[5].find("dominates"), std::string::npos) << notes[5];
}

TEST(Report, SaysWhereABlockDominates) {
  const auto notes = cli::describe_dominance(example());
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("In bad the frozen block poor dominates: it makes 90 %"), std::string::npos) << notes[0];
}

TEST(Report, EscapesWhatUsersName) {
  const auto html = cli::html_report(example(), {{"command", "rtl 'a<b'"}}, {});
  EXPECT_NE(html.find("a &lt;b&gt; &amp; &quot;c&quot;"), std::string::npos);
  EXPECT_EQ(html.find("a<b"), std::string::npos);
}

TEST(Report, NumbersThatAreNoneBecomeNull) {
  auto comparison = example();
  comparison.strategies[0].auc.mean = std::nan("");
  EXPECT_TRUE(nlohmann::json::parse(cli::to_json(comparison).dump())["strategies"][0]["auc"].is_null());
}

TEST(Tables, AlignColumns) {
  cli::Table table({"name", "n"});
  table.add({"a", "1,000"});
  table.add({"bé", "2"});
  EXPECT_EQ(table.to_string(), "name      n\n----  -----\na     1,000\nbé        2\n");
  EXPECT_EQ(cli::grouped(12528298), "12,528,298");
  EXPECT_EQ(cli::grouped(-1234), "-1,234");
  EXPECT_EQ(cli::grouped(999), "999");
}

}  // namespace
}  // namespace rtl::test
