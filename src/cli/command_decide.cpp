// rtl decide: should I transfer, and how? For linear models on features.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/array_argument.hpp"
#include "cli/array_classes.hpp"
#include "cli/class_accuracy.hpp"
#include "cli/commands.hpp"
#include "cli/error_context.hpp"
#include "cli/json_report.hpp"
#include "cli/linear_archive.hpp"
#include "cli/outputs.hpp"
#include "cli/table.hpp"
#include "cli/training_arguments.hpp"
#include "cli/unseen_rows.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/npy.hpp"
#include "rtl/transfer/advisor.hpp"

namespace rtl::cli {

namespace {

constexpr const char* convention =
    "(1/n) ||Y - X W - b||^2 + penalty ||W - C||^2, b without penalty; C is the centre that a candidate names";

struct Arguments {
  std::vector<std::string> source_features;
  std::vector<std::string> source_targets;
  std::string target_features;
  std::string target_targets;
  std::string targets_are = "detect";
  std::string coefficients;
  std::string out;
  std::string json;
  UnseenArguments unseen;
  bool no_intercept = false;
  bool choose = false;
  DeviceArguments device;
};

struct Sample {
  Array features;  ///< [n, p]
  Array targets;   ///< [n, k]

  std::string files() const { return fmt::format("{} and {}", features.file, targets.file); }
};

/// Columns are prepared by `fitted`, or by these rows.
Sample read_sample(const std::string& which, const std::string& features, const std::string& targets, TargetKind kind,
                   const data::Preprocessing* fitted = nullptr) {
  const std::string option = "--" + which;
  Sample sample{read_array(option + "-features", features, fitted), read_targets(option + "-targets", targets, kind)};
  align_rows({&sample.features, &sample.targets});
  return sample;
}

/// Where source and target share a class, all get the columns of all classes; those that one of them lacks are 0.
void share_classes(Sample& target, std::vector<Sample>& sources) {
  std::vector<std::string> all = target.targets.classes;
  for (const Sample& source : sources) {
    const std::vector<std::string>& own = source.targets.classes;
    if (own.empty() != all.empty()) {
      throw FormatError(source.targets.file, fmt::format("holds {}, {} holds {}; say --targets-are classes or values",
                                                         own.empty() ? "values" : "classes", target.targets.file,
                                                         all.empty() ? "values" : "classes"));
    }
    const bool shared = std::any_of(own.begin(), own.end(), [&](const std::string& name) {
      return std::find(target.targets.classes.begin(), target.targets.classes.end(), name) !=
             target.targets.classes.end();
    });
    if (!shared) {
      if (own.size() == target.targets.classes.size() && !own.empty()) {
        throw FormatError(source.targets.file,
                          fmt::format("has as many classes as {}, but none of its names ({} .. and {} ..); name them "
                                      "alike where they mean the same",
                                      target.targets.file, own.front(), target.targets.classes.front()));
      }
      if (!own.empty()) return;  // other label sets: mixed
      continue;
    }
    for (const std::string& name : own) {
      if (std::find(all.begin(), all.end(), name) == all.end()) all.push_back(name);
    }
  }
  if (all.empty()) return;
  expand_classes(target.targets, all);
  for (Sample& source : sources) expand_classes(source.targets, all);
}

/// What the files hold.
struct Problem {
  Sample target;
  std::vector<Sample> sources;
  std::vector<std::string> notes;
  std::optional<UnseenRows> unseen;
};

/// What is known of the models beside the advice.
struct Result {
  bool same_labels = true;              ///< of the target and every source
  std::vector<ClassAccuracy> accuracy;  ///< of classes by leave-one-out: the resulting model's, that from scratch's
  std::vector<TestScores> test;         ///< the resulting model's, and each candidate's; empty without test rows

  std::optional<TestScores> of_model() const { return test.empty() ? std::nullopt : std::optional(test.front()); }
};

/// What the solvers get.
struct Tensors {
  Tensor x, y;

