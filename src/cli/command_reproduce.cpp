// rtl reproduce: the figures and claims of the papers, formula against simulation.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/command_line.hpp"
#include "cli/commands.hpp"
#include "cli/json_report.hpp"
#include "cli/number_checks.hpp"
#include "cli/progress.hpp"
#include "cli/reproduce_linear_transfer.hpp"
#include "cli/reproduction.hpp"
#include "rtl/core/device.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/file.hpp"

namespace rtl::cli {

namespace {

struct Arguments {
  bool full = false;
  bool quick = false;
  std::uint64_t seed = 1;
  std::string only;
  std::string json;
  std::string html;
  std::string csv;
};

void run(const Arguments& arguments, const std::function<Reproduction(const ReproductionOptions&)>& study) {
  if (arguments.full && arguments.quick) throw UsageError("--quick and --full exclude each other");
  check_study_outputs(arguments.json, arguments.html, arguments.csv);
  const auto start = std::chrono::steady_clock::now();
  ReproductionOptions options;
  options.effort = arguments.full ? Effort::full : Effort::quick;
  options.seed = arguments.seed;
  options.only = arguments.only;
  Reproduction result;
  {
    ProgressBar bar;
    options.progress = [&bar](double fraction, const std::string& text) { bar.show(fraction, text); };
    result = study(options);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const Device device = Device::cpu();
  result.protocol.insert(result.protocol.begin(), {"command", command_line()});
  result.protocol.push_back({"seed", std::to_string(options.seed)});
  result.protocol.push_back({"machine", fmt::format("{}: {}", device.name(), device.description())});
  result.protocol.push_back({"time", duration(seconds)});
  result.protocol.push_back({"program", "rtl " RTL_VERSION});

  Json json = to_json(result);
  json["effort"] = arguments.full ? "full" : "quick";
  json["seed"] = options.seed;
  json["seconds"] = seconds;
  if (arguments.json != "-") print(result);
  write_json(arguments.json, json);
  if (!arguments.html.empty()) io::write_file(arguments.html, html_report(result));
  if (!arguments.csv.empty()) write_csv(arguments.csv, result);
  if (result.failed() > 0) {
    throw Error(fmt::format("{} of {} claims failed", result.failed(), result.claims.size()));
  }
}

}  // namespace

CLI::App* add_study(CLI::App& reproduce, const std::string& name, const std::string& description,
                    std::function<Reproduction(const ReproductionOptions&)> study) {
  auto* command = reproduce.add_subcommand(name, description);
  auto arguments = std::make_shared<Arguments>();
  command->add_flag("--quick", arguments->quick, "under a minute on two cores (the default)");
  command->add_flag("--full", arguments->full, "every curve, more draws: under 15 minutes on two cores");
  command->add_option("--seed", arguments->seed, "of the simulations")->check(at_least(0))->capture_default_str();
  command->add_option("--only", arguments->only, "run one part alone; an unknown name lists them");
  command->add_option("--json", arguments->json, "write claims and curves to FILE (- is standard output)");
  command->add_option("--html", arguments->html, "write one page with claims and charts to FILE");
  command->add_option("--csv", arguments->csv, "write claims.csv and one table a figure into the folder DIR");
  command->callback([arguments, study = std::move(study)] { run(*arguments, study); });
  return command;
}

void add_reproduce_command(CLI::App& app) {
  auto* command = app.add_subcommand("reproduce", "The claims and figures of a paper, formula against simulation");
  command->require_subcommand(1);
  add_l2sp_study(*command);
  add_optimal_features_study(*command);
  add_linear_transfer_study(*command);
}

}  // namespace rtl::cli
