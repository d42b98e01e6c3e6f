// The program rtl: exit codes are 0 done, 1 failed, 2 wrong usage.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <new>
#include <sstream>
#include <string>

#include "cli/commands.hpp"
#include "cli/interrupt.hpp"
#include "cli/standard_streams.hpp"
#include "cli/table.hpp"
#include "rtl/data/spec.hpp"

namespace {

/// CLI11 would only say that a subcommand is required.
void check_command(CLI::App& app, int argc, char** argv, int position) {
  const auto known = app.get_subcommands({});
  if (known.empty() || argc <= position || argv[position][0] == '-') return;
  std::string commands;
  for (auto* command : known) {
    if (command->get_name() == argv[position]) return check_command(*command, argc, argv, position + 1);
    commands += " " + command->get_name();
  }
  throw rtl::cli::UsageError(fmt::format("there is no command '{}'; there are:{}", argv[position], commands));
}

int run(int argc, char** argv) {
  CLI::App app(
      "Residual transfer learning: adapts pretrained sources to a small target data set, and says honestly "
      "whether that helped.");
  app.name("rtl");
  app.set_version_flag("--version", RTL_VERSION);
  app.require_subcommand(1);
  std::string kinds;
  for (const auto& kind : rtl::data::spec_kinds()) kinds += (kinds.empty() ? "" : ", ") + kind.name;
  app.footer(fmt::format(
      "A SPEC names a data set: KIND:PATH with options behind it, 'csv:t.csv?label=kind&limit=4000', of KIND\n"
      "{}.\n"
      "`rtl COMMAND --help` lists a command's options, and those of SPECs where it takes one.",
      kinds));
  rtl::cli::add_decide_command(app);
  rtl::cli::add_features_command(app);
  rtl::cli::add_info_command(app);
  rtl::cli::add_inspect_command(app);
  rtl::cli::add_pretrain_command(app);
  rtl::cli::add_predict_command(app);
  rtl::cli::add_reproduce_command(app);
  rtl::cli::add_scores_command(app);
  rtl::cli::add_strategies_command(app);
  rtl::cli::add_transfer_command(app);
  rtl::cli::add_ridge_command(app);
  try {
    check_command(app, argc, argv, 1);
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream output;
    std::ostringstream errors;
    const int code = app.exit(error, output, errors) == 0 ? 0 : 2;
    std::fputs(output.str().c_str(), stdout);
    std::fputs(errors.str().c_str(), stderr);
    return code;
  } catch (const rtl::cli::UsageError& error) {
    fmt::print(stderr, "rtl: {}\nRun with --help for more information.\n", error.what());
    return 2;
  }
  return 0;
}

/// Results that were printed to a full disk are lost, which is no success.
int flushed(int code) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  std::fputs("rtl: standard output cannot be written; what was printed is incomplete\n", stderr);
  return code == 0 ? 1 : code;
}

}  // namespace

int main(int argc, char** argv) {
  int code = 1;
  try {
    rtl::cli::outlive_readers();
    rtl::cli::install_interrupt_handler();
    code = flushed(run(argc, argv));
  } catch (const std::bad_alloc&) {
    if (rtl::cli::interrupted()) rtl::cli::end_if_interrupted();
    std::fputs("rtl: out of memory\n", stderr);
  } catch (const std::exception& error) {
    if (rtl::cli::interrupted()) rtl::cli::end_if_interrupted();
    fmt::print(stderr, "rtl: {}\n", rtl::cli::printable(error.what()));
  }
  rtl::cli::end_if_interrupted();
  return code;
}
