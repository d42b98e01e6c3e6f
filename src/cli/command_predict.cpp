// rtl predict: logits in the data's order, and the accuracy where there are labels that fit.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/data_argument.hpp"
#include "cli/json_report.hpp"
#include "cli/model_spec.hpp"
#include "cli/number_checks.hpp"
#include "cli/outputs.hpp"
#include "cli/table.hpp"
#include "cli/training_arguments.hpp"
#include "rtl/io/npy.hpp"
#include "rtl/transfer/metrics.hpp"

namespace rtl::cli {

namespace {

struct Arguments {
  std::string model;
  std::string data;
  std::string logits;
  std::string json;
  std::int64_t batch_size = 256;
  std::string precision = "f32";
  DeviceArguments device;
};

void run(const Arguments& arguments) {
  const auto spec = ModelSpec::parse(arguments.model);
  const Precision precision = parsed_precision(arguments.precision);
  check_data_spec("--data", arguments.data);
  FileArguments inputs = data_files("--data", arguments.data);
  inputs.push_back({"--model", spec.file});
  check_outputs({{"--logits", arguments.logits}, {"--json", arguments.json}}, inputs);
  const Device device = arguments.device.open();
  const auto source = load_source(spec, device, precision);
  if (source.classes() == 0) {
    throw FormatError(spec.file, "it has no head, so it gives no logits; as a --source of rtl transfer it will do");
  }
  auto parts = load_data(arguments.data, device);
  require_test_part(parts, "prediction");
  const auto dataset = std::move(parts.test);
  const Tensor logits = source.logits(dataset, arguments.batch_size);
  if (!arguments.logits.empty()) io::write_npy(arguments.logits, logits);

  Json json = {{"rtl", RTL_VERSION},
               {"device", device.name()},
               {"model", spec.file},
               {"architecture", source.architecture().to_string()},
               {"parameters", source.parameter_count()},
               {"normalization", data::to_string(source.normalization())},
               {"precision", to_string(precision)},
               {"data", arguments.data},
               {"samples", dataset.size()},
               {"classes", source.classes()},
               {"logits", arguments.logits.empty() ? Json() : Json(arguments.logits)},
               {"correct", nullptr},
               {"accuracy", nullptr}};
  std::string verdict =
      fmt::format("no accuracy: the model has {} classes, the data {}", source.classes(), dataset.classes);
  if (dataset.classes == source.classes()) {
    const auto scores = transfer::score(logits, dataset);
    const auto correct = std::llround(scores.accuracy * static_cast<double>(dataset.size()));
    json["correct"] = correct;
    json["accuracy"] = scores.accuracy;
    verdict = fmt::format("accuracy {:.2f} % ({} of {})", 100 * scores.accuracy, correct, dataset.size());
  }
  if (arguments.json != "-") {
    fmt::print("{}, {} parameters, inputs normalised as '{}'\n{} samples of {}\n{}\n",
               source.architecture().to_string(), grouped(source.parameter_count()),
               data::to_string(source.normalization()), grouped(dataset.size()), arguments.data, verdict);
    if (!arguments.logits.empty()) fmt::print("logits written: {}\n", arguments.logits);
  }
  write_json(arguments.json, json);
}

}  // namespace

void add_predict_command(CLI::App& app) {
  auto* command = app.add_subcommand("predict", "Logits of a data set's test part, and the accuracy");
  auto arguments = std::make_shared<Arguments>();
  command
      ->add_option("--model", arguments->model, fmt::format("[ARCHITECTURE:]FILE[?normalize={}]", model_normalizations))
      ->required();
  command->add_option("--data", arguments->data, "SPEC of the data set; ?split=train for its training part")
      ->required();
  command->add_option("--logits", arguments->logits, "the .npy file to write, [samples, classes] in the data's order");
  command->add_option("--json", arguments->json, "write the facts to FILE (- is standard output)");
  add_precision(*command, arguments->precision, "of the network");
  command->add_option("--batch-size", arguments->batch_size, "samples at a time")
      ->check(at_least(1))
      ->capture_default_str();
  arguments->device.add_to(*command);
  command->footer(data_help());
  command->callback([arguments] { run(*arguments); });
}

}  // namespace rtl::cli
