// rtl predict: classes and probabilities, or values, in the data's order; and how good they are where the data tells.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/data_argument.hpp"
#include "cli/feature_files.hpp"
#include "cli/json_report.hpp"
#include "cli/number_checks.hpp"
#include "cli/outputs.hpp"
#include "cli/prediction_model.hpp"
#include "cli/predictions.hpp"
#include "cli/table.hpp"
#include "cli/training_arguments.hpp"
#include "rtl/io/npy.hpp"

namespace rtl::cli {

namespace {

struct Arguments {
  std::string model;
  std::string data;
  std::vector<std::string> features;
  std::string source_inputs;
  std::string out;
  std::string logits;
  std::string json;
  std::int64_t batch_size = 256;
  std::string precision = "f32";
  DeviceArguments device;
};

Json or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }
template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

Json describe(const Arguments& arguments, const PredictionModel& model, const std::string& device,
              const data::Dataset& dataset, const Judgement& judgement) {
  const transfer::Task& task = model.task();
  const std::vector<std::string> names = output_names(task, dataset);
  Json sources = Json::array();
  for (const transfer::FrozenSource& source : model.sources()) sources.push_back(source.name());
  return {{"rtl", RTL_VERSION},
          {"device", device},
          {"model", model.file()},
          {"strategy", or_null(model.strategy())},
          {"architecture", or_null(model.architecture())},
          {"sources", sources},
          {"parameters", model.parameter_count()},
          {"normalization", or_null(model.normalization())},
          {"precision", arguments.precision},
          {"data", arguments.data},
          {"source_inputs", or_null(arguments.source_inputs)},
          {"samples", dataset.size()},
          {"task", task.regression ? "regression" : "classes"},
          {"outputs", task.outputs},
          {"names", names.empty() ? Json() : Json(names)},
          {"classes", task.regression ? Json() : Json(task.outputs)},
          {"probabilities", task.regression ? Json() : Json(task.independent ? "sigmoid" : "softmax")},
          {"out", or_null(arguments.out)},
          {"logits", or_null(arguments.logits)},
          {"correct", or_null(judgement.correct)},
          {"accuracy", or_null(judgement.accuracy)},
          {"r2", or_null(judgement.r2)},
          {"rmse", or_null(judgement.rmse)}};
}

void check_files(const Arguments& arguments, const ModelSpec& spec, const GivenFeatures& features) {
  FileArguments inputs = data_files("--data", arguments.data);
  inputs.push_back({"--model", spec.file});
  for (const std::string& file : features.files()) inputs.push_back({"--features", file});
  if (!arguments.source_inputs.empty()) {
    for (const auto& file : data_files("--source-inputs", arguments.source_inputs)) inputs.push_back(file);
  }
  check_npy_or_csv({"--out", arguments.out});
  check_outputs({{"--out", arguments.out}, {"--logits", arguments.logits}, {"--json", arguments.json}}, inputs);
}

void run(Arguments arguments) {
  const auto spec = ModelSpec::parse(arguments.model);
  if (!spec.layer.empty()) {
    throw UsageError("--model: predict gives logits, and layer= is for features; rtl transfer takes it for a --source");
  }
  const Precision precision = parsed_precision(arguments.precision);
  arguments.data = without_labels(arguments.data);
  check_data_spec("--data", arguments.data);
  if (!arguments.source_inputs.empty()) {
    arguments.source_inputs = without_labels(arguments.source_inputs);
    check_data_spec("--source-inputs", arguments.source_inputs);
  }
  GivenFeatures features(arguments.features, arguments.source_inputs);
  check_files(arguments, spec, features);
  const Device device = arguments.device.open();
  const auto model = PredictionModel::load(spec, device, precision);
  if (model.task().regression && !arguments.logits.empty()) {
    throw UsageError(fmt::format("--logits: {} predicts values, which --out writes", spec.file));
  }
  const auto parts = load_data(arguments.data, device, fitted_inputs_of(spec.file));
  require_test_part(parts, "prediction");
  const data::Dataset& dataset = parts.test;
  features.read(spec.file, model.sources(), arguments.data, parts, device);
  transfer::FeatureCache cache;
  const Tensor outputs = model.outputs(dataset, features.lookup(dataset, cache), arguments.batch_size);
  if (!arguments.logits.empty()) io::write_npy(arguments.logits, outputs);
  if (!arguments.out.empty()) {
    if (model.task().independent) {
      fmt::print(stderr,
                 "rtl: note: {} was trained by --loss bce, each class against all others: a probability is the sigmoid "
                 "of its class's logit, and those of a sample need not sum to one\n",
                 spec.file);
    }
    write_predictions(arguments.out, outputs, model.task(), output_names(model.task(), dataset));
  }
  const Judgement judgement = judge_outputs(outputs, model.task(), dataset);
  if (arguments.json != "-") {
    fmt::print("{}\n{} samples of {}\n{}\n", model.description(), grouped(dataset.size()), arguments.data,
               printable(judgement.text));
    if (!arguments.out.empty()) fmt::print("predictions written: {}\n", arguments.out);
    if (!arguments.logits.empty()) fmt::print("logits written: {}\n", arguments.logits);
  }
  write_json(arguments.json, describe(arguments, model, device.name(), dataset, judgement));
}

}  // namespace

void add_predict_command(CLI::App& app) {
  auto* command = app.add_subcommand(
      "predict", "Classes with probabilities, or values, of a data set's test part, and how good they are");
  auto arguments = std::make_shared<Arguments>();
  command
      ->add_option("--model", arguments->model,
                   fmt::format("FILE that rtl pretrain or rtl transfer --out wrote, or a checkpoint: "
                               "[ARCHITECTURE:]FILE[?normalize={}]",
                               model_normalizations))
      ->required();
  command->add_option("--data", arguments->data, "SPEC of the data set; ?split=train for its training part")
      ->required();
  command
      ->add_option("--features", arguments->features,
                   "NAME=FILE: precomputed features of the samples to predict (.npy, .csv or .tsv), where the model "
                   "was fitted to "
                   "some")
      ->allow_extra_args(false);
  command->add_option("--source-inputs", arguments->source_inputs,
                      "SPEC of what the sources see of the samples to predict, where the model was fitted with "
                      "--source-inputs: row i is the data's row i");
  command->add_option("--out", arguments->out,
                      "the .csv or .npy file to write, in the data's order: probabilities of classes, or values");
  command->add_option("--logits", arguments->logits, "the .npy file to write, [samples, classes] in the data's order");
  command->add_option("--json", arguments->json, "write the facts to FILE (- is standard output)");
  add_precision(*command, arguments->precision, "of a checkpoint's network");
  command->add_option("--batch-size", arguments->batch_size, "samples at a time, of a checkpoint")
      ->check(at_least(1))
      ->capture_default_str();
  arguments->device.add_to(*command);
  command->footer(data_help());
  command->callback([arguments] { run(*arguments); });
}

}  // namespace rtl::cli
