#include "studies/linear_transfer/setting_store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "rtl/core/error.hpp"

namespace rtl::studies::linear_transfer {
namespace {

/// The first `most` numbers of a list.
std::vector<double> numbers(const Json& json, std::size_t most) {
  std::vector<double> values = json.get<std::vector<double>>();
  values.resize(std::min(values.size(), most));
  return values;
}

std::string file_name(const Outcome& outcome) {
  std::string name = outcome.name() + ".json";
  for (char& c : name) {
    if (c == ' ' || c == ',' || c == '/') c = '_';
  }
  return name;
}

bool is_setting(const std::string& name) { return name.ends_with("_rows.json"); }

Store::Facts facts_of(const Domain& source, const Domain& target) {
  return {domain_fact("source's data", source), domain_fact("target's data", target)};
}

}  // namespace

Json to_json(const Outcome& outcome) {
  Json policies = Json::object();
  for (std::size_t p = 0; p < policy_count; ++p) {
    if (!outcome.has(p)) continue;
    Json& policy = policies[policy_names[p]];
    policy["values"] = outcome.scores[p];
    if (p == 0) continue;
    const transfer::Interval difference = outcome.difference(p);
    policy["difference_from_scratch"] = {{"mean", difference.mean}, {"low", difference.low}, {"high", difference.high}};
    policy["verdict"] = transfer::to_string(transfer::judge(difference));
  }
  return {{"family", outcome.family}, {"source", outcome.source},          {"target", outcome.target},
          {"rows", outcome.rows},     {"seeds", outcome.scores[0].size()}, {"policies", policies},
          {"trust", outcome.trust}};
}

SettingStore::SettingStore(const std::string& folder, const RunOptions& options)
    : store_(folder, options.device.kind(), options.device.threads(), is_setting, "settings", options) {}

int SettingStore::load(Outcome& outcome, const Domain& source, const Domain& target, int seeds) const {
  const std::string name = file_name(outcome);
  const auto decode = [&](const Json& found) {
    Outcome read = outcome;
    const auto most = static_cast<std::size_t>(seeds);
    read.trust = numbers(found.at("trust"), most);
    const Json& policies = found.at("policies");
    for (std::size_t p = 0; p < policy_count; ++p) {
      if (p == 1 && outcome.other_labels) continue;
      read.scores[p] = numbers(policies.at(policy_names[p]).at("values"), most);
      if (read.scores[p].size() != read.trust.size()) {
        throw FormatError(store_.path(name), "has other numbers of seeds for one policy than for another");
      }
    }
    return read;
  };
  std::optional<Outcome> found = store_.find(name, facts_of(source, target), decode);
  if (!found) return 0;
  outcome = *std::move(found);
  return static_cast<int>(outcome.trust.size());
}

void SettingStore::save(const Outcome& outcome, const Domain& source, const Domain& target) const {
  if (store_.keeps()) store_.put(file_name(outcome), facts_of(source, target), to_json(outcome));
}

}  // namespace rtl::studies::linear_transfer
