#include "transfer/run_store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace rtl::transfer::detail {
namespace {

using json = io::Json;

constexpr const char* source_prefix = "source ";

/// NaN, which JSON does not have, is null.
json number(double value) { return std::isnan(value) ? json() : json(value); }
double number(const json& value) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

/// Four flags a digit, the first one the highest bit.
std::string to_digits(const std::vector<bool>& flags) {
  std::string digits;
  for (std::size_t begin = 0; begin < flags.size(); begin += 4) {
    unsigned digit = 0;
    for (std::size_t i = begin; i < begin + 4; ++i) digit = 2 * digit + (i < flags.size() && flags[i] ? 1 : 0);
    digits += "0123456789abcdef"[digit];
  }
  return digits;
}

std::vector<bool> to_flags(const std::string& digits, std::size_t count) {
  const bool fits = count <= 4 * digits.size() && 4 * digits.size() - count < 4;
  if (!fits || digits.find_first_not_of("0123456789abcdef") != std::string::npos) {
    throw ValueError(fmt::format("{} digits for {} samples", digits.size(), count));
  }
  std::vector<bool> flags(count);
  for (std::size_t i = 0; i < count; ++i) {
    const char digit = digits[i / 4];
    const int value = digit <= '9' ? digit - '0' : digit - 'a' + 10;
    flags[i] = (value >> (3 - i % 4) & 1) != 0;
  }
  return flags;
}

json encode(const Scores& scores) {
  if (scores.regression) {
    return {{"samples", scores.samples}, {"r2", scores.r2}, {"rmse", scores.rmse}, {"sample_r2", scores.sample_r2}};
  }
  json classes = json::array();
  for (const double value : scores.class_accuracy) classes.push_back(number(value));
  return {{"samples", scores.samples},
          {"accuracy", scores.accuracy},
          {"auc", scores.auc},
          {"auc_weighted", scores.auc_weighted},
          {"f1", scores.f1},
          {"f1_macro", scores.f1_macro},
          {"min_class_accuracy", scores.min_class_accuracy},
          {"class_accuracy", classes},
          {"confusion", scores.confusion},
          {"correct", to_digits(scores.correct)}};
}

Scores decode_scores(const json& value) {
  Scores scores;
  value.at("samples").get_to(scores.samples);
  if (value.contains("r2")) {
    scores.regression = true;
    value.at("r2").get_to(scores.r2);
    value.at("rmse").get_to(scores.rmse);
    value.at("sample_r2").get_to(scores.sample_r2);
    return scores;
  }
  value.at("accuracy").get_to(scores.accuracy);
  value.at("auc").get_to(scores.auc);
  value.at("auc_weighted").get_to(scores.auc_weighted);
  value.at("f1").get_to(scores.f1);
  value.at("f1_macro").get_to(scores.f1_macro);
  value.at("min_class_accuracy").get_to(scores.min_class_accuracy);
  for (const json& entry : value.at("class_accuracy")) scores.class_accuracy.push_back(number(entry));
  value.at("confusion").get_to(scores.confusion);
  scores.correct = to_flags(value.at("correct"), static_cast<std::size_t>(scores.samples));
  return scores;
}

/// A loss that is not known is null.
json encode(const ReadOut& read_out) {
  return {{"name", read_out.name}, {"weight", read_out.weight},         {"temperature", read_out.temperature},
          {"loss", read_out.loss}, {"difference", read_out.difference}, {"standard_error", read_out.standard_error}};
}

json encode(const RunResult& result) {
  if (!result.divergence.empty()) return {{"divergence", result.divergence}};
  json influence = json::array();
  for (const BlockInfluence& block : result.influence) {
    influence.push_back({{"name", block.name},
                         {"features", block.features},
                         {"feature_norm", block.feature_norm},
                         {"logit_deviation", block.logit_deviation},
                         {"share", block.share}});
  }
  json read_outs = json::array();
  for (const ReadOut& read_out : result.read_outs) read_outs.push_back(encode(read_out));
  return {{"scores", encode(result.scores)},
          {"trainable_parameters", result.trainable_parameters},
          {"seconds", result.seconds},
          {"influence", influence},
          {"losses", result.losses},
          {"warnings", result.warnings},
          {"read_outs", read_outs},
          {"fitted", result.fitted},
          {"peak_memory_bytes", result.peak_memory_bytes}};
}

RunResult decode(const json& value) {
  RunResult result;
  if (value.contains("divergence")) {
    value.at("divergence").get_to(result.divergence);
    return result;
  }
  result.scores = decode_scores(value.at("scores"));
  value.at("trainable_parameters").get_to(result.trainable_parameters);
  value.at("seconds").get_to(result.seconds);
  for (const json& entry : value.at("influence")) {
    result.influence.push_back({entry.at("name"), entry.at("features"), entry.at("feature_norm"),
                                entry.at("logit_deviation"), entry.at("share")});
  }
  value.at("losses").get_to(result.losses);
  value.at("warnings").get_to(result.warnings);
  for (const json& entry : value.at("read_outs")) {
    result.read_outs.push_back({entry.at("name"), entry.at("weight"), entry.at("temperature"), number(entry.at("loss")),
                                number(entry.at("difference")), number(entry.at("standard_error"))});
  }
  result.fitted = value.value("fitted", std::string());
  result.peak_memory_bytes = value.value("peak_memory_bytes", std::int64_t{0});
  return result;
}

bool is_run(const std::string& name) {
  return name.find("_seed") != std::string::npos && (name.ends_with(".json") || name.ends_with(".checkpoint"));
}

}  // namespace

std::string run_file_name(const std::string& strategy, std::uint64_t seed, const std::string& ending) {
  std::string name = strategy;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == ':' || c == '/'; }, '_');
  return fmt::format("{}_seed{}.{}", name, seed, ending);
}

std::string source_fact(std::size_t number) { return fmt::format("{}{}", source_prefix, number); }

RunStore::RunStore(std::string folder, Facts protocol, Notice notice)
    : protocol_(std::move(protocol)), folder_(std::move(folder), protocol_, is_run, std::move(notice)) {}

Facts RunStore::facts_of_run(const std::string& label) const {
  Facts facts = protocol_;
  if (find_strategy(label.substr(0, label.find(':'))).info().most_sources > 0) return facts;
  std::erase_if(facts, [](const Fact& fact) { return fact.name.starts_with(source_prefix); });
  return facts;
}

std::string RunStore::checkpoint(const std::string& strategy, std::uint64_t seed) const {
  return folder_.path(run_file_name(strategy, seed, "checkpoint"));
}

std::optional<RunResult> RunStore::find(const std::string& strategy, std::uint64_t seed) const {
  const std::string name = run_file_name(strategy, seed, "json");
  const std::optional<json> found = folder_.find(name, facts_of_run(strategy));
  if (!found) return {};
  try {
    return io::decode_json(folder_.path(name), [&] { return decode(*found); });
  } catch (const Error& error) {
    folder_.tell_damaged(name, error.what());
    return {};
  }
}

void RunStore::store(const std::string& strategy, std::uint64_t seed, const RunResult& result) const {
  if (folder_.keeps()) folder_.store(run_file_name(strategy, seed, "json"), facts_of_run(strategy), encode(result));
}

}  // namespace rtl::transfer::detail
