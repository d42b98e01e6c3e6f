// rtl strategies: every way to transfer, with its options and a reference.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/json_report.hpp"
#include "cli/outputs.hpp"
#include "cli/strategy_list.hpp"
#include "cli/table.hpp"
#include "rtl/io/file.hpp"
#include "rtl/transfer/strategy.hpp"

namespace rtl::cli {

namespace {

/// What it needs and cannot do, as a table says it.
std::string describe_needs(const transfer::StrategyInfo& info) {
  std::string text = transfer::describe_sources(info);
  if (info.uses_source_data) text += info.same_source_task ? ", with samples of the target's kind" : ", with samples";
  if (info.same_source_inputs) text += info.same_source_task ? " and shape" : " of the target's shape";
  if (info.uses_source_data && !info.source_weights) text += " without weights";
  if (info.same_classes) text += ", same classes";
  if (!info.regression) text += "; no regression";
  if (!info.sample_weights) text += "; no sample weights";
  return text;
}

Json to_json(const transfer::StrategyInfo& info) {
  Json options = Json::array();
  for (const auto& option : info.options) {
    options.push_back({{"name", option.name},
                       {"default", option.default_value},
                       {"choices", option.choices},
                       {"range", option.range},
                       {"help", option.help}});
  }
  return {{"name", info.name},
          {"summary", info.summary},
          {"sources", transfer::describe_sources(info)},
          {"source_data", info.uses_source_data},
          {"same_source_task", info.same_source_task},
          {"same_source_inputs", info.same_source_inputs},
          {"same_classes", info.same_classes},
          {"regression", info.regression},
          {"sample_weights", info.sample_weights},
          {"source_weights", info.source_weights},
          {"in_all", info.in_all},
          {"reference", info.reference},
          {"options", options}};
}

Table strategies_table() {
  Table table({"strategy", "what it does", "sources", "reference"});
  for (std::size_t column = 1; column < 4; ++column) table.align_left(column);
  for (const auto* strategy : transfer::strategies()) {
    const auto& info = strategy->info();
    table.add({info.name, info.summary, describe_needs(info), info.reference});
  }
  return table;
}

Table options_table() {
  Table table({"option", "of", "default", "what it is"});
  for (std::size_t column = 1; column < 4; ++column) table.align_left(column);
  for (const auto* strategy : transfer::strategies()) {
    for (const auto& option : strategy->info().options) {
      std::string help = option.help;
      if (!option.choices.empty()) help += fmt::format(" ({})", fmt::join(option.choices, ", "));
      if (!option.range.empty()) help += "; " + option.range;
      table.add({flag_of(option.name), strategy->info().name, option.default_value, help});
    }
  }
  return table;
}

}  // namespace

void add_strategies_command(CLI::App& app) {
  auto* command = app.add_subcommand("strategies", "Every transfer strategy: a line, its options, its reference");
  auto path = std::make_shared<std::string>(), markdown = std::make_shared<std::string>();
  command->add_option("--json", *path, "write the same facts to FILE (- is standard output)");
  command->add_option("--markdown", *markdown, "write both tables, and nothing else, as Markdown to FILE");
  command->callback([path, markdown] {
    check_outputs({{"--json", *path}, {"--markdown", *markdown}});
    if (*path != "-") fmt::print("{}\n{}", strategies_table().to_string(), options_table().to_string());
    if (!markdown->empty()) {
      io::write_file(*markdown, strategies_table().to_markdown() + "\n" + options_table().to_markdown());
    }
    Json list = Json::array();
    for (const auto* strategy : transfer::strategies()) list.push_back(to_json(strategy->info()));
    write_json(*path, {{"rtl", RTL_VERSION}, {"strategies", list}});
  });
}

}  // namespace rtl::cli
