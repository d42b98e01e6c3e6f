// rtl strategies: every way to transfer, a line and a reference each.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/json_report.hpp"
#include "cli/outputs.hpp"
#include "cli/table.hpp"
#include "rtl/transfer/strategies.hpp"

namespace rtl::cli {

void add_strategies_command(CLI::App& app) {
  auto* command = app.add_subcommand("strategies", "Every transfer strategy, a line and a reference each");
  auto path = std::make_shared<std::string>();
  command->add_option("--json", *path, "write the same facts to FILE (- is standard output)");
  command->callback([path] {
    check_outputs({{"--json", *path}});
    Table table({"strategy", "what it does", "sources", "reference"});
    for (std::size_t column = 1; column < 4; ++column) table.align_left(column);
    Json list = Json::array();
    for (const auto& info : transfer::strategies()) {
      const std::string sources = !info.needs_source ? "none" : info.several_sources ? "one or more" : "one";
      table.add({info.name, info.summary, sources, info.reference});
      list.push_back(
          {{"name", info.name}, {"summary", info.summary}, {"sources", sources}, {"reference", info.reference}});
    }
    if (*path != "-") fmt::print("{}", table.to_string());
    write_json(*path, {{"rtl", RTL_VERSION}, {"strategies", list}});
  });
}

}  // namespace rtl::cli
