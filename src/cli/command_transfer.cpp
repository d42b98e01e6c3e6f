// rtl transfer: every strategy against training from scratch, on one target.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/command_line.hpp"
#include "cli/commands.hpp"
#include "cli/comparison_table.hpp"
#include "cli/data_argument.hpp"
#include "cli/html_report.hpp"
#include "cli/interrupt.hpp"
#include "cli/json_report.hpp"
#include "cli/model_spec.hpp"
#include "cli/number_checks.hpp"
#include "cli/outputs.hpp"
#include "cli/progress.hpp"
#include "cli/strategy_list.hpp"
#include "cli/table.hpp"
#include "cli/training_arguments.hpp"
#include "rtl/io/file.hpp"
#include "rtl/transfer/compare.hpp"

namespace rtl::cli {

namespace {

struct Arguments {
  std::string sources;
  std::string target;
  std::string strategies = "all";
  std::string feature_scaling = "raw";
  double feature_scale = 1;
  std::string head_start = "fresh";
  double probe_dropout = 0;
  std::string model;
  std::int64_t seeds = 5;
  std::uint64_t first_seed = 1;
  std::string replicas = "auto";
  std::string cache_folder;
  std::string feature_storage = "f32";
  std::string state_folder;
  bool resume = false;
  std::string json;
  std::string html;
  DeviceArguments device;
  TrainingArguments training;
};

transfer::HeadStart parse_head_start(const std::string& text) {
  try {
    return transfer::parse_head_start(text);
  } catch (const ValueError& error) {
    throw UsageError(fmt::format("--head-start: {}", error.what()));
  }
}

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

transfer::CompareOptions compare_options(const Arguments& arguments, std::size_t source_count) {
  transfer::CompareOptions options;
  const StrategyList list = parse_strategies(arguments.strategies, arguments.feature_scaling, source_count);
  options.strategies = list.names;
  options.strategy.feature_scaling = list.default_scaling;
  options.strategy.feature_scale = arguments.feature_scale;
  options.strategy.model = arguments.model;
  options.strategy.normalization = arguments.training.parsed_normalization();
  options.strategy.head_start = parse_head_start(arguments.head_start);
  options.strategy.probe_dropout = arguments.probe_dropout;
  options.training = arguments.training.training();
  options.checkpoint_interval = options.training.checkpoint_interval;
  options.seeds = arguments.seeds;
  options.first_seed = arguments.first_seed;
  options.replicas = parse_replicas(arguments.replicas);
  options.train_samples = arguments.training.train_limit;
  options.resume = arguments.resume;
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

std::string describe(const transfer::TrainingOptions& training) {
  std::string text = fmt::format("{}, learning rate {}, momentum {}{}, weight decay {}, {} schedule",
                                 transfer::to_string(training.optimizer), training.learning_rate, training.momentum,
                                 training.nesterov ? " (Nesterov's)" : "", training.weight_decay,
                                 transfer::to_string(training.schedule));
  if (training.schedule == transfer::ScheduleKind::step) {
    text += fmt::format(" (times {} after every {} epochs)", training.schedule_factor, training.schedule_epochs);
  }
  if (training.l2sp_strength > 0) text += fmt::format(", L2-SP {}", training.l2sp_strength);
  if (training.precision != Precision::f32) text += ", in " + to_string(training.precision);
  return text + fmt::format(", {} epochs, batches of {}", training.epochs, training.batch_size);
}

Protocol describe_protocol(const Arguments& arguments, const transfer::Comparison& comparison,
                           const std::vector<transfer::FrozenSource>& sources, const transfer::CompareOptions& options,
                           const Device& device, double seconds) {
  std::vector<std::string> described;
  described.reserve(sources.size());
  for (const auto& source : sources) {
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
                       {"seeds", fmt::format("{} to {}", comparison.seeds.front(), comparison.seeds.back())},
                       {"feature scaling", fmt::format("{} where the strategy names none; c = {} for balance",
                                                       arguments.feature_scaling, options.strategy.feature_scale)}};
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

void run(const Arguments& arguments) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<ModelSpec> specs;
  for (const auto& text : split_list("--source", arguments.sources)) specs.push_back(ModelSpec::parse(text));
  auto options = compare_options(arguments, specs.size());
  check_data_spec("--target", arguments.target);
  if (!arguments.model.empty()) check_model("--model", arguments.model);
  FileArguments inputs = data_files("--target", arguments.target);
  for (const auto& spec : specs) inputs.push_back({"--source", spec.file});
  check_outputs({{"--json", arguments.json}, {"--html", arguments.html}}, inputs);

  Finished finished;
  std::optional<KeptWork> kept;
  if (!options.state_folder.empty()) {
    kept.emplace([&] { return describe_kept(options.state_folder, arguments.resume, finished); });
  }
  const Device device = arguments.device.open();
  std::vector<transfer::FrozenSource> sources;
  sources.reserve(specs.size());
  for (const auto& spec : specs) sources.push_back(load_source(spec, device, options.training.precision));
  auto target = load_data(arguments.target, device);
  require_test_part(target, "the comparison");
  target.train = drop_first(std::move(target.train), arguments.training.train_offset);
  options.strategy.normalization = arguments.training.parsed_normalization(target.train);
  // One thread a run: the numbers then do not depend on how many threads there are.
  options.workers = device.is_cuda() ? 1 : device.threads();
  options.threads_per_run = 1;
  const DType storage = arguments.feature_storage == "bf16" ? DType::bf16 : DType::f32;
  auto cache = arguments.cache_folder.empty()
                   ? std::make_unique<transfer::FeatureCache>(storage)
                   : std::make_unique<transfer::FeatureCache>(arguments.cache_folder, storage);
  options.strategy.cache = cache.get();

  transfer::Comparison comparison;
  {
    ProgressBar bar;
    options.progress = [&](const transfer::CompareProgress& now) {
      finished.runs = now.run;
      finished.all = now.runs;
      bar.show(static_cast<double>(now.run) / static_cast<double>(std::max<std::int64_t>(now.runs, 1)),
               fmt::format("run {}/{}: {}, seed {}, epoch {}, loss {:.4f}", std::min(now.run + 1, now.runs), now.runs,
                           now.strategy, now.seed, now.training.epoch, now.training.loss));
    };
    options.notice = [&](const std::string& text) { bar.note(text); };
    comparison = with_training_flags([&] { return transfer::compare(sources, target, options); });
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (arguments.json != "-") fmt::print("{}", comparison_table(comparison));
  Json json = to_json(comparison);
  json["precision"] = to_string(options.training.precision);
  write_json(arguments.json, json);
  if (!arguments.html.empty()) {
    write_html(arguments, comparison,
               describe_protocol(arguments, comparison, sources, options, device, seconds.count()));
  }
  require_results(comparison);
}

void add_options(CLI::App& command, Arguments& arguments) {
  command.add_option(
      "--source", arguments.sources,
      fmt::format("FILE[,FILE..] of pretrained models, each [ARCHITECTURE:]FILE[?normalize={}]", model_normalizations));
  command.add_option("--target", arguments.target, "SPEC of the target data set")->required();
  command
      .add_option("--strategy", arguments.strategies,
                  "all or NAME[,NAME..]; NAME:SCALING gives one its own feature scaling: refine:balance. scratch is "
                  "always run")
      ->capture_default_str();
  command
      .add_option("--feature-scaling", arguments.feature_scaling,
                  "raw, standardize or balance, for probe and refine; a list runs them with each")
      ->capture_default_str();
  command.add_option("--feature-scale", arguments.feature_scale, "c of balance (features / deviation * c / sqrt(p))")
      ->check(above_zero())
      ->capture_default_str();
  command
      .add_option(
          "--head-start", arguments.head_start,
          "head of probe and fine-tune: fresh, pretrained (the source's own) or auto (that where the numbers of "
          "classes agree)")
      ->capture_default_str();
  command
      .add_option("--probe-dropout", arguments.probe_dropout,
                  "share of the frozen features dropped while a probe trains")
      ->check(share_below_one())
      ->capture_default_str();
  command.add_option("--model", arguments.model, "of scratch and of the residual encoder h; " + model_help());
  command.add_option("--seeds", arguments.seeds, "number of paired runs")
      ->check(between(1, transfer::max_seeds))
      ->capture_default_str();
  command.add_option("--first-seed", arguments.first_seed, "seed of the first run")->capture_default_str();
  command
      .add_option("--replicas", arguments.replicas,
                  "seeds of a strategy that are trained at once, or auto: a worker's share of them where launches of "
                  "the training "
                  "step cost more than what they do, else one; the results are the same")
      ->capture_default_str();
  command.add_option("--json", arguments.json, "write the results to FILE (- is standard output)");
  command.add_option("--html", arguments.html, "write a report with charts to FILE");
  command.add_option("--feature-cache", arguments.cache_folder, "keep frozen features in this folder for later calls");
  command
      .add_option("--feature-storage", arguments.feature_storage, "of frozen features: f32, or bf16 in half the bytes")
      ->check(CLI::IsMember({"f32", "bf16"}))
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
  command->footer(data_help());
  command->callback([arguments] { run(*arguments); });
}

}  // namespace rtl::cli
