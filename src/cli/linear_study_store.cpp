#include "cli/linear_study_store.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "rtl/core/error.hpp"

namespace rtl::cli {
namespace {

/// Empty unless every value is a number.
std::vector<double> numbers(const Json& json) {
  if (!json.is_array() || !std::all_of(json.begin(), json.end(), [](const Json& v) { return v.is_number(); }))
    return {};
  return json.get<std::vector<double>>();
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

LinearStudyStore::LinearStudyStore(std::string folder) : folder_(std::move(folder)) {
  if (folder_.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (error) throw IoError(folder_, "the folder cannot be made: " + error.message());
}

bool LinearStudyStore::load(LinearOutcome& outcome, int seeds) const {
  if (folder_.empty()) return false;
  std::ifstream file(path(outcome));
  const Json json = Json::parse(file, nullptr, false);
  if (!json.is_object() || !json.contains("policies") || !json["policies"].is_object() || !json.contains("trust")) {
    return false;
  }
  LinearOutcome read = outcome;
  const auto count = static_cast<std::size_t>(seeds);
  for (std::size_t p = 0; p < linear_policies; ++p) {
    const bool expected = p != 1 || !outcome.other_labels;
    const Json policy = json["policies"].value(linear_policy_names[p], Json::object());
    if (policy.contains("values")) read.scores[p] = numbers(policy["values"]);
    if (read.scores[p].size() != (expected ? count : 0)) return false;
  }
  read.trust = numbers(json["trust"]);
  if (read.trust.size() != count) return false;
  outcome = std::move(read);
  return true;
}

void LinearStudyStore::save(const LinearOutcome& outcome) const {
  if (!folder_.empty()) write_json(path(outcome), to_json(outcome));
}

std::string LinearStudyStore::path(const LinearOutcome& outcome) const {
  std::string name = outcome.name() + ".json";
  for (char& c : name) {
    if (c == ' ' || c == ',' || c == '/') c = '_';
  }
  return folder_ + "/" + name;
}

}  // namespace rtl::cli
