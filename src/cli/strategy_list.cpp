#include "cli/strategy_list.hpp"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/commands.hpp"
#include "cli/model_spec.hpp"

namespace rtl::cli {

namespace {

using transfer::OptionInfo;
using transfer::OptionValues;
using transfer::Strategy;

const OptionInfo* find_option(const Strategy& strategy, const std::string& name) {
  const auto& options = strategy.info().options;
  const auto found =
      std::find_if(options.begin(), options.end(), [&](const OptionInfo& option) { return option.name == name; });
  return found == options.end() ? nullptr : &*found;
}

/// Of every option, the strategies that have it.
std::map<std::string, std::vector<const Strategy*>> options_of_all() {
  std::map<std::string, std::vector<const Strategy*>> all;
  for (const Strategy* strategy : transfer::strategies()) {
    for (const OptionInfo& option : strategy->info().options) all[option.name].push_back(strategy);
  }
  return all;
}

std::string help_of(const OptionInfo& option, const std::vector<const Strategy*>& strategies) {
  std::string text = option.help, choices, others;
  for (const auto& choice : option.choices) choices += (choices.empty() ? "" : ", ") + choice;
  std::map<std::string, std::string> names;  // by default
  for (const Strategy* strategy : strategies) {
    std::string& list = names[find_option(*strategy, option.name)->default_value];
    list += (list.empty() ? "" : ", ") + strategy->info().name;
  }
  const auto told = [&](const std::string& value) {
    return fmt::format("{}; default {}", names.at(value), value.empty() ? "none" : value);
  };
  for (const auto& [value, list] : names) others += value == option.default_value ? "" : "; " + told(value);
  if (!choices.empty()) text += fmt::format(": {}; a list runs with each", choices);
  if (!option.range.empty()) text += fmt::format("; {}", option.range);
  return fmt::format("{} ({}{})", text, told(option.default_value), others);
}

/// The values of a flag, each checked by a strategy that has the option.
std::vector<std::string> values_of(const std::string& name, const std::string& text, const Strategy& strategy) {
  const bool list = !find_option(strategy, name)->choices.empty();
  std::vector<std::string> values = list ? split_list(flag_of(name), text) : std::vector<std::string>{text};
  if (values.empty()) throw UsageError(fmt::format("{} has no value", flag_of(name)));
  for (const auto& value : values) {
    try {
      strategy.resolved({{name, value}});
    } catch (const ValueError& error) {
      throw UsageError(fmt::format("{}: {}", flag_of(name), error.what()));
    }
  }
  return values;
}

void check(const transfer::StrategyChoice& choice, std::size_t sources, bool at_layer) {
  const auto& info = choice.strategy->info();
  if (info.most_sources > 0 && sources == 0) {
    throw UsageError(fmt::format("--strategy {} needs a --source", choice.label));
  }
  if (info.most_sources == 1 && sources > 1) {
    throw UsageError(fmt::format("--strategy {} takes one --source, not {}", choice.label, sources));
  }
  if (info.trains_source && at_layer) {
    throw UsageError(fmt::format("--strategy {} trains all of a --source; take it without layer=", choice.label));
  }
}

}  // namespace

std::string flag_of(const std::string& option) {
  std::string flag = "--" + option;
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

void StrategyArguments::add_to(CLI::App& command) {
  command.add_option(
      "--strategy", strategies_,
      "all or NAME[,NAME..], each with options of its own where wanted, as NAME:CHOICE or "
      "NAME:OPTION=VALUE: refine:balance, refine:feature_scale=2. scratch is always run. `rtl strategies` "
      "lists them. Default: safe; scratch without a --source");
  for (const auto& [name, strategies] : options_of_all()) {
    command.add_option(flag_of(name), flags_[name], help_of(*find_option(*strategies.front(), name), strategies))
        ->group("Options of strategies");
  }
}

StrategyList StrategyArguments::parse(std::size_t sources, bool at_layer) const {
  if (all()) return parse({}, sources, at_layer);
  if (strategies_.empty()) return parse({sources == 0 ? "scratch" : "safe"}, sources, at_layer);
  StrategyList list = parse(split_list("--strategy", strategies_), sources, at_layer);
  if (list.names.empty()) throw UsageError("--strategy names none");
  return list;
}

StrategyList StrategyArguments::parse(const std::vector<std::string>& labels, std::size_t sources,
                                      bool at_layer) const {
  StrategyList list;
  std::map<std::string, std::vector<std::string>> several;
  const auto options = options_of_all();
  for (const auto& [name, text] : flags_) {
    if (text.empty()) continue;
    std::vector<std::string> values = values_of(name, text, *options.at(name).front());
    if (values.size() == 1) {
      list.values[name] = values.front();
    } else {
      several[name] = std::move(values);
    }
  }
  for (const auto& label : labels) {
    if (label == "all") throw UsageError("--strategy: all stands alone, without other names");
    transfer::StrategyChoice choice;
    try {
      choice = transfer::parse_strategy(label);
    } catch (const ValueError& error) {
      throw UsageError(fmt::format("--strategy: {}", error.what()));
    }
    check(choice, sources, at_layer);
    std::vector<std::string> expanded{label};
    for (const auto& [name, values] : several) {
      const OptionInfo* option = find_option(*choice.strategy, name);
      if (option == nullptr || choice.values.contains(name)) continue;
      std::vector<std::string> next;
      for (const auto& begun : expanded) {
        for (const auto& value : values)
          next.push_back(value == option->default_value ? begun : fmt::format("{}:{}", begun, value));
      }
      expanded = std::move(next);
    }
    for (const auto& name : expanded) {
      if (std::find(list.names.begin(), list.names.end(), name) == list.names.end()) list.names.push_back(name);
    }
  }
  return list;
}

}  // namespace rtl::cli
