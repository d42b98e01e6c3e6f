#include "cli/linear_study_store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <utility>

#include "cli/table.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/hash.hpp"

namespace rtl::cli {
namespace {

/// The first `most` numbers of a list.
std::vector<double> numbers(const Json& json, std::size_t most) {
  std::vector<double> values = json.get<std::vector<double>>();
  values.resize(std::min(values.size(), most));
  return values;
}

std::string file_name(const LinearOutcome& outcome) {
  std::string name = outcome.name() + ".json";
  for (char& c : name) {
    if (c == ' ' || c == ',' || c == '/') c = '_';
  }
  return name;
}

bool is_setting(const std::string& name) { return name.ends_with("_rows.json"); }

transfer::detail::Fact data_fact(const std::string& name, const LinearDomain& domain) {
  io::Hash64 hash;
  for (const std::int64_t number :
       {domain.rows, domain.features, domain.outputs, domain.training_rows, domain.source_rows}) {
    hash.add(static_cast<std::uint64_t>(number));
  }
  hash.add(std::as_bytes(std::span(domain.x))).add(std::as_bytes(std::span(domain.y)));
  return transfer::detail::content_fact(name, hash.value(), fmt::format("{} ({} rows)", domain.name, domain.rows));
}

}  // namespace

Json to_json(const LinearOutcome& outcome) {
  Json policies = Json::object();
  for (std::size_t p = 0; p < linear_policies; ++p) {
    if (!outcome.has(p)) continue;
    Json& policy = policies[linear_policy_names[p]];
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

LinearStudyStore::LinearStudyStore(const std::string& folder, const Device& device)
    : machine_(transfer::detail::machine_facts(device.kind(), device.threads())),
      folder_(folder, machine_, is_setting,
              [](const std::string& text) { fmt::print(stderr, "rtl: {}\n", printable(text)); }),
      kept_([folder]() -> std::string {
        const std::size_t count = folder.empty() ? 0 : count_files(folder, ".json");
        return count == 0 ? ""
                          : fmt::format("{} finished settings are kept in {}{}", count, folder, resume_command(false));
      }) {}

transfer::detail::Facts LinearStudyStore::facts_of(const LinearDomain& source, const LinearDomain& target) const {
  transfer::detail::Facts facts = machine_;
  facts.push_back(data_fact("source's data", source));
  facts.push_back(data_fact("target's data", target));
  return facts;
}

int LinearStudyStore::load(LinearOutcome& outcome, const LinearDomain& source, const LinearDomain& target,
                           int seeds) const {
  if (!folder_.keeps()) return 0;
  const std::string name = file_name(outcome);
  const std::optional<Json> found = folder_.find(name, facts_of(source, target));
  if (!found) return 0;
  LinearOutcome read = outcome;
  try {
    io::decode_json(folder_.path(name), [&] {
      const auto most = static_cast<std::size_t>(seeds);
      read.trust = numbers(found->at("trust"), most);
      const Json& policies = found->at("policies");
      for (std::size_t p = 0; p < linear_policies; ++p) {
        if (p == 1 && outcome.other_labels) continue;
        read.scores[p] = numbers(policies.at(linear_policy_names[p]).at("values"), most);
        if (read.scores[p].size() != read.trust.size()) {
          throw FormatError(folder_.path(name), "has other numbers of seeds for one policy than for another");
        }
      }
      return 0;
    });
  } catch (const FormatError& error) {
    folder_.tell_damaged(name, error.what());
    return 0;
  }
  outcome = std::move(read);
  return static_cast<int>(outcome.trust.size());
}

void LinearStudyStore::save(const LinearOutcome& outcome, const LinearDomain& source,
                            const LinearDomain& target) const {
  if (folder_.keeps()) folder_.store(file_name(outcome), facts_of(source, target), to_json(outcome));
}

}  // namespace rtl::cli
