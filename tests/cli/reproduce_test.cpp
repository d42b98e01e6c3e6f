// rtl reproduce: exit codes, and the JSON, CSV and HTML files that it writes.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <sstream>

#include "cli/commands.hpp"
#include "cli/plot.hpp"
#include "cli/program.hpp"
#include "cli/reproduce.hpp"
#include "cli/study_report.hpp"
#include "rtl/core/error.hpp"
#include "support/documents.hpp"
#include "support/paths.hpp"

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

/// What a run of one part found, every claim of which must hold, and wrote.
void check_part(const Workplace& place, const std::string& paper, const Outcome& outcome) {
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
}

/// The README's commands in small: the first part alone or a quicker one, and without data, which some need and say so.
TEST(Reproduce, EveryStudyOfTheReadmeRuns) {
  const std::map<std::string, std::string> quicker = {{"optimal-features", "descent"}};
  std::size_t ran = 0;
  for (const studies::Study* study : studies::all()) {
    SCOPED_TRACE(study->name);
    const Workplace place;
    Words words{"reproduce", study->name, "--quick", "--json", "r.json", "--csv", "tables", "--html", "r.html"};
    if (quicker.contains(study->name)) {
      words = with(words, {"--only", quicker.at(study->name)});
    } else if (!study->parts.empty()) {
      words = with(words, {"--only", study->parts.front()});
    }
    const Outcome outcome = place.run(words, {"RTL_DATA="});
    if (outcome.code == 2) {
      EXPECT_NE(outcome.errors.find("--data"), std::string::npos) << outcome.errors;
      EXPECT_TRUE(place.files().empty());
      continue;
    }
    check_part(place, study->name, outcome);
    ++ran;
  }
  EXPECT_GE(ran, 4);
}

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

