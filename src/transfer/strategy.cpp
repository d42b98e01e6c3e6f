#include "rtl/transfer/strategy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <string_view>

#include "core/joined.hpp"
#include "rtl/io/hash.hpp"
#include "transfer/names.hpp"
#include "transfer/option_facts.hpp"
#include "transfer/strategy_list.hpp"

namespace rtl::transfer {
namespace {

constexpr std::array<std::string_view, 3> scaling_names{"raw", "standardize", "balance"};
constexpr std::array<std::string_view, 3> head_start_names{"fresh", "pretrained", "auto"};

struct Added {
  std::mutex mutex;
  std::vector<const Strategy*> strategies;
};

Added& added() {
  static Added all;
  return all;
}

/// Its own option, or the one that has the word among its choices.
const OptionInfo* find_option(const StrategyInfo& info, const std::string& name, bool choice) {
  const auto found = std::find_if(info.options.begin(), info.options.end(), [&](const OptionInfo& option) {
    return choice ? std::find(option.choices.begin(), option.choices.end(), name) != option.choices.end()
                  : option.name == name;
  });
  return found == info.options.end() ? nullptr : &*found;
}

std::string option_names(const StrategyInfo& info) {
  std::vector<std::string> names;
  for (const OptionInfo& option : info.options) names.push_back(option.name);
  return names.empty() ? "it has no options" : "its options are " + joined(names, ", ");
}

bool same_task(const data::Dataset& a, const data::Dataset& b) {
  const bool named = !a.class_names.empty() && !b.class_names.empty();
  return a.has_targets() && b.has_targets() && a.is_regression() == b.is_regression() && a.outputs() == b.outputs() &&
         (!named || a.class_names == b.class_names);
}

std::string describe_outputs(std::int64_t count, bool regression, const std::vector<std::string>& classes) {
  std::string text = fmt::format("{} {}", count, regression ? "real targets" : "classes");
  constexpr std::size_t most_names = 10;
  if (!classes.empty() && classes.size() <= most_names) text += fmt::format(" ({})", joined(classes, ", "));
  return text;
}

std::string describe_targets(const data::Dataset& dataset) {
  if (!dataset.has_targets()) return "none";
  return describe_outputs(dataset.outputs(), dataset.is_regression(), dataset.class_names);
}

std::string describe_outputs(const FrozenSource& source) {
  const bool regression = source.task() && source.task()->regression;
  return describe_outputs(source.classes(), regression,
                          source.task() && !regression ? source.task()->names : std::vector<std::string>());
}

/// Why a strategy cannot do what it is asked to; empty if it can.
std::string misfit(const Strategy& strategy, const std::vector<FrozenSource>& sources, const data::Dataset& train,
                   const StrategyOptions& options) {
  const StrategyInfo& info = strategy.info();
  const auto count = static_cast<std::int64_t>(sources.size());
  if (count < info.least_sources) return fmt::format("{} needs a source, and none is given", info.name);
  if (info.most_sources > 0 && count > info.most_sources) {
    return fmt::format("{} takes exactly one source, not {}; refine takes any number", info.name, count);
  }
  if (strategy.needs_source_data(options.values) && options.source_data == nullptr) {
    return fmt::format("{} looks at samples of the source, and none are given (source_data)", info.name);
  }
  if (info.same_source_task && strategy.needs_source_data(options.values) && !same_task(*options.source_data, train)) {
    return fmt::format("{} learns from the labels of the source's samples too: {} has {}, {} has {}", info.name,
                       options.source_data->name, describe_targets(*options.source_data), train.name,
                       describe_targets(train));
  }
  if (info.same_source_inputs && strategy.needs_source_data(options.values) &&
      options.source_data->sample_shape() != train.sample_shape()) {
    return fmt::format("{} gives the source's samples to a network of the target's: those of {} are {}, those of {} {}",
                       info.name, options.source_data->name, options.source_data->sample_shape().to_string(),
                       train.name, train.sample_shape().to_string());
  }
  if (train.is_regression() && !info.regression) {
    return fmt::format("{} needs classes: {} has real targets", info.name, train.name);
  }
  if (train.weights.defined() && !info.sample_weights) {
    return fmt::format("{} counts all samples alike: {} has weights of samples; leave them out, or the strategy",
                       info.name, train.name);
  }
  if (strategy.needs_source_data(options.values) && options.source_data->weights.defined() && !info.source_weights) {
    return fmt::format(
        "{} counts all of the source's samples alike: {} has weights of samples; leave them out, or the "
        "strategy",
        info.name, options.source_data->name);
  }
  if (info.trains_source && !sources.front().has_network()) {
    return fmt::format("{} trains the source, but {} is features alone", info.name, sources.front().name());
  }
  if (info.trains_source && !sources.front().layer().empty()) {
    return fmt::format("{} trains all of a source, but {} is to be taken at layer {}; take it without a layer",
                       info.name, sources.front().name(), sources.front().layer());
  }
  if (info.same_classes && !can_teach(sources.front(), train)) {
    return fmt::format("{} needs the source's own head, for the target's classes: {} has {}, {} has {}", info.name,
                       sources.front().name(), describe_outputs(sources.front()), train.name, describe_targets(train));
  }
  return {};
}

}  // namespace

std::string to_string(FeatureScaling scaling) { return detail::name_at(scaling_names, scaling); }
FeatureScaling parse_feature_scaling(const std::string& text) {
  return detail::parse_name<FeatureScaling>(scaling_names, text, "feature scaling");
}
std::string to_string(HeadStart start) { return detail::name_at(head_start_names, start); }
HeadStart parse_head_start(const std::string& text) {
  return detail::parse_name<HeadStart>(head_start_names, text, "head start");
}

const Choices& feature_scaling_choices() {
  static const Choices choices(scaling_names.begin(), scaling_names.end());
  return choices;
}

const Choices& head_start_choices() {
  static const Choices choices(head_start_names.begin(), head_start_names.end());
  return choices;
}

bool has_head_for(const FrozenSource& source, const data::Dataset& train) {
  const bool real = source.task() && source.task()->regression;
  return source.classes() == train.outputs() && real == train.is_regression();
}

bool can_teach(const FrozenSource& source, const data::Dataset& train) {
  if (!has_head_for(source, train)) return false;
  const bool named = source.task() && !source.task()->names.empty() && !train.class_names.empty();
  return train.is_regression() || !named || source.task()->names == train.class_names;
}

std::string describe_sources(const StrategyInfo& info) {
  if (info.most_sources == 0) return "none";
  return info.most_sources == 1 ? "one" : "one or more";
}

void register_strategy(const Strategy& strategy) {
  for (const Strategy* known : strategies()) {
    if (known == &strategy) return;
    if (known->info().name == strategy.info().name) {
      throw ValueError(fmt::format("register_strategy: there is another strategy \"{}\"", known->info().name));
    }
  }
  const std::lock_guard lock(added().mutex);
  added().strategies.push_back(&strategy);
}

std::vector<const Strategy*> strategies() {
  std::vector<const Strategy*> all = recipes::all();
  std::stable_sort(all.begin(), all.end(), [](const Strategy* a, const Strategy* b) {
    return (a->info().most_sources == 0) > (b->info().most_sources == 0);
  });
  const std::lock_guard lock(added().mutex);
  all.insert(all.end(), added().strategies.begin(), added().strategies.end());
  return all;
}

const Strategy& find_strategy(const std::string& name) {
  std::vector<std::string> known;
  for (const Strategy* strategy : strategies()) {
    if (strategy->info().name == name) return *strategy;
    known.push_back(strategy->info().name);
  }
  throw ValueError(fmt::format("there is no strategy \"{}\"; use one of {}", name, joined(known, ", ")));
}

std::vector<std::string> strategies_for(const std::vector<FrozenSource>& sources, const data::Dataset& train,
                                        const StrategyOptions& options) {
  std::vector<std::string> names;
  for (const Strategy* strategy : strategies()) {
    const StrategyInfo& info = strategy->info();
    const bool sourced = info.most_sources == 0 || !sources.empty();
    if (info.in_all && sourced && misfit(*strategy, sources, train, options).empty()) names.push_back(info.name);
  }
  return names;
}

StrategyChoice parse_strategy(const std::string& label, const OptionValues& defaults) {
  std::size_t colon = label.find(':');
  StrategyChoice choice{label, &find_strategy(label.substr(0, colon))};
  const StrategyInfo& info = choice.strategy->info();
  for (const auto& [name, value] : defaults) {
    if (find_option(info, name, false) != nullptr) choice.values[name] = value;
  }
  while (colon != std::string::npos) {
    const std::size_t next = label.find(':', colon + 1);
    const std::string entry = label.substr(colon + 1, next == std::string::npos ? next : next - colon - 1);
    const std::size_t equals = entry.find('=');
    const std::string name = entry.substr(0, equals);
    const OptionInfo* option = find_option(info, name, equals == std::string::npos);
    if (option == nullptr) {
      throw ValueError(fmt::format("\"{}\": {} has no {} \"{}\"; {}", label, info.name,
                                   equals == std::string::npos ? "choice" : "option", name, option_names(info)));
    }
    choice.values[option->name] = equals == std::string::npos ? name : entry.substr(equals + 1);
    colon = next;
  }
  choice.strategy->resolved(choice.values);
  return choice;
}

void check_fits(const Strategy& strategy, const std::vector<FrozenSource>& sources, const data::Dataset& train,
                const StrategyOptions& options) {
  const std::string fault = misfit(strategy, sources, train, options);
  if (!fault.empty()) throw ValueError(fault);
}

bool keeps_head(const FrozenSource& source, const data::Dataset& train, HeadStart start) {
  const bool same = !train.is_regression() && has_head_for(source, train);
  if (start == HeadStart::pretrained && source.classes() == 0) {
    throw ValueError(fmt::format("head_start pretrained: {} has no head; use a fresh head", source.name()));
  }
  if (start == HeadStart::pretrained && !same) {
    throw ValueError(fmt::format("head_start pretrained: {} has {} classes, {} has {}; use a fresh head", source.name(),
                                 source.classes(), train.name, train.classes));
  }
  return same && start != HeadStart::fresh;
}

std::uint64_t StrategyOptions::hash() const { return detail::hash_of(detail::facts_of(*this)); }

namespace detail {

Facts facts_of(const StrategyOptions& options) {
  Facts facts{{"model", options.model.empty() ? "of the data's kind" : options.model},
              {"normalization of scratch and h", data::to_string(options.normalization)},
              {"dtype of stored features",
               std::string(options.cache ? name_of(options.cache->storage()) : name_of(DType::f32))}};
  // Every option that any strategy has, so that a default that is named is no other protocol.
  OptionValues all = options.values;
  for (const Strategy* strategy : strategies()) all.merge(strategy->resolved(options.values));
  for (const auto& [name, value] : all) facts.push_back({name, value});
  return facts;
}

}  // namespace detail
}  // namespace rtl::transfer
