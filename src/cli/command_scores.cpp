// rtl scores: how well sources suit a target, before anything is trained.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands.hpp"
#include "cli/data_argument.hpp"
#include "cli/feature_files.hpp"
#include "cli/json_report.hpp"
#include "cli/model_spec.hpp"
#include "cli/outputs.hpp"
#include "cli/table.hpp"
#include "cli/training_arguments.hpp"
#include "rtl/core/error.hpp"
#include "rtl/transfer/scores.hpp"

namespace rtl::cli {

namespace {

struct Arguments {
  std::string sources;
  std::string train;
  std::string json;
  std::string precision = "f32";
  DeviceArguments device;
};

std::vector<ModelSpec> parse_sources(const Arguments& arguments) {
  std::vector<ModelSpec> specs = parse_model_list("--source", arguments.sources);
  for (const ModelSpec& spec : specs) {
    if (!spec.test.empty() || !spec.source.empty()) {
      throw UsageError(
          "--source: only samples of the training part are looked at, so features take no test= and no source=");
    }
  }
  return specs;
}

void check_files(const Arguments& arguments, const std::vector<ModelSpec>& specs) {
  check_data_spec("--train", arguments.train);
  FileArguments inputs = data_files("--train", arguments.train);
  for (const ModelSpec& spec : specs) inputs.push_back({"--source", spec.file});
  check_outputs({{"--json", arguments.json}}, inputs);
}

transfer::FrozenSource precomputed(const ModelSpec& spec, const std::string& data, const data::TrainTest& parts) {
  const std::string what = "--source features:" + spec.file;
  const Tensor rows = rows_of_part(what, read_features(spec.file, spec.array), data, parts, false);
  return transfer::FrozenSource::of_matrices(stem(spec.file), {{&parts.train, rows}});
}

struct Scored {
  transfer::FrozenSource source;
  transfer::Transferability scores;
};

Json or_null(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

Json describe(const std::vector<Scored>& all, const Arguments& arguments, const Device& device,
              const data::Dataset& train) {
  Json sources = Json::array();
  for (const auto& [source, scores] : all) {
    sources.push_back({{"source", source.name()},
                       {"features", source.feature_count()},
                       {"log_me", scores.log_me},
                       {"leep", or_null(scores.leep)},
                       {"nce", or_null(scores.nce)},
                       {"h_score", or_null(scores.h_score)},
                       {"h_score_shrunk", or_null(scores.h_score_shrunk)},
                       {"transrate", or_null(scores.transrate)}});
  }
  return {{"rtl", RTL_VERSION},
          {"device", device.name()},
          {"train", arguments.train},
          {"samples", train.size()},
          {"task", train.is_regression() ? "regression" : "classes"},
          {"classes", train.is_regression() ? Json() : Json(train.classes)},
          {"sources", sources}};
}

std::string table_of(const std::vector<Scored>& all) {
  const auto text = [](const std::optional<double>& value) { return value ? fmt::format("{:.4f}", *value) : "–"; };
  Table table({"source", "features", "LogME", "LEEP", "NCE", "H-score", "H shrunk", "TransRate"});
  for (const auto& [source, scores] : all) {
    table.add({source.name(), grouped(source.feature_count()), text(scores.log_me), text(scores.leep), text(scores.nce),
               text(scores.h_score), text(scores.h_score_shrunk), text(scores.transrate)});
  }
  return table.to_string();
}

void run(const Arguments& arguments) {
  const std::vector<ModelSpec> specs = parse_sources(arguments);
  const Precision precision = parsed_precision(arguments.precision);
  check_files(arguments, specs);
  const Device device = arguments.device.open();
  const data::TrainTest parts = load_data(arguments.train, device, fitted_inputs_of(specs));
  std::vector<Scored> all;
  for (const ModelSpec& spec : specs) {
    const transfer::FrozenSource source = spec.features
                                              ? precomputed(spec, arguments.train, parts)
                                              : load_source(spec, device, precision, parts.train.sample_shape());
    all.push_back({source, transfer::transferability(source, parts.train)});
  }
  if (arguments.json != "-") {
    fmt::print("{}{} samples of {}; larger is better\n", table_of(all), grouped(parts.train.size()), arguments.train);
  }
  for (const auto& [source, scores] : all) {
    if (scores.leep || parts.train.is_regression() || !source.task() || !source.task()->regression) continue;
    fmt::print(stderr, "rtl: {} predicts real targets, so it has no LEEP and no NCE\n", printable(source.name()));
  }
  write_json(arguments.json, describe(all, arguments, device, parts.train));
}

}  // namespace

void add_scores_command(CLI::App& app) {
  auto* command = app.add_subcommand("scores", "How well sources suit a target, before anything is trained");
  auto arguments = std::make_shared<Arguments>();
  command
      ->add_option(
          "--source", arguments->sources,
          fmt::format("FILE[,FILE..] of pretrained models, each [ARCHITECTURE:]FILE[?normalize={}&layer=NAME], "
                      "or features:FILE, precomputed features of the samples (.npy, .npz, .csv or .tsv)",
                      model_normalizations))
      ->required();
  command->add_option("--train", arguments->train, "SPEC of the target, whose training part is looked at")->required();
  command->add_option("--json", arguments->json, "write the scores to FILE (- is standard output)");
  add_precision(*command, arguments->precision, "of the sources");
  arguments->device.add_to(*command);
  command->footer(data_help());
  command->callback([arguments] { run(*arguments); });
}

}  // namespace rtl::cli
