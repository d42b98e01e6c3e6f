// rtl transfer: every strategy against training from scratch, on one target.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <charconv>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/command_line.hpp"
#include "cli/commands.hpp"
#include "cli/comparison_table.hpp"
#include "cli/data_argument.hpp"
#include "cli/feature_files.hpp"
#include "cli/html_report.hpp"
#include "cli/interrupt.hpp"
#include "cli/json_report.hpp"
#include "cli/model_spec.hpp"
#include "cli/number_checks.hpp"
#include "cli/outputs.hpp"
#include "cli/progress.hpp"
#include "cli/strategy_list.hpp"
#include "cli/stress_arguments.hpp"
#include "cli/table.hpp"
#include "cli/training_arguments.hpp"
#include "rtl/io/file.hpp"
#include "rtl/transfer/compare.hpp"

namespace rtl::cli {

namespace {

const std::map<std::string, DType> feature_storages{
    {"f32", DType::f32}, {"bf16", DType::bf16}, {"f16", DType::f16}, {"int8", DType::u8}};

struct Arguments {
  std::string sources;
  std::string target;
  std::string source_data;
  std::string source_inputs;
  std::string model;
  std::int64_t seeds = 5;
  std::uint64_t first_seed = 1;
  std::string replicas = "auto";
  std::string cache_folder;
  std::string feature_storage = "f32";
  std::string state_folder;
  bool resume = false;
  std::string out;
  std::string json;
  std::string html;
  DeviceArguments device;
  TrainingArguments training;
  StrategyArguments strategies;
  StressArguments stress;
};

std::int64_t parse_replicas(const std::string& text) {
  if (text == "auto") return 0;
  std::int64_t count = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, count);
  if (error == std::errc() && rest == end && count >= 1 && count <= transfer::max_seeds) return count;
  throw UsageError(
      fmt::format("--replicas: '{}' is neither auto nor a number from 1 to {}", text, transfer::max_seeds));
}

/// How far a comparison with a state folder is, for the thread that ends the program.
struct Finished {
  std::atomic<std::int64_t> runs = 0;
  std::atomic<std::int64_t> all = 0;
};

/// Without a state folder.
std::string describe_fitted(const std::string& folder, const Finished& finished) {
  if (finished.runs == 0) return {};
  return fmt::format("what {} of {} runs have fitted is kept in {}", finished.runs, finished.all, folder);
}

std::string describe_kept(const std::string& folder, bool resumed, const Finished& finished) {
  const std::size_t checkpoints = count_files(folder, ".checkpoint");
  std::string text;
  if (finished.runs > 0)
    text = fmt::format("{} of {} runs are finished and kept in {}", finished.runs, finished.all, folder);
  if (finished.runs == 0 && resumed && count_files(folder, ".json") > 0) {
    text = fmt::format("the runs that were finished before are kept in {}", folder);
  }
  if (checkpoints > 0) {
    text += fmt::format("{} {} unfinished up to the last checkpoint", text.empty() ? folder + " keeps" : ", and",
                        checkpoints);
  }
  return text.empty() ? text : text + resume_command();
}

transfer::CompareOptions compare_options(const Arguments& arguments, std::size_t source_count, bool at_layer) {
  transfer::CompareOptions options;
  const StrategyList list = arguments.strategies.parse(source_count, at_layer);
  options.strategies = list.names;
  options.strategy.values = list.values;
  options.strategy.model = arguments.model;
  options.strategy.normalization = arguments.training.parsed_normalization();
  options.training = arguments.training.training();
  options.checkpoint_interval = options.training.checkpoint_interval;
  options.seeds = arguments.seeds;
  options.first_seed = arguments.first_seed;
  options.replicas = parse_replicas(arguments.replicas);
  options.train_samples = arguments.training.train_limit;
  options.resume = arguments.resume;
  options.fitted_folder = arguments.out;
  options.state_folder = arguments.state_folder;
  if (options.resume && options.state_folder.empty()) options.state_folder = "rtl-state";
  options.stop = interrupted;
  return options;
}

std::string join(const std::vector<std::string>& parts) {
  std::string text;
  for (const auto& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

/// Every option, for people.
std::string describe(const transfer::TrainingOptions& training) {
  std::string text = transfer::to_text(transfer::option_values(training));
  std::replace(text.begin(), text.end(), '_', ' ');
  return text;
}

Protocol describe_protocol(const transfer::Comparison& comparison, const std::vector<transfer::FrozenSource>& sources,
                           const transfer::CompareOptions& options, const Device& device, double seconds) {
  std::vector<std::string> described;
  described.reserve(sources.size());
  for (const auto& source : sources) {
    if (!source.has_network()) {
      described.push_back(fmt::format("{} ({} precomputed features)", source.name(), source.feature_count()));
      continue;
    }
    const std::string head = source.classes() == 0 ? "no head" : fmt::format("{} classes", source.classes());
    described.push_back(fmt::format("{} ({}, {} features, {}, inputs '{}')", source.name(),
                                    source.architecture().to_string(), source.feature_count(), head,
                                    data::to_string(source.normalization())));
  }
  const auto& training = options.training;
  Protocol protocol = {{"command", command_line()},
                       {"target", comparison.target},
                       {"samples", fmt::format("{} for training{}, {} for the test", grouped(comparison.train_samples),
                                               options.train_samples > 0 ? " (drawn by the seed)" : "",
                                               grouped(comparison.test_samples))},
                       {"sources", described.empty() ? "none" : join(described)},
                       {"scratch and h", options.strategy.model.empty() ? "paper_cnn for images, mlp for vectors"
                                                                        : options.strategy.model},
                       {"inputs of scratch and h", data::to_string(options.strategy.normalization)},
                       {"training", describe(training)},
                       {"seeds", fmt::format("{} to {}", comparison.seeds.front(), comparison.seeds.back())}};
  for (const auto& result : comparison.strategies) {
    if (result.options.empty()) continue;
    protocol.push_back({"options of " + result.name, transfer::to_text(result.options)});
  }
  if (training.label_flips > 0) {
    protocol.push_back({"label flips", fmt::format("{}{}", training.label_flips,
                                                   training.flip_each_epoch ? ", drawn anew in every epoch" : "")});
  }
  protocol.push_back({"machine", fmt::format("{}: {}; {} run(s) at a time, {} thread(s) a run", device.name(),
                                             device.description(), options.workers, options.threads_per_run)});
  protocol.push_back({"time", fmt::format("{} in all, {} of it for the frozen features", duration(seconds),
                                          duration(comparison.feature_seconds))});
  protocol.push_back({"program", "rtl " RTL_VERSION});
  return protocol;
}

void write_html(const Arguments& arguments, const transfer::Comparison& comparison, const Protocol& protocol) {
  const Charts charts = draw_charts(comparison);
  if (!charts.problem.empty()) fmt::print(stderr, "rtl: {}\n", charts.problem);
  io::write_file(arguments.html, html_report(comparison, protocol, charts));
}

/// Throws UsageError for an input, or another output, that a run would write what it has fitted to.
void check_fitted_files(const transfer::CompareOptions& options, const FileArguments& inputs,
                        const FileArguments& outputs) {
  if (options.fitted_folder.empty()) return;
  std::vector<std::string> labels = options.strategies;
  labels.emplace_back("scratch");
  for (std::int64_t i = 0; i < options.seeds; ++i) {
    const std::uint64_t seed = options.first_seed + static_cast<std::uint64_t>(i);
    for (const std::string& label : labels) {
      const std::string name = transfer::fitted_file(label, seed);
      const FileArgument file{"--out", options.fitted_folder + "/" + name};
      if (io::file_exists(file.path)) check_distinct({file}, inputs);
      for (const FileArgument& other : outputs) {
        if (other.path.ends_with(name)) check_distinct({file, other});
      }
    }
  }
}

std::vector<ModelSpec> parse_sources(const std::string& list) {
  std::vector<ModelSpec> specs = parse_model_list("--source", list);
  for (auto spec = specs.begin(); spec != specs.end(); ++spec) {
    const bool taken = spec->features && std::any_of(specs.begin(), spec, [&](const ModelSpec& other) {
                         return other.features && stem(other.file) == stem(spec->file);
                       });
    if (taken) {
      throw UsageError(
          fmt::format("--source: two files of features are called '{}'; rtl predict tells them apart by "
                      "their names, so rename one",
                      stem(spec->file)));
    }
  }
  return specs;
}

/// The files that are read, after checks of all that the command line says of files.
FileArguments checked_inputs(const Arguments& arguments, const std::vector<ModelSpec>& specs) {
  check_data_spec("--target", arguments.target);
  if (!arguments.model.empty()) check_model("--model", arguments.model);
  FileArguments inputs = data_files("--target", arguments.target);
  if (!arguments.source_data.empty()) {
    check_data_spec("--source-data", arguments.source_data);
    for (const auto& file : data_files("--source-data", arguments.source_data)) inputs.push_back(file);
  }
  if (!arguments.source_inputs.empty()) {
    check_data_spec("--source-inputs", arguments.source_inputs);
    for (const auto& file : data_files("--source-inputs", arguments.source_inputs)) inputs.push_back(file);
  }
  for (const auto& spec : specs) {
    inputs.push_back({"--source", spec.file});
    for (const std::string& file : {spec.test, spec.source}) {
      if (!file.empty()) inputs.push_back({"--source", file});
    }
  }
  check_outputs({{"--json", arguments.json}, {"--html", arguments.html}}, inputs);
  return inputs;
}

/// Throws UsageError also for rows that change where features were made of them elsewhere.
Stresses parse_stresses(const Arguments& arguments, const std::vector<ModelSpec>& specs,
                        transfer::CompareOptions& options) {
  Stresses stresses = arguments.stress.parse(options.training);
  const bool precomputed = !arguments.source_inputs.empty() ||
                           std::any_of(specs.begin(), specs.end(), [](const ModelSpec& spec) { return spec.features; });
  if (precomputed && stresses.training_rows.changes_inputs()) {
    throw UsageError(
        "--stress: precomputed features are of the target's own rows and inputs; of confusion, imbalance, "
        "shift and few only confusion=P,0 goes with them");
  }
  return stresses;
}

/// What is compared on.
struct Problem {
  std::vector<transfer::FrozenSource> sources;
  data::TrainTest target;
  data::TrainTest source_data;
};

Problem load_problem(const Arguments& arguments, const std::vector<ModelSpec>& specs, const Stresses& stresses,
                     const Device& device, Precision precision) {
  Problem problem;
  const bool apart = !arguments.source_inputs.empty();
  const data::FittedInputs fitted = fitted_inputs_of(specs);
  problem.target = load_data(arguments.target, device, apart ? data::FittedInputs() : fitted);
  const Shape sample = problem.target.train.sample_shape();
  for (const auto& spec : specs) {
    if (!spec.features && !apart) problem.sources.push_back(load_source(spec, device, precision, sample));
  }
  require_test_part(problem.target, "the comparison");
  data::FittedInputs beside = fitted;
  if (!beside.text) beside.text = problem.target.train.fitted.text;
  if (!arguments.source_data.empty()) problem.source_data = load_data(arguments.source_data, device, beside);
  std::optional<data::TrainTest> seen;
  if (apart) seen = load_data(arguments.source_inputs, device, fitted);
  std::vector<FeatureMatrices> matrices;
  const SourceSamples own{arguments.source_data, arguments.source_data.empty() ? nullptr : &problem.source_data};
  for (const auto& spec : specs) {
    if (spec.features) {
      matrices.push_back(read_feature_matrices(spec, arguments.target, problem.target, own));
    } else if (apart) {
      matrices.push_back(features_elsewhere(load_source(spec, device, precision, seen->train.sample_shape()), *seen,
                                            arguments.target, problem.target, own));
    }
  }
  const std::int64_t offset = arguments.training.train_offset;
  problem.target.train = drop_first(std::move(problem.target.train), offset);
  auto next = matrices.begin();
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (!specs[i].features && !apart) continue;
    problem.sources.insert(problem.sources.begin() + static_cast<std::ptrdiff_t>(i),
                           next++->source(problem.target, offset, problem.source_data.train));
  }
  problem.target.train = stresses.apply(std::move(problem.target.train));
  problem.sources = stresses.apply(std::move(problem.sources));
  return problem;
}

/// The comparison with its progress drawn, which `finished` keeps too.
transfer::Comparison compare(const Problem& problem, transfer::CompareOptions& options, Finished& finished) {
  ProgressBar bar;
  options.progress = [&](const transfer::CompareProgress& now) {
    finished.runs = now.run;
    finished.all = now.runs;
    bar.show(static_cast<double>(now.run) / static_cast<double>(std::max<std::int64_t>(now.runs, 1)),
             fmt::format("run {}/{}: {}, seed {}, epoch {}, loss {:.4f}", std::min(now.run + 1, now.runs), now.runs,
                         now.strategy, now.seed, now.training.epoch, now.training.loss));
  };
  options.notice = [&](const std::string& text) { bar.note(text); };
  return with_training_flags([&] { return transfer::compare(problem.sources, problem.target, options); });
}

void run(const Arguments& arguments) {
  const auto start = std::chrono::steady_clock::now();
  const std::vector<ModelSpec> specs = parse_sources(arguments.sources);
  const bool at_layer = std::any_of(specs.begin(), specs.end(), [](const auto& spec) { return !spec.layer.empty(); });
  auto options = compare_options(arguments, specs.size(), at_layer);
  const Stresses stresses = parse_stresses(arguments, specs, options);
  const FileArguments inputs = checked_inputs(arguments, specs);
  Finished finished;
  std::optional<KeptWork> kept;
  if (!options.state_folder.empty()) {
    kept.emplace([&] { return describe_kept(options.state_folder, arguments.resume, finished); });
  } else if (!arguments.out.empty()) {
    kept.emplace([&] { return describe_fitted(arguments.out, finished); });
  }
  const Device device = arguments.device.open();
  const Problem problem = load_problem(arguments, specs, stresses, device, options.training.precision);
  if (!arguments.source_data.empty()) options.strategy.source_data = &problem.source_data.train;
  if (arguments.strategies.all()) {
    const auto labels = transfer::strategies_for(problem.sources, problem.target.train, options.strategy);
    options.strategies = arguments.strategies.parse(labels, specs.size(), at_layer).names;
  }
  check_fitted_files(options, inputs, {{"--json", arguments.json}, {"--html", arguments.html}});
  options.strategy.normalization = arguments.training.parsed_normalization(problem.target.train);
  // One thread a run: the numbers then do not depend on how many threads there are.
  options.workers = device.is_cuda() ? 1 : device.threads();
  options.threads_per_run = 1;
  const DType storage = feature_storages.at(arguments.feature_storage);
  auto cache = arguments.cache_folder.empty()
                   ? std::make_unique<transfer::FeatureCache>(storage)
                   : std::make_unique<transfer::FeatureCache>(arguments.cache_folder, storage);
  options.strategy.cache = cache.get();

  const transfer::Comparison comparison = compare(problem, options, finished);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (arguments.json != "-") {
    fmt::print("{}", comparison_table(comparison));
    if (!arguments.out.empty()) fmt::print("what every run has fitted is written to {}\n", arguments.out);
  }
  Json json = to_json(comparison);
  json["precision"] = to_string(options.training.precision);
  json["training"] = transfer::option_values(options.training);
  json["stress"] = arguments.stress.texts;
  json["out"] = arguments.out.empty() ? Json() : Json(arguments.out);
  write_json(arguments.json, json);
  if (!arguments.html.empty()) {
    Protocol protocol = describe_protocol(comparison, problem.sources, options, device, seconds.count());
    if (!arguments.stress.texts.empty()) protocol.push_back({"stress", arguments.stress.text()});
    write_html(arguments, comparison, protocol);
  }
  require_results(comparison);
}

void add_options(CLI::App& command, Arguments& arguments) {
  command.add_option(
      "--source", arguments.sources,
      fmt::format(
          "FILE[,FILE..] of pretrained models, each [ARCHITECTURE:]FILE[?normalize={}&layer=NAME]; layer: where "
          "features are taken, instead of behind the last hidden layer. Or "
          "features:FILE[?test=FILE&source=FILE], precomputed features (.npy, .npz, .csv or .tsv) of the target's "
          "samples, and of those of --source-data",
          model_normalizations));
  command.add_option("--target", arguments.target, "SPEC of the target data set")->required();
  command.add_option("--source-data", arguments.source_data,
                     "SPEC of samples that the source was trained on, for strategies that look at them");
  command.add_option("--source-inputs", arguments.source_inputs,
                     "SPEC of what the sources that are networks see of the target's samples in place of its inputs: "
                     "their features are made of it, and row i is the target's row i");
  command.add_option("--model", arguments.model, "of scratch and of the residual encoder h; " + model_help());
  command.add_option("--seeds", arguments.seeds, "number of paired runs")
      ->check(between(1, transfer::max_seeds))
      ->capture_default_str();
  command.add_option("--first-seed", arguments.first_seed, "seed of the first run")
      ->check(at_least(0))
      ->capture_default_str();
  command
      .add_option("--replicas", arguments.replicas,
                  "seeds of a strategy that are trained at once, or auto: a worker's share of them where launches of "
                  "the training "
                  "step cost more than what they do, else one; the results are the same")
      ->capture_default_str();
  command.add_option("--out", arguments.out,
                     "keep what every run has fitted in this folder, as STRATEGY_seedN.safetensors, for rtl predict");
  command.add_option("--json", arguments.json, "write the results to FILE (- is standard output)");
  command.add_option("--html", arguments.html, "write a report with charts to FILE");
  command.add_option("--feature-cache", arguments.cache_folder, "keep frozen features in this folder for later calls");
  command
      .add_option(
          "--feature-storage", arguments.feature_storage,
          "of frozen features: f32, or rounded: bf16 or f16 in half the bytes, int8 (256 steps a column) in a quarter")
      ->check(CLI::IsMember(feature_storages))
      ->capture_default_str();
  command.add_option("--state", arguments.state_folder, "keep finished and unfinished runs in this folder");
  command.add_flag("--resume", arguments.resume, "go on from the state folder (rtl-state unless --state names one)");
}

}  // namespace

void add_transfer_command(CLI::App& app) {
  auto* command = app.add_subcommand("transfer", "Adapt sources to a target by several strategies and compare them");
  auto arguments = std::make_shared<Arguments>();
  add_options(*command, *arguments);
  arguments->device.add_to(*command);
  arguments->training.add_to(*command);
  arguments->stress.add_to(*command, true);
  arguments->strategies.add_to(*command);
  command->footer(data_help());
  command->callback([arguments] { run(*arguments); });
}

}  // namespace rtl::cli