TEST(Reproduce, NetworksNeedTheirData) {
  const Workplace place;
  const auto without = place.run({"reproduce", "l2sp", "--only", "networks", "--networks"}, {"RTL_DATA="});
  EXPECT_EQ(without.code, 2);
  EXPECT_NE(without.errors.find("--data"), std::string::npos) << without.errors;
  for (const char* study : {"ensemble", "partial"}) {
    EXPECT_EQ(place.run({"reproduce", study, "--networks"}, {"RTL_DATA="}).code, 2);
  }
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

TEST(Reproduce, LinearTransferRefusesWhatItCannotDo) {
  const Workplace place;
  const Outcome unknown = place.run({"reproduce", "linear-transfer", "--family", "beer"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_NE(unknown.errors.find("beer"), std::string::npos) << unknown.errors;
  const Outcome nowhere = place.run({"reproduce", "linear-transfer", "--quick"}, {"RTL_DATA="});
  EXPECT_EQ(nowhere.code, 2);
  EXPECT_NE(nowhere.errors.find("--data"), std::string::npos) << nowhere.errors;
  const std::vector<std::string> words = {"reproduce", "linear-transfer", "--quick", "--family",
                                          "wine",      "--data",          "data",    "--json"};
  const auto with = [&](const std::string& json) {
    std::vector<std::string> all = words;
    all.push_back(json);
    return place.run(all);
  };
  const Outcome missing = with("s.json");
  EXPECT_EQ(missing.code, 1);
  EXPECT_NE(missing.errors.find("winequality-red.csv"), std::string::npos) << missing.errors;
  const Outcome unwritable = with("nowhere/s.json");
  EXPECT_EQ(unwritable.code, 1);
  EXPECT_NE(unwritable.errors.find("nowhere"), std::string::npos) << unwritable.errors;
}

TEST(Reproduce, TransferTableRefusesWhatItCannotDo) {
  const Workplace place;
  const Outcome unknown = place.run({"reproduce", "transfer-table", "--group", "beer"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_NE(unknown.errors.find("beer"), std::string::npos) << unknown.errors;
  EXPECT_EQ(place.run({"reproduce", "transfer-table", "--part", "half", "--data", "data"}).code, 2);
  const Outcome nowhere = place.run({"reproduce", "transfer-table", "--quick"}, {"RTL_DATA="});
  EXPECT_EQ(nowhere.code, 2);
  EXPECT_NE(nowhere.errors.find("--data"), std::string::npos) << nowhere.errors;
  const Outcome none = place.run({"reproduce", "transfer-table", "--quick", "--group", "cifar100", "--data", "data"});
  EXPECT_EQ(none.code, 2);
  EXPECT_NE(none.errors.find("no setting"), std::string::npos) << none.errors;
  const Outcome missing = place.run({"reproduce", "transfer-table", "--quick", "--group", "wine", "--data", "data"});
  EXPECT_EQ(missing.code, 1);
  EXPECT_NE(missing.errors.find("winequality-"), std::string::npos) << missing.errors;
}

/// One claim that holds and one that does not; keeps the effort that it was asked for.
class HalfRight final : public studies::Run {
 public:
  explicit HalfRight(studies::Effort& effort) : effort_(effort) {}
  std::vector<studies::Option> options() override {
    return {{.name = "--measured", .value = &measured_, .help = "", .least = 1, .most = 3}};
  }
  studies::Reproduction run(const studies::RunOptions& options) override {
    effort_ = options.effort;
    studies::Reproduction result{.title = "Half right"};
    result.claims = {{"right", 1, 1.05, .1}, {"wrong", 1, static_cast<double>(measured_), .1}};
    return result;
  }

 private:
  studies::Effort& effort_;
  int measured_ = 2;
};

TEST(Reproduce, AFailedClaimFailsTheCommandAndIsWritten) {
  const Workplace place;
  studies::Effort effort = studies::Effort::full;
  const studies::Study study{.name = "study", .summary = "", .quick = "", .full = "", .begin = [&effort] {
                               return std::make_unique<HalfRight>(effort);
                             }};
  CLI::App app;
  cli::add_study(app, study);
  try {
    app.parse("study --measured 3 --json " + place.path("r.json") + " --csv " + place.path("tables"));
    FAIL() << "the claim passed";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "1 of 2 claims failed");
  }
  EXPECT_EQ(effort, studies::Effort::quick);
  check_facts(place.json("r.json"), "study");
  EXPECT_EQ(place.json("r.json").at("failed"), 1);
  EXPECT_NE(place.read("tables/claims.csv").find("\"wrong\",3,"), std::string::npos);
  EXPECT_THROW(app.parse("study --measured 4"), CLI::ParseError);
}

TEST(StudyReport, TakesAnyText) {
  if (cli::gnuplot_version().empty()) GTEST_SKIP() << "gnuplot is not installed: run scripts/setup";
  studies::Figure figure{
      .name = "one", .title = "a & b", .caption = "c < d", .x_label = "scratch's $x", .y_label = "it's"};
  figure.series.push_back(studies::Series::points("don't: draws"));
  figure.series.back().add(1, 3, .1);
  figure.series.back().add(2, 4, .1);
  studies::Reproduction result;
  result.figures.push_back(figure);
  EXPECT_NE(cli::html_report(result).find("<svg"), std::string::npos);
}

TEST(StudyReport, ShowsTables) {
  studies::Reproduction result;
  result.tables = {{.title = "Settings", .header = {"name", "gain"}, .rows = {{"<wine>", "1.5"}}}};
  const std::string html = cli::html_report(result);
  EXPECT_NE(html.find("<h2>Settings</h2>"), std::string::npos);
  EXPECT_NE(html.find("name    gain\n------  ----\n&lt;wine&gt;   1.5\n"), std::string::npos) << html;
  result.protocol = {{"seeds", "1 to 3"}};
  result.claims = {{"a | b", 1, 2, 0.5}};
  result.title = "A study";
  EXPECT_EQ(cli::markdown_report(result),
            "# A study\n\n* seeds: 1 to 3\n\n"
            "## Settings\n\n| name | gain |\n| --- | ---: |\n| \\<wine> | 1.5 |\n\n"
            "## Claims\n\n| claim | measured |  | expected | tolerance |  |\n| --- | ---: | --- | ---: | ---: | --- |\n"
            "| a \\| b | 2 | within | 1 | 0.5 | failed |\n\n");
}

/// A row a study of the table in docs/cli.md.
std::string table_row(const studies::Study& study) {
  std::string parts, options;
  for (const std::string& part : study.parts) parts += fmt::format("{}`{}`", parts.empty() ? "" : ", ", part);
  for (const studies::Option& option : study.begin()->options()) {
    options += fmt::format("{}`{}`", options.empty() ? "" : ", ", option.name);
  }
  return fmt::format("| `{}` | {} | {} | {} |\n", study.name, study.summary, parts, options);
}

TEST(Reproduce, EveryStudyIsInTheHelpAndInTheDocuments) {
  std::string table = "| study | what it runs | parts | its own options |\n|---|---|---|---|\n";
  for (const studies::Study* study : studies::all()) table += table_row(*study);
  expect_table("docs/cli.md", table);
  std::string names;
  for (const studies::Study* study : studies::all()) names += (names.empty() ? "" : "|") + study->name;
  expect_between("README.md", "\nrtl reproduce ", names, " [--full]");
  const Workplace place;
  for (const studies::Study* study : studies::all()) {
    const std::string help = place.run({"reproduce", study->name, "--help"}).output;
    for (const studies::Option& option : study->begin()->options()) {
      EXPECT_NE(help.find(option.name), std::string::npos) << study->name << " " << option.name;
    }
    for (const std::string& part : study->parts) EXPECT_NE(help.find(part), std::string::npos) << part;
  }
}

/// The commands of a document's code that begin with `rtl reproduce`, without that, in one line each.
Words reproduce_commands(const std::string& name) {
  const std::string begin = "rtl reproduce ";
  Words commands;
  std::istringstream text(document(name));
  bool code = false, continued = false;
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with("```")) code = !code;
    if (!code || (!continued && !line.starts_with(begin))) continue;
    if (continued) commands.back() += line;
    if (!continued) commands.push_back(line.substr(begin.size()));
    continued = line.ends_with("\\");
    if (continued) commands.back().pop_back();
  }
  return commands;
}

/// "a|b [--c] D" is "a --c D" and "b --c D".
Words alternatives(const std::string& command) {
  const std::size_t space = command.find(' ');
  const std::string options = std::regex_replace(command.substr(space), std::regex("[\\[\\]]"), "");
  Words all;
  std::istringstream names(command.substr(0, space));
  for (std::string name; std::getline(names, name, '|');) all.push_back(name + options);
  return all;
}

/// What the program has against the command, which is not run; empty if it takes it.
std::string refusal(const std::string& command) {
  struct Taken {};
  CLI::App app;
  cli::add_reproduce_command(app);
  app.parse_complete_callback([] { throw Taken(); });
  try {
    app.parse("reproduce " + command);
  } catch (const Taken&) {
    return "";
  } catch (const CLI::ParseError& error) {
    return error.what();
  }
  return "it was run";
}

TEST(Reproduce, EveryCommandOfTheDocumentsIsAccepted) {
  const Words readme = reproduce_commands("README.md");
  ASSERT_EQ(readme.size(), 1);
  EXPECT_EQ(alternatives(readme.front()).size(), studies::all().size());
  for (const std::string& command : alternatives(readme.front())) EXPECT_EQ(refusal(command), "") << command;
  std::size_t commands = 0;
  Words names{"docs/cli.md"};
  for (const auto& entry : std::filesystem::directory_iterator(source_folder() + "/docs/results")) {
    if (entry.path().extension() == ".md") names.push_back("docs/results/" + entry.path().filename().string());
  }
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    for (const std::string& command : reproduce_commands(name)) {
      EXPECT_EQ(refusal(command), "") << command;
      ++commands;
    }
  }
  EXPECT_GE(commands, 10);
  for (const std::string command : {"l2sp --family wine", "refine --seeds none", "refine --full --quickly", "none"}) {
    EXPECT_NE(refusal(command), "") << command;
  }
}

}  // namespace
}  // namespace rtl::test
