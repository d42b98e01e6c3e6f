#include "cli/json_report.hpp"

#include <cstdio>

#include "rtl/io/file.hpp"

namespace rtl::cli {

namespace {

Json to_json(const transfer::StrategyResult& result) {
  Json influence = Json::array();
  for (const auto& block : result.influence) {
    influence.push_back({{"block", block.name},
                         {"features", block.features},
                         {"feature_norm", block.feature_norm},
                         {"logit_deviation", block.logit_deviation},
                         {"share", block.share}});
  }
  return {
      {"name", result.name},
      {"feature_scaling", transfer::to_string(result.feature_scaling)},
      {"trainable_parameters", result.trainable_parameters},
      {"seconds", result.seconds},
      {"accuracy", {{"mean", result.accuracy.mean}, {"std", result.accuracy.std}, {"values", result.accuracy.values}}},
      {"auc", result.auc.mean},
      {"f1", result.f1.mean},
      {"min_class_accuracy", result.min_class_accuracy.mean},
      {"difference_from_scratch",
       {{"mean", result.difference_from_scratch.mean},
        {"low", result.difference_from_scratch.low},
        {"high", result.difference_from_scratch.high}}},
      {"verdict", transfer::to_string(result.verdict)},
      {"losses", result.losses},
      {"dominated_by", result.dominated_by.empty() ? Json() : Json(result.dominated_by)},
      {"influence", influence}};
}

}  // namespace

Json to_json(const transfer::Comparison& comparison) {
  Json strategies = Json::array();
  for (const auto& result : comparison.strategies) strategies.push_back(to_json(result));
  return {{"rtl", RTL_VERSION},
          {"device", comparison.device},
          {"target", comparison.target},
          {"sources", comparison.sources},
          {"seeds", comparison.seeds},
          {"train_samples", comparison.train_samples},
          {"test_samples", comparison.test_samples},
          {"confidence", comparison.confidence},
          {"feature_seconds", comparison.feature_seconds},
          {"strategies", strategies}};
}

void write_json(const std::string& path, const Json& json) {
  if (path.empty()) return;
  const std::string text = json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  if (path == "-") {
    std::fputs(text.c_str(), stdout);
  } else {
    io::write_file(path, text);
  }
}

}  // namespace rtl::cli
