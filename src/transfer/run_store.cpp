#include "transfer/run_store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "rtl/io/file.hpp"
#include "rtl/io/hash.hpp"

namespace rtl::transfer::detail {
namespace {

using nlohmann::json;

/// NaN, which JSON does not have, is null.
json number(double value) { return std::isnan(value) ? json() : json(value); }
double number(const json& value) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

json encode(const Scores& scores) {
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
          {"confusion", scores.confusion}};
}

Scores decode_scores(const json& value) {
  Scores scores;
  value.at("samples").get_to(scores.samples);
  value.at("accuracy").get_to(scores.accuracy);
  value.at("auc").get_to(scores.auc);
  value.at("auc_weighted").get_to(scores.auc_weighted);
  value.at("f1").get_to(scores.f1);
  value.at("f1_macro").get_to(scores.f1_macro);
  value.at("min_class_accuracy").get_to(scores.min_class_accuracy);
  for (const json& entry : value.at("class_accuracy")) scores.class_accuracy.push_back(number(entry));
  value.at("confusion").get_to(scores.confusion);
  return scores;
}

json encode(const RunResult& result) {
  json influence = json::array();
  for (const BlockInfluence& block : result.influence) {
    influence.push_back({{"name", block.name},
                         {"features", block.features},
                         {"feature_norm", block.feature_norm},
                         {"logit_deviation", block.logit_deviation},
                         {"share", block.share}});
  }
  return {{"scores", encode(result.scores)},
          {"trainable_parameters", result.trainable_parameters},
          {"seconds", result.seconds},
          {"influence", influence},
          {"losses", result.losses}};
}

RunResult decode(const json& value) {
  RunResult result;
  result.scores = decode_scores(value.at("scores"));
  value.at("trainable_parameters").get_to(result.trainable_parameters);
  value.at("seconds").get_to(result.seconds);
  for (const json& entry : value.at("influence")) {
    result.influence.push_back({entry.at("name"), entry.at("features"), entry.at("feature_norm"),
                                entry.at("logit_deviation"), entry.at("share")});
  }
  value.at("losses").get_to(result.losses);
  return result;
}

}  // namespace

RunStore::RunStore(std::string folder) : folder_(std::move(folder)) {
  if (folder_.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (error) throw IoError(folder_, "cannot make the folder for the runs' state: " + error.message());
}

std::string RunStore::path(const std::string& strategy, std::uint64_t seed, const char* ending) const {
  if (folder_.empty()) return {};
  std::string name = strategy;
  std::replace(name.begin(), name.end(), ':', '_');
  return fmt::format("{}/{}_seed{}.{}", folder_, name, seed, ending);
}

std::string RunStore::checkpoint(const std::string& strategy, std::uint64_t seed) const {
  return path(strategy, seed, "checkpoint");
}

std::optional<RunResult> RunStore::find(const std::string& strategy, std::uint64_t seed,
                                        std::uint64_t fingerprint) const {
  const std::string file = path(strategy, seed, "json");
  if (file.empty() || !io::file_exists(file)) return {};
  try {
    const io::Bytes bytes = io::read_file(file);
    const auto* begin = reinterpret_cast<const char*>(bytes.data());
    const json content = json::parse(begin, begin + bytes.size());
    if (content.at("run") != io::to_hex(fingerprint)) return {};
    return decode(content.at("result"));
  } catch (const json::exception&) {
    return {};
  } catch (const Error&) {
    return {};
  }
}

void RunStore::store(const std::string& strategy, std::uint64_t seed, std::uint64_t fingerprint,
                     const RunResult& result) const {
  if (folder_.empty()) return;
  const json content{{"run", io::to_hex(fingerprint)}, {"result", encode(result)}};
  io::write_file(path(strategy, seed, "json"), content.dump(1) + "\n");
}

}  // namespace rtl::transfer::detail