  Tensors(const Sample& sample, const Device& device)
      : x(sample.features.values.to(device)), y(sample.targets.values.to(device)) {}
};

/// Infinite values become null.
Json finite(double value) { return std::isfinite(value) ? Json(value) : Json(); }

/// "+0.2 ± 0.1", without an error that is not known.
std::string with_error(double value, double error) {
  return std::isfinite(error) ? fmt::format("{:+.4g} ± {:.2g}", value, error)
                              : fmt::format("{:+.4g} (how sure that is, so few rows do not tell)", value);
}

/// Why it is decided so, from the numbers that decide it.
std::string reason_of(const transfer::AdvisorReport& advice) {
  if (!advice.judged) {
    return "the target has too few rows to tell transfer from chance: the model is the one from scratch";
  }
  const std::string share = fmt::format("{:.0f} % of the model is transfer", 100 * advice.trust);
  switch (advice.decision) {
    case transfer::Decision::transfer:
      return share + ": leaving rows out, it predicts the target better";
    case transfer::Decision::do_not_transfer:
      return share + ": leaving rows out, the model from scratch predicts the target better";
    case transfer::Decision::unclear:
      break;
  }
  return share + ": leaving rows out, neither is clearly better than the other";
}

Json describe(const transfer::AdvisorCandidate& candidate) {
  Json one = {{"centre", transfer::to_string(candidate.kind)}};
  if (candidate.kind == transfer::CentreKind::source || candidate.kind == transfer::CentreKind::unchanged) {
    one["source"] = candidate.source;
    one["source_penalty"] = candidate.source_penalty;
  }
  if (candidate.kind == transfer::CentreKind::unchanged) one["source_intercept"] = candidate.source_intercept;
  if (candidate.kind == transfer::CentreKind::scaled) one["scales"] = candidate.scales;
  if (candidate.kind == transfer::CentreKind::mixed) one["mixing_penalty"] = candidate.mixing_penalty;
  one["target_penalty"] = finite(candidate.target_penalty);
  one["leave_one_out"] = candidate.leave_one_out;
  one["gain"] = {{"mean", candidate.gain}, {"standard_error", finite(candidate.gain_standard_error)}};
  return one;
}

Json report(const Arguments& arguments, const transfer::TransferAdvisor& advisor, const Device& device,
            const Problem& problem, const Result& result) {
  const transfer::AdvisorReport& advice = advisor.report();
  const Sample& target = problem.target;
  Json json = {{"rtl", RTL_VERSION},
               {"device", device.name()},
               {"n", target.features.rows()},
               {"p", target.features.columns()},
               {"outputs", target.targets.columns()},
               {"convention", convention},
               {"sources", Json::array()},
               {"candidates", Json::array()},
               {"decision", transfer::to_string(advice.decision)},
               {"reason", reason_of(advice)},
               {"trust", advice.trust},
               {"leave_one_out", advice.leave_one_out},
               {"gain", {{"mean", advice.gain}, {"standard_error", finite(advice.gain_standard_error)}}},
               {"intercept", arguments.no_intercept ? Json() : Json(advisor.intercept().to_vector<double>())},
               {"coefficients", arguments.coefficients.empty() ? Json() : Json(arguments.coefficients)},
               {"out", arguments.out.empty() ? Json() : Json(arguments.out)},
               {"notes", problem.notes}};
  for (std::size_t s = 0; s < advice.sources.size(); ++s) {
    const transfer::SourceAdvice& source = advice.sources[s];
    Json one = {{"features", arguments.source_features[s]},
                {"targets", arguments.source_targets[s]},
                {"optimal_penalty", source.optimal_penalty}};
    if (result.same_labels) {
      one["transfer_penalty"] = finite(source.transfer_penalty);
      one["alignment"] = {{"value", source.alignment}, {"standard_error", finite(source.alignment_standard_error)}};
      one["z"] = finite(source.z);
      one["decision"] = transfer::to_string(source.decision);
      one["predicted_gain"] = source.predicted_gain;
    }
    json["sources"].push_back(one);
  }
  for (std::size_t c = 0; c < advice.candidates.size(); ++c) {
    Json one = describe(advice.candidates[c]);
    one["weight"] = advice.weights[c];
    if (!result.test.empty()) one["test"] = result.test[c + 1].to_json();
    json["candidates"].push_back(one);
  }
  if (!result.accuracy.empty()) {
    json["classes"] = target.targets.classes;
    json["accuracy"] = {{"leave_one_out", result.accuracy[0].right},
                        {"scratch", result.accuracy[1].right},
                        {"most_frequent_class", result.accuracy[0].most_frequent}};
  }
  problem.unseen->report(json, result.of_model());
  return json;
}

/// "z = +1.5"; what lies far beyond any doubt, or is a quotient of roundings, is not worth its digits.
std::string describe_z(double z) {
  constexpr double shown = 1000;
  if (std::abs(z) > shown) return fmt::format("z {} {:.0f}", z > 0 ? '>' : '<', std::copysign(shown, z));
  return fmt::format("z = {:+.1f}", z);
}

/// The centre in words: "source 1, penalty 0.031".
std::string name_of(const transfer::AdvisorCandidate& candidate) {
  switch (candidate.kind) {
    case transfer::CentreKind::source:
      return fmt::format("source {}, penalty {:.3g}", candidate.source + 1, candidate.source_penalty);
    case transfer::CentreKind::scaled: {
      std::string text = "scaled by";
      for (const double scale : candidate.scales) text += fmt::format(" {:.3g}", scale);
      return text;
    }
    case transfer::CentreKind::unchanged:
      return fmt::format("source {} as it is{}", candidate.source + 1,
                         candidate.source_intercept ? ", with its intercept" : "");
    case transfer::CentreKind::scratch:
    case transfer::CentreKind::mixed:
      break;
  }
  return transfer::to_string(candidate.kind);
}

/// How a source would do without scaling, in words.
std::string describe(const transfer::SourceAdvice& source) {
  if (!std::isfinite(source.alignment_standard_error)) return "too few rows to tell whether it helps as it is";
  const char* words = source.decision == transfer::Decision::transfer          ? "helps as it is"
                      : source.decision == transfer::Decision::do_not_transfer ? "does not help as it is"
                                                                               : "may or may not help as it is";
  return fmt::format("{}, alignment {:.3f} ± {:.3f} (above 1/2 it does, {})", words, source.alignment,
                     source.alignment_standard_error, describe_z(source.z));
}

void print(const Arguments& arguments, const transfer::TransferAdvisor& advisor, const Result& result) {
  const transfer::AdvisorReport& advice = advisor.report();
  for (std::size_t s = 0; result.same_labels && s < advice.sources.size(); ++s) {
    fmt::print("source {} ({}): {}\n", s + 1, printable(arguments.source_features[s]), describe(advice.sources[s]));
  }
  std::vector<std::string> header = {"centre", "target penalty", "leave-one-out", "gain over scratch", "weight"};
  if (!result.test.empty()) header.emplace_back(result.test[0].accuracy ? "test accuracy" : "test RMSE");
  Table table(header);
  for (std::size_t c = 0; c < advice.candidates.size(); ++c) {
    const transfer::AdvisorCandidate& candidate = advice.candidates[c];
    const bool judged = std::isfinite(candidate.gain_standard_error);
    const std::string gain = judged ? fmt::format("{:+.4g} ± {:.2g}", candidate.gain, candidate.gain_standard_error)
                                    : fmt::format("{:+.4g} ± ?", candidate.gain);
    std::vector<std::string> row = {
        name_of(candidate),
        std::isfinite(candidate.target_penalty) ? fmt::format("{:.3g}", candidate.target_penalty) : "–",
        fmt::format("{:.6g}", candidate.leave_one_out), c == 0 ? "" : gain, fmt::format("{:.2f}", advice.weights[c])};
    if (!result.test.empty()) {
      const TestScores& test = result.test[c + 1];
      row.push_back(test.accuracy ? fmt::format("{:.1f} %", 100 * *test.accuracy)
                                  : fmt::format("{:.6g}", test.root_mean_square));
    }
    table.add(row);
  }
  fmt::print("\n{}\n", table.to_string());
  if (!result.accuracy.empty()) {
    fmt::print("{}, from scratch {:.1f} %\n", describe(result.accuracy[0]), 100 * result.accuracy[1].right);
  }
  fmt::print("leave-one-out error {:.6g}, less than from scratch by {}\n", advice.leave_one_out,
             with_error(advice.gain, advice.gain_standard_error));
  fmt::print("decision: {}; {}\n",
             advice.judged ? transfer::to_string(advice.decision) : std::string("cannot be judged"), reason_of(advice));
}

/// Of class targets: the resulting model's, and that of the model from scratch.
std::vector<ClassAccuracy> accuracies(const Sample& target, const transfer::AdvisorReport& advice) {
  const std::vector<std::string>& classes = target.targets.classes;
  if (classes.empty()) return {};
  const std::vector<double> values = target.targets.values.to_vector<double>();
  return {class_accuracy(classes, values, advice.leave_one_out_residuals),
          class_accuracy(classes, values, advice.scratch_residuals)};
}

void check_files(const Arguments& arguments) {
  FileArguments inputs = {{"--target-features", array_file("--target-features", arguments.target_features)},
                          {"--target-targets", array_file("--target-targets", arguments.target_targets)}};
  for (const auto& file : arguments.source_features)
    inputs.push_back({"--source-features", array_file("--source-features", file)});
  for (const auto& file : arguments.source_targets)
    inputs.push_back({"--source-targets", array_file("--source-targets", file)});
  for (const FileArgument& file : arguments.unseen.inputs()) inputs.push_back(file);
  check_model_file("--out", arguments.out);
  check_outputs({{"--coefficients", arguments.coefficients},
                 {"--out", arguments.out},
                 arguments.unseen.output(),
                 {"--json", arguments.json}},
                inputs);
}

Problem read_problem(const Arguments& arguments) {
  const TargetKind kind = parse_target_kind(arguments.targets_are);
  Problem problem{read_sample("target", arguments.target_features, arguments.target_targets, kind), {}, {}, {}};
  const Array& features = problem.target.features;
  for (std::size_t s = 0; s < arguments.source_features.size(); ++s) {
    problem.sources.push_back(read_sample("source", arguments.source_features[s], arguments.source_targets[s], kind,
                                          features.preprocessing.get()));
    const Array& own = problem.sources.back().features;
    if (own.columns() == features.columns()) continue;
    throw ShapeError(
        fmt::format("{} has {} columns (--source-features), {} has {} (--target-features); source and "
                    "target need the same features",
                    own.file, own.columns(), features.file, features.columns()));
  }
  share_classes(problem.target, problem.sources);
  problem.unseen.emplace(arguments.unseen, FittedRows(features, problem.target.targets));
  std::vector<const Array*> read = {&features, &problem.target.targets};
  for (const Sample& sample : problem.sources) read.insert(read.end(), {&sample.features, &sample.targets});
  for (const Array* array : problem.unseen->arrays()) read.push_back(array);
  problem.notes = tell_notes(read);
  if (features.rows() == 1 && !arguments.no_intercept) {
    throw FormatError(features.file,
                      "has a single row, which the intercept takes; give at least two, or --no-intercept");
  }
  return problem;
}

transfer::TransferAdvisor advise(const Arguments& arguments, const Problem& problem, const Device& device) {
  const Tensors goal(problem.target, device);
  std::vector<Tensors> tensors;
  tensors.reserve(problem.sources.size());
  for (const Sample& sample : problem.sources) tensors.emplace_back(sample, device);
  std::vector<std::unique_ptr<solvers::L2SPSource>> sources;
  std::vector<const solvers::L2SPSource*> pointers;
  for (std::size_t s = 0; s < tensors.size(); ++s) {
    sources.push_back(with_context(problem.sources[s].files(), [&] {
      return std::make_unique<solvers::L2SPSource>(device, tensors[s].x, tensors[s].y,
                                                   solvers::L2SPSourceOptions{.intercept = !arguments.no_intercept});
    }));
    pointers.push_back(sources.back().get());
  }
  transfer::AdvisorOptions options;
  options.intercept = !arguments.no_intercept;
  options.rule = arguments.choose ? transfer::AdvisorRule::choose : transfer::AdvisorRule::average;
  return with_context(problem.target.files(),
                      [&] { return transfer::TransferAdvisor(device, pointers, goal.x, goal.y, options); });
}

/// Of the resulting model, then of each candidate's; none without test rows.
std::vector<TestScores> test_scores(const UnseenRows& unseen, const transfer::TransferAdvisor& advisor,
                                    const Device& device) {
  if (!unseen.has_test()) return {};
  std::vector<TestScores> scores = {unseen.score(device, advisor.coefficients(), advisor.intercept())};
  for (std::size_t c = 0; c < advisor.report().candidates.size(); ++c) {
    scores.push_back(unseen.score(device, advisor.candidate_coefficients(c), advisor.candidate_intercept(c)));
  }
  return scores;
}

void run(const Arguments& arguments) {
  if (arguments.source_features.size() != arguments.source_targets.size()) {
    throw UsageError(fmt::format("{} --source-features and {} --source-targets are given; each source needs both",
                                 arguments.source_features.size(), arguments.source_targets.size()));
  }
  arguments.unseen.check();
  check_files(arguments);
  const Device device = arguments.device.open();
  const Problem problem = read_problem(arguments);
  const transfer::TransferAdvisor advisor = advise(arguments, problem, device);
  Result result;
  result.same_labels = std::all_of(problem.sources.begin(), problem.sources.end(), [&](const Sample& source) {
    return source.targets.columns() == problem.target.targets.columns();
  });
  result.accuracy = accuracies(problem.target, advisor.report());
  result.test = test_scores(*problem.unseen, advisor, device);
  const Json json = report(arguments, advisor, device, problem, result);
  if (!arguments.coefficients.empty()) io::write_npy(arguments.coefficients, advisor.coefficients());
  if (!arguments.out.empty()) {
    write_linear_model(arguments.out, "decide", problem.unseen->fitted(), advisor.coefficients(), advisor.intercept());
  }
  problem.unseen->write_predictions(device, advisor.coefficients(), advisor.intercept());
  write_json(arguments.json, json);
  if (arguments.json == "-") return;
  print(arguments, advisor, result);
  problem.unseen->print(result.of_model());
  if (!arguments.coefficients.empty()) fmt::print("coefficients written: {}\n", arguments.coefficients);
  if (!arguments.out.empty()) fmt::print("model written: {}\n", arguments.out);
}

}  // namespace

void add_decide_command(CLI::App& app) {
  auto* command =
      app.add_subcommand("decide", "Should I transfer, and how? Judged by leave-one-out, for linear models");
  auto arguments = std::make_shared<Arguments>();
  command
      ->add_option("--source-features", arguments->source_features,
                   fmt::format("X0, [samples, features]: {}; once for each source", array_help))
      ->required()
      ->allow_extra_args(false);
  command->add_option("--source-targets", arguments->source_targets, "Y0, [samples, outputs] or [samples], likewise")
      ->required()
      ->allow_extra_args(false);
  command->add_option("--target-features", arguments->target_features, "X1, with the sources' features")->required();
  command->add_option("--target-targets", arguments->target_targets, "Y1; other outputs than the sources' are mixed")
      ->required();
  add_targets_are(*command, arguments->targets_are);
  arguments->unseen.add_to(*command);
  command->add_flag("--no-intercept", arguments->no_intercept, "fit through the origin");
  command->add_flag("--choose", arguments->choose, "take the best candidate whole instead of a weighted average");
  command->add_option("--coefficients", arguments->coefficients,
                      "write the resulting W, [features, outputs], to this .npy");
  command->add_option("--out", arguments->out, "write the resulting model to this .safetensors, for rtl predict");
  command->add_option("--json", arguments->json, "write the facts to FILE (- is standard output)");
  arguments->device.add_to(*command);
  command->footer(matrix_help());
  command->callback([arguments] { run(*arguments); });
}

}  // namespace rtl::cli
