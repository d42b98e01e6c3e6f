// rtl pretrain: trains a source and saves it as safetensors.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.hpp"
#include "cli/data_argument.hpp"
#include "cli/interrupt.hpp"
#include "cli/json_report.hpp"
#include "cli/number_checks.hpp"
#include "cli/outputs.hpp"
#include "cli/progress.hpp"
#include "cli/stress_arguments.hpp"
#include "cli/table.hpp"
#include "cli/training_arguments.hpp"
#include "io/json.hpp"
#include "rtl/data/split.hpp"
#include "rtl/io/file.hpp"
#include "rtl/layers/checkpoint.hpp"
#include "rtl/transfer/metrics.hpp"
#include "rtl/transfer/task.hpp"
#include "rtl/transfer/training.hpp"
#include "transfer/task_text.hpp"
#include "transfer/varying_targets.hpp"

namespace rtl::cli {

namespace {

struct Arguments {
  std::string data;
  std::string model = "paper_cnn";
  std::string out;
  std::string json;
  std::uint64_t seed = 1;
  bool resume = false;
  DeviceArguments device;
  TrainingArguments training;
  StressArguments stress;
};

layers::Architecture parse_model(const std::string& text, const data::Dataset& dataset) {
  const auto colon = text.find(':');
  layers::Architecture architecture;
  architecture.name = text.substr(0, colon);
  if (colon != std::string::npos) architecture.variant = text.substr(colon + 1);
  architecture.input = dataset.sample_shape();
  architecture.classes = dataset.outputs();
  architecture.vocabulary = dataset.vocabulary;
  return architecture;
}

std::string unfinished(const Arguments& arguments) { return arguments.out + ".unfinished"; }

/// When the file was written; nothing if it is not there.
std::optional<std::filesystem::file_time_type> written(const std::string& file) {
  std::error_code none;
  const auto time = std::filesystem::last_write_time(file, none);
  return none ? std::nullopt : std::optional(time);
}

/// With a test part that can be scored.
data::TrainTest load_parts(const Arguments& arguments, const Device& device) {
  data::TrainTest parts = load_data(arguments.data, device);
  require_test_part(parts, "the accuracy of the source");
  transfer::detail::check_scorable(parts.test);
  return parts;
}

data::Dataset training_part(data::Dataset all, const Arguments& arguments, const Stresses& stresses) {
  auto part = drop_first(std::move(all), arguments.training.train_offset);
  const auto limit = arguments.training.train_limit;
  if (limit > 0) part = part.subset(data::random_subset(part.size(), limit, arguments.seed));
  part = stresses.apply(std::move(part));
  part.validate(true);
  return part;
}

transfer::TrainingRecord train(layers::Network& network, const data::Dataset& part,
                               const data::InputNormalization& normalization, const Arguments& arguments) {
  auto options = arguments.training.training();
  options.seed = arguments.seed;
  options.checkpoint = unfinished(arguments);
  options.resume = arguments.resume;
  ProgressBar bar;
  options.progress = [&](const transfer::Progress& now) {
    bar.show(static_cast<double>(now.epoch) / static_cast<double>(now.epochs),
             fmt::format("epoch {}/{}, loss {:.4f}", now.epoch, now.epochs, now.loss));
  };
  options.notice = [&](const std::string& text) { bar.note(text); };
  return with_training_flags([&] { return transfer::train(network, part, normalization, options); });
}

std::map<std::string, std::string> describe_training(const Arguments& arguments, const data::Dataset& part,
                                                     const transfer::Task& task) {
  const auto& options = arguments.training.options;
  std::map<std::string, std::string> facts{
      {"rtl", RTL_VERSION},
      {transfer::detail::task_key, transfer::detail::encode_task(task)},
      {"training.data", io::valid_utf8(part.name)},
      {"training.samples", fmt::format("{}", part.size())},
      {"training.epochs", fmt::format("{}", options.epochs)},
      {"training.precision", to_string(options.precision)},
      {"training.seed", fmt::format("{}", arguments.seed)},
      {"training.label_flips",
       fmt::format("{}{}", options.label_flips, options.flip_each_epoch ? ", drawn anew in every epoch" : "")}};
  if (!arguments.stress.texts.empty()) facts["training.stress"] = arguments.stress.text();
  facts.merge(part.fitted.entries());
  return facts;
}

/// Throws UsageError, before anything is read.
void check(const Arguments& arguments) {
  arguments.training.training();
  arguments.training.parsed_normalization();
  check_data_spec("--data", arguments.data);
  check_model("--model", arguments.model);
  check_outputs({{"--out", arguments.out}, {"--out (unfinished)", unfinished(arguments)}, {"--json", arguments.json}},
                data_files("--data", arguments.data));
}

void run(Arguments arguments) {
  const Stresses stresses = arguments.stress.parse(arguments.training.options);
  check(arguments);
  const auto before = written(unfinished(arguments));
  const KeptWork kept([&, file = unfinished(arguments)]() -> std::string {
    const auto now = written(file);
    if (!now || (now == before && !arguments.resume)) return {};
    return fmt::format("{} keeps the training up to its last checkpoint{}", file, resume_command());
  });
  const Device device = arguments.device.open();
  auto parts = load_parts(arguments, device);
  const auto part = training_part(std::move(parts.train), arguments, stresses);
  const auto normalization = data::fit_normalization(part, arguments.training.parsed_normalization(part));
  auto network = layers::make_network(parse_model(arguments.model, part), device, arguments.seed);

  const auto record = train(*network, part, normalization, arguments);
  if (!record.complete) throw Error("the training was stopped");
  auto task = transfer::Task::of(part);
  task.independent = arguments.training.training().loss.kind == transfer::LossKind::bce;
  const auto scores = [&](const data::Dataset& dataset) {
    task.check(dataset, "pretrain");
    return transfer::score(transfer::in_units(task, transfer::predict(*network, dataset, normalization)), dataset);
  };
  const auto train_scores = scores(part), test_scores = scores(parts.test);
  layers::save_network(arguments.out, *network, normalization, describe_training(arguments, part, task));

  Json json = {{"rtl", RTL_VERSION},
               {"device", device.name()},
               {"data", arguments.data},
               {"model", network->architecture().to_string()},
               {"out", arguments.out},
               {"seed", arguments.seed},
               {"parameters", network->parameter_count()},
               {"train_samples", part.size()},
               {"normalization", data::to_string(normalization)},
               {"precision", to_string(arguments.training.options.precision)},
               {"training", transfer::option_values(arguments.training.options)},
               {"stress", arguments.stress.texts},
               {"losses", record.losses},
               {"warnings", record.warnings},
               {"seconds", record.seconds}};
  for (const auto& [name, scored] : {std::pair{"train", &train_scores}, std::pair{"test", &test_scores}}) {
    if (task.regression) json[fmt::format("{}_rmse", name)] = scored->rmse;
    json[fmt::format("{}_{}", name, task.regression ? "r2" : "accuracy")] = scored->value();
  }
  if (arguments.json != "-") {
    fmt::print("{} with {} parameters on {} samples of {}\n", network->architecture().to_string(),
               grouped(network->parameter_count()), grouped(part.size()), part.name);
    fmt::print("loss {:.4f} after {} epochs in {}\n", record.losses.empty() ? 0.0 : record.losses.back(),
               record.losses.size(), duration(record.seconds));
    fmt::print("{} {:.2f} % on the training samples{}, {:.2f} % on the {} test samples\n",
               task.regression ? "R^2" : "accuracy", 100 * train_scores.value(),
               task.regression || stresses.training_rows.confusion > 0 ? "" : " (true labels)",
               100 * test_scores.value(), grouped(parts.test.size()));
    for (const auto& warning : record.warnings) fmt::print("warning: {}\n", printable(warning));
    fmt::print("written: {}\n", arguments.out);
  }
  write_json(arguments.json, json);
}

}  // namespace

void add_pretrain_command(CLI::App& app) {
  auto* command = app.add_subcommand("pretrain", "Train a source and save it as safetensors");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("--data", arguments->data, "SPEC of the data set")->required();
  command->add_option("--model", arguments->model, model_help())->capture_default_str();
  command->add_option("--out", arguments->out, "the .safetensors file to write")->required();
  command->add_option("--json", arguments->json, "write the facts to FILE (- is standard output)");
  command->add_option("--seed", arguments->seed, "draws initial weights, order, dropout and label flips")
      ->check(at_least(0))
      ->capture_default_str();
  command->add_flag("--resume", arguments->resume, "go on from OUT.unfinished, which an interrupted run leaves");
  arguments->device.add_to(*command);
  arguments->training.add_to(*command);
  arguments->stress.add_to(*command, false);
  command->footer(data_help());
  command->callback([arguments] { run(*arguments); });
}

}  // namespace rtl::cli
