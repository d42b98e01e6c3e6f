// rtl reproduce: runs the studies again and writes what they find.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/command_line.hpp"
#include "cli/commands.hpp"
#include "cli/interrupt.hpp"
#include "cli/json_report.hpp"
#include "cli/number_checks.hpp"
#include "cli/outputs.hpp"
#include "cli/progress.hpp"
#include "cli/reproduce.hpp"
#include "cli/study_report.hpp"
#include "cli/table.hpp"
#include "cli/training_arguments.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/file.hpp"

namespace rtl::cli {

namespace {

using studies::Effort;
using studies::Reproduction;
using studies::RunOptions;

struct Arguments {
  bool full = false;
  bool quick = false;
  std::uint64_t seed = 1;
  std::string only;
  std::string json;
  std::string html;
  std::string markdown;
  std::string csv;
  DeviceArguments device;
};

void check_files(const Arguments& arguments) {
  const FileArguments pages = {
      {"--json", arguments.json}, {"--html", arguments.html}, {"--markdown", arguments.markdown}};
  check_distinct(pages, {{"--csv", arguments.csv.empty() ? "" : arguments.csv + "/claims.csv"}});
  check_outputs(pages);
}

RunOptions options_of(const Arguments& arguments, const studies::Study& study) {
  if (arguments.full && arguments.quick) throw UsageError("--quick and --full exclude each other");
  RunOptions options;
  options.effort = arguments.full ? Effort::full : arguments.quick ? Effort::quick : study.default_effort;
  options.seed = arguments.seed;
  options.only = arguments.only;
  if (study.takes_device) options.device = arguments.device.open();
  return options;
}

bool has_option(studies::Run& run, const std::string& name) {
  for (const studies::Option& option : run.options()) {
    if (option.name == name) return true;
  }
  return false;
}

/// Runs the study with a progress bar; when a signal ends the program, says what is kept.
Reproduction run_watched(studies::Run& run, RunOptions options) {
  std::unique_ptr<KeptWork> kept;
  ProgressBar bar;
  options.progress = [&bar](double fraction, const std::string& text) { bar.show(fraction, text); };
  options.note = [](const std::string& text) { fmt::print(stderr, "rtl: {}\n", printable(text)); };
  options.stop = interrupted;
  options.keeps = [&kept, asked = has_option(run, "--resume")](const std::string& folder, const std::string& results) {
    kept = std::make_unique<KeptWork>([folder, results, asked]() -> std::string {
      const std::size_t count = count_files(folder, ".json");
      if (count == 0) return "";
      return fmt::format("{} finished {} are kept in {}{}", count, results, folder, resume_command(asked));
    });
  };
  try {
    return run.run(options);
  } catch (const studies::OptionError& error) {
    throw UsageError(error.what());
  }
}

void run(const Arguments& arguments, const studies::Study& study, studies::Run& own) {
  const RunOptions options = options_of(arguments, study);
  check_files(arguments);
  const auto start = std::chrono::steady_clock::now();
  Reproduction result = run_watched(own, options);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  result.protocol.insert(result.protocol.begin(), {"command", command_line()});
  if (study.takes_seed) result.protocol.push_back({"seed", std::to_string(options.seed)});
  result.protocol.push_back({"machine", fmt::format("{}: {}", options.device.name(), options.device.description())});
  result.protocol.push_back({"time", duration(seconds)});
  result.protocol.push_back({"program", "rtl " RTL_VERSION});

  Json json = {{"rtl", RTL_VERSION}, {"paper", study.name}};
  json.update(studies::to_json(result));
  json["effort"] = options.full() ? "full" : "quick";
  if (study.takes_seed) json["seed"] = options.seed;
  json["seconds"] = seconds;
  if (arguments.json != "-") print(result);
  write_json(arguments.json, json);
  if (!arguments.html.empty()) io::write_file(arguments.html, html_report(result));
  if (!arguments.markdown.empty()) io::write_file(arguments.markdown, markdown_report(result));
  if (!arguments.csv.empty()) studies::write_csv(arguments.csv, result);
  if (result.failed() > 0) {
    throw Error(fmt::format("{} of {} claims failed", result.failed(), result.claims.size()));
  }
}

/// Refuses numbers outside the option's range, and what is no number.
CLI::Validator range_of(const studies::Option& option) {
  return CLI::Validator(
      [least = option.least, most = option.most](std::string& text) -> std::string {
        double value = 0;
        const bool number = CLI::detail::lexical_cast(text, value);
        if (number && value >= least && value <= most) return {};
        return fmt::format("'{}' is no number from {} to {}", text, least, most);
      },
      "");
}

/// Shows a study's option to the command line.
struct Adder {
  CLI::App& command;
  const studies::Option& option;

  CLI::Option* operator()(bool* value) const { return command.add_flag(option.name, *value, option.help); }
  CLI::Option* operator()(int* value) const {
    return command.add_option(option.name, *value, option.help)->check(range_of(option));
  }
  CLI::Option* operator()(std::string* value) const { return command.add_option(option.name, *value, option.help); }
  CLI::Option* operator()(std::vector<std::string>* value) const {
    return command.add_option(option.name, *value, option.help)->delimiter(',');
  }
  CLI::Option* operator()(std::vector<double>* value) const {
    return command.add_option(option.name, *value, option.help)->delimiter(',')->check(range_of(option));
  }
};

void add_own(CLI::App& command, studies::Run& run) {
  for (const studies::Option& option : run.options()) {
    CLI::Option* added = std::visit(Adder{command, option}, option.value);
    if (!option.choices.empty()) added->check(CLI::IsMember(option.choices));
    if (!option.environment.empty()) added->envname(option.environment);
    if (option.show_default) added->capture_default_str();
  }
}

}  // namespace

void add_study(CLI::App& reproduce, const studies::Study& study) {
  auto* command = reproduce.add_subcommand(study.name, study.summary);
  auto arguments = std::make_shared<Arguments>();
  const auto effort_help = [&](const std::string& text, Effort effort) {
    return text + (study.default_effort == effort ? " (the default)" : "");
  };
  command->add_flag("--quick", arguments->quick, effort_help(study.quick, Effort::quick));
  command->add_flag("--full", arguments->full, effort_help(study.full, Effort::full));
  if (study.takes_seed) {
    command->add_option("--seed", arguments->seed, "of the simulations")->check(at_least(0))->capture_default_str();
  }
  if (!study.parts.empty()) {
    command->add_option("--only", arguments->only, fmt::format("run one part alone: {}", fmt::join(study.parts, ", ")));
  }
  command->add_option("--json", arguments->json, "write claims and curves to FILE (- is standard output)");
  command->add_option("--html", arguments->html, "write one page with claims and charts to FILE");
  command->add_option("--markdown", arguments->markdown, "write protocol, tables and claims as Markdown to FILE");
  command->add_option("--csv", arguments->csv, "write claims.csv and one table a figure into the folder DIR");
  if (study.takes_device) arguments->device.add_to(*command);
  const std::shared_ptr<studies::Run> own = study.begin();
  add_own(*command, *own);
  command->callback([arguments, own, &study] { run(*arguments, study, *own); });
}

void add_reproduce_command(CLI::App& app) {
  auto* command = app.add_subcommand("reproduce", "The claims and figures of a paper, formula against simulation");
  command->require_subcommand(1);
  for (const studies::Study* study : studies::all()) add_study(*command, *study);
}

}  // namespace rtl::cli
