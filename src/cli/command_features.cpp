// rtl features: what a pretrained network makes of a data set, as a matrix for rtl ridge and rtl decide.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.hpp"
#include "cli/data_argument.hpp"
#include "cli/json_report.hpp"
#include "cli/model_spec.hpp"
#include "cli/number_checks.hpp"
#include "cli/outputs.hpp"
#include "cli/table.hpp"
#include "cli/training_arguments.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/file.hpp"
#include "rtl/io/npy.hpp"

namespace rtl::cli {

namespace {

struct Arguments {
  std::string model;
  std::string data;
  std::string part = "train";
  std::string out;
  std::string labels;
  std::string json;
  std::int64_t batch_size = 256;
  std::string precision = "f32";
  DeviceArguments device;
};

void write_labels(const std::string& path, const data::Dataset& dataset) {
  if (path.empty()) return;
  if (path.ends_with(".npy")) return io::write_npy(path, dataset.labels);
  std::string text = "class\n";
  for (const std::int32_t label : dataset.labels.to_vector<std::int32_t>()) {
    const auto& names = dataset.class_names;
    text += names.empty() ? fmt::format("{}\n", label) : csv_field(names[static_cast<std::size_t>(label)]) + "\n";
  }
  io::write_file(path, text);
}

data::Dataset chosen_part(const Arguments& arguments, const std::string& model, const Device& device) {
  data::TrainTest parts = load_data(arguments.data, device, fitted_inputs_of(model));
  data::Dataset part = arguments.part == "train" ? std::move(parts.train) : std::move(parts.test);
  if (part.size() == 0) {
    throw ValueError(
        fmt::format("data set '{}': its {} part is empty; give another --part", part.name, arguments.part));
  }
  if (!arguments.labels.empty() && !part.has_labels()) {
    throw ValueError(fmt::format("data set '{}' has no labels, which --labels asks for", part.name));
  }
  return part;
}

void run(Arguments arguments) {
  const auto spec = ModelSpec::parse(arguments.model);
  const Precision precision = parsed_precision(arguments.precision);
  arguments.data = without_labels(arguments.data);
  check_data_spec("--data", arguments.data);
  if (!arguments.out.ends_with(".npy")) {
    throw UsageError(fmt::format("--out: '{}' does not end in .npy", arguments.out));
  }
  const FileArgument labels{"--labels", arguments.labels};
  check_npy_or_csv(labels);
  FileArguments inputs = data_files("--data", arguments.data);
  inputs.push_back({"--model", spec.file});
  check_outputs({{"--out", arguments.out}, labels, {"--json", arguments.json}}, inputs);
  const Device device = arguments.device.open();
  const data::Dataset part = chosen_part(arguments, spec.file, device);
  const auto source = load_source(spec, device, precision, part.sample_shape());
  const Tensor features = source.features(part, arguments.batch_size);
  io::write_npy(arguments.out, features);
  write_labels(arguments.labels, part);

  const Json json = {{"rtl", RTL_VERSION},
                     {"device", device.name()},
                     {"model", spec.file},
                     {"source", source.name()},
                     {"architecture", source.architecture().to_string()},
                     {"normalization", data::to_string(source.normalization())},
                     {"precision", to_string(precision)},
                     {"data", arguments.data},
                     {"part", arguments.part},
                     {"n", features.extent(0)},
                     {"p", features.extent(1)},
                     {"out", arguments.out},
                     {"labels", arguments.labels.empty() ? Json() : Json(arguments.labels)},
                     {"classes", part.class_names}};
  if (arguments.json != "-") {
    fmt::print("{}, inputs normalised as '{}'\n{} features of {} samples, the {} part of {}\nwritten: {}\n",
               source.architecture().to_string(), data::to_string(source.normalization()), grouped(features.extent(1)),
               grouped(features.extent(0)), arguments.part, arguments.data, arguments.out);
    if (!arguments.labels.empty()) fmt::print("labels written: {}\n", arguments.labels);
  }
  write_json(arguments.json, json);
}

}  // namespace

void add_features_command(CLI::App& app) {
  auto* command = app.add_subcommand("features", "A network's features of a data set, for rtl ridge and rtl decide");
  auto arguments = std::make_shared<Arguments>();
  command
      ->add_option("--model", arguments->model, fmt::format("[ARCHITECTURE:]FILE[?normalize={}]", model_normalizations))
      ->required();
  command->add_option("--data", arguments->data, "SPEC of the data set")->required();
  command->add_option("--part", arguments->part, "train or test")
      ->check(CLI::IsMember(std::vector<std::string>{"train", "test"}))
      ->capture_default_str();
  command->add_option("--out", arguments->out, "the .npy file to write, f32 [samples, features] in the data's order")
      ->required();
  command->add_option("--labels", arguments->labels,
                      "write the samples' labels: numbers from 0 to a .npy, the names of the classes to a .csv");
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
