#include "cli/json_report.hpp"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/standard_streams.hpp"
#include "cli/verdict_text.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/file.hpp"

namespace rtl::cli {

namespace {

Json to_json(const transfer::Interval& interval) {
  return {{"mean", interval.mean}, {"low", interval.low}, {"high", interval.high}};
}

Json to_json(const transfer::Statistic& statistic) {
  return {{"mean", statistic.mean}, {"std", statistic.std}, {"values", statistic.values}};
}

Json to_json(const transfer::StrategyResult& result, const transfer::Comparison& comparison) {
  Json influence = Json::array();
  for (const auto& block : result.influence) {
    influence.push_back({{"block", block.name},
                         {"features", block.features},
                         {"feature_norm", block.feature_norm},
                         {"logit_deviation", block.logit_deviation},
                         {"share", block.share}});
  }
  Json read_outs = Json::array();
  for (const auto& read_out : result.read_outs) {
    read_outs.push_back({{"name", read_out.name},
                         {"weight", read_out.weight},
                         {"temperature", read_out.temperature},
                         {"loss", read_out.loss},
                         {"difference", read_out.difference},
                         {"standard_error", read_out.standard_error}});
  }
  Json new_samples = to_json(result.difference_new_samples);
  new_samples["p"] = result.p_value_new_samples;
  Json forgotten = Json::array();
  for (const std::int32_t index : result.forgotten) forgotten.push_back(class_name(comparison, index));
  Json json = {{"name", result.name},
               {"options", result.options},
               {"trainable_parameters", result.trainable_parameters},
               {"seconds", result.seconds},
               {"peak_memory_bytes", result.peak_memory_bytes},
               {"difference_from_scratch", to_json(result.difference_from_scratch)},
               {"verdict", transfer::to_string(result.verdict)},
               {"p_value", result.p_value},
               {"p_value_holm", result.p_value_holm},
               {"difference_new_samples", new_samples},
               {"verdict_new_samples", transfer::to_string(result.verdict_new_samples)},
               {"pairs", result.pairs},
               {"no_spread", result.no_spread},
               {"diverged_runs", result.diverged},
               {"divergence", result.divergence.empty() ? Json() : Json(result.divergence)},
               {"constant_runs", result.constant},
               {"never_predicted", forgotten},
               {"warned_runs", result.warned},
               {"warnings", result.warnings},
               {"losses", result.losses},
               {"dominated_by", result.dominated_by.empty() ? Json() : Json(result.dominated_by)},
               {"influence", influence},
               {"read_outs", read_outs}};
  if (comparison.regression) {
    json["r2"] = to_json(result.r2);
    json["rmse"] = to_json(result.rmse);
    return json;
  }
  json["accuracy"] = to_json(result.accuracy);
  json["auc"] = result.auc.mean;
  json["f1"] = result.f1.mean;
  json["min_class_accuracy"] = result.min_class_accuracy.mean;
  return json;
}

}  // namespace

Json to_json(const transfer::Comparison& comparison) {
  Json strategies = Json::array();
  for (const auto& result : comparison.strategies) strategies.push_back(to_json(result, comparison));
  const auto& check = comparison.scratch;
  return {{"rtl", RTL_VERSION},
          {"device", comparison.device},
          {"target", comparison.target},
          {"task", comparison.regression ? "regression" : "classes"},
          {"sources", comparison.sources},
          {"seeds", comparison.seeds},
          {"train_samples", comparison.train_samples},
          {"test_samples", comparison.test_samples},
          {"confidence", comparison.confidence},
          {"feature_seconds", comparison.feature_seconds},
          {"strategies", strategies},
          {"scratch_check",
           {{"majority_class", comparison.regression ? Json() : Json(class_name(comparison, check.majority_class))},
            {"majority_share", check.majority_share},
            {"above_majority", to_json(check.above_majority)},
            {"beats_majority", check.beats_majority},
            {"loss_fell", check.loss_fell}}},
          {"conclusion",
           {{"correction", "Holm"},
            {"helped", concluded(comparison, transfer::Verdict::helps)},
            {"hurt", concluded(comparison, transfer::Verdict::hurts)}}},
          {"notes", describe_notes(comparison)}};
}

void write_json(const std::string& path, const Json& json) {
  if (path.empty()) return;
  const std::string text = json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  if (path == "-") {
    std::fputs(text.c_str(), stdout);
  } else {
    try {
      io::write_file(path, text);
    } catch (const IoError&) {
      if (!is_standard_output(path) || !output_reader_gone()) throw;
    }
  }
}

}  // namespace rtl::cli
