// rtl decide: should I transfer, and how? For linear models on features.
#include <fmt/format.h>

#include <cmath>
#include <memory>

#include "cli/array_argument.hpp"
#include "cli/commands.hpp"
#include "cli/error_context.hpp"
#include "cli/json_report.hpp"
#include "cli/outputs.hpp"
#include "cli/table.hpp"
#include "cli/training_arguments.hpp"
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
  std::string coefficients;
  std::string json;
  bool no_intercept = false;
  bool choose = false;
  DeviceArguments device;
};

struct Sample {
  Tensor features;  ///< [n, p]
  Tensor targets;   ///< [n, k]
};

Sample read_sample(const std::string& which, const std::string& features, const std::string& targets,
                   const Device& device) {
  const Tensor x = read_array("--" + which + "-features", features), y = read_array("--" + which + "-targets", targets);
  if (x.extent(0) != y.extent(0)) {
    throw ShapeError(
        fmt::format("{} has {} rows, {} has {}; each sample needs both", features, x.extent(0), targets, y.extent(0)));
  }
  const std::int64_t n = x.extent(0);
  return {x.to(device).reshaped({n, x.rank() == 2 ? x.extent(1) : 1}),
          y.to(device).reshaped({n, y.rank() == 2 ? y.extent(1) : 1})};
}

/// Infinite values become null.
Json finite(double value) { return std::isfinite(value) ? Json(value) : Json(); }

Json report(const Arguments& arguments, const transfer::TransferAdvisor& advisor, const Device& device,
            const Sample& target, bool same_labels) {
  const transfer::AdvisorReport& advice = advisor.report();
  Json json = {{"rtl", RTL_VERSION},
               {"device", device.name()},
               {"n", target.features.extent(0)},
               {"p", target.features.extent(1)},
               {"outputs", target.targets.extent(1)},
               {"convention", convention},
               {"sources", Json::array()},
               {"candidates", Json::array()},
               {"trust", advice.trust},
               {"leave_one_out", advice.leave_one_out},
               {"gain", {{"mean", advice.gain}, {"standard_error", advice.gain_standard_error}}},
               {"intercept", arguments.no_intercept ? Json() : Json(advisor.intercept().to_vector<double>())},
               {"coefficients", arguments.coefficients.empty() ? Json() : Json(arguments.coefficients)}};
  for (std::size_t s = 0; s < advice.sources.size(); ++s) {
    const transfer::SourceAdvice& source = advice.sources[s];
    Json one = {{"features", arguments.source_features[s]},
                {"targets", arguments.source_targets[s]},
                {"optimal_penalty", source.optimal_penalty}};
    if (same_labels) {
      one["transfer_penalty"] = finite(source.transfer_penalty);
      one["alignment"] = {{"value", source.alignment}, {"standard_error", source.alignment_standard_error}};
      one["z"] = finite(source.z);
      one["decision"] = transfer::to_string(source.decision);
      one["predicted_gain"] = source.predicted_gain;
    }
    json["sources"].push_back(one);
  }
  for (std::size_t c = 0; c < advice.candidates.size(); ++c) {
    const transfer::AdvisorCandidate& candidate = advice.candidates[c];
    Json one = {{"centre", transfer::to_string(candidate.kind)}};
    if (candidate.kind == transfer::CentreKind::source) {
      one["source"] = candidate.source;
      one["source_penalty"] = candidate.source_penalty;
    }
    if (candidate.kind == transfer::CentreKind::scaled) one["scales"] = candidate.scales;
    if (candidate.kind == transfer::CentreKind::mixed) one["mixing_penalty"] = candidate.mixing_penalty;
    one["target_penalty"] = candidate.target_penalty;
    one["leave_one_out"] = candidate.leave_one_out;
    one["gain"] = {{"mean", candidate.gain}, {"standard_error", candidate.gain_standard_error}};
    one["weight"] = advice.weights[c];
    json["candidates"].push_back(one);
  }
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
    case transfer::CentreKind::scratch:
    case transfer::CentreKind::mixed:
      break;
  }
  return transfer::to_string(candidate.kind);
}

void print(const transfer::TransferAdvisor& advisor, bool same_labels) {
  const transfer::AdvisorReport& advice = advisor.report();
  for (std::size_t s = 0; same_labels && s < advice.sources.size(); ++s) {
    const transfer::SourceAdvice& source = advice.sources[s];
    fmt::print("source {}: alignment {:.3f} ± {:.3f}, which says: {} (as it is; 1/2 is the border, {})\n", s + 1,
               source.alignment, source.alignment_standard_error, transfer::to_string(source.decision),
               describe_z(source.z));
  }
  Table table({"centre", "target penalty", "leave-one-out", "gain over scratch", "weight"});
  for (std::size_t c = 0; c < advice.candidates.size(); ++c) {
    const transfer::AdvisorCandidate& candidate = advice.candidates[c];
    table.add({name_of(candidate), fmt::format("{:.3g}", candidate.target_penalty),
               fmt::format("{:.6g}", candidate.leave_one_out),
               c == 0 ? "" : fmt::format("{:+.4g} ± {:.2g}", candidate.gain, candidate.gain_standard_error),
               fmt::format("{:.2f}", advice.weights[c])});
  }
  fmt::print(
      "\n{}\nleave-one-out error {:.6g}, {:+.4g} ± {:.2g} less than from scratch; {:.0f} % of the model is transfer\n",
      table.to_string(), advice.leave_one_out, advice.gain, advice.gain_standard_error, 100 * advice.trust);
}

void check_files(const Arguments& arguments) {
  FileArguments inputs = {{"--target-features", array_file(arguments.target_features)},
                          {"--target-targets", array_file(arguments.target_targets)}};
  for (const auto& file : arguments.source_features) inputs.push_back({"--source-features", array_file(file)});
  for (const auto& file : arguments.source_targets) inputs.push_back({"--source-targets", array_file(file)});
  check_outputs({{"--coefficients", arguments.coefficients}, {"--json", arguments.json}}, inputs);
}

void run(const Arguments& arguments) {
  if (arguments.source_features.size() != arguments.source_targets.size()) {
    throw UsageError(fmt::format("{} --source-features and {} --source-targets are given; each source needs both",
                                 arguments.source_features.size(), arguments.source_targets.size()));
  }
  check_files(arguments);
  const Device device = arguments.device.open();
  const Sample target = read_sample("target", arguments.target_features, arguments.target_targets, device);
  std::vector<Sample> samples;
  std::vector<std::unique_ptr<solvers::L2SPSource>> sources;
  std::vector<const solvers::L2SPSource*> pointers;
  bool same_labels = true;
  for (std::size_t s = 0; s < arguments.source_features.size(); ++s) {
    samples.push_back(read_sample("source", arguments.source_features[s], arguments.source_targets[s], device));
    same_labels = same_labels && samples.back().targets.extent(1) == target.targets.extent(1);
  }
  for (std::size_t s = 0; s < samples.size(); ++s) {
    const std::string files = fmt::format("{} and {}", arguments.source_features[s], arguments.source_targets[s]);
    sources.push_back(with_context(files, [&] {
      return std::make_unique<solvers::L2SPSource>(device, samples[s].features, samples[s].targets,
                                                   solvers::L2SPSourceOptions{.intercept = !arguments.no_intercept});
    }));
    pointers.push_back(sources.back().get());
  }
  transfer::AdvisorOptions options;
  options.intercept = !arguments.no_intercept;
  options.rule = arguments.choose ? transfer::AdvisorRule::choose : transfer::AdvisorRule::average;
  const auto advisor = with_context(fmt::format("{} and {}", arguments.target_features, arguments.target_targets), [&] {
    return transfer::TransferAdvisor(device, pointers, target.features, target.targets, options);
  });
  const Json json = report(arguments, advisor, device, target, same_labels);
  if (!arguments.coefficients.empty()) io::write_npy(arguments.coefficients, advisor.coefficients());
  write_json(arguments.json, json);
  if (arguments.json == "-") return;
  print(advisor, same_labels);
  if (!arguments.coefficients.empty()) fmt::print("coefficients written: {}\n", arguments.coefficients);
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
  command->add_flag("--no-intercept", arguments->no_intercept, "fit through the origin");
  command->add_flag("--choose", arguments->choose, "take the best candidate whole instead of a weighted average");
  command->add_option("--coefficients", arguments->coefficients,
                      "write the resulting W, [features, outputs], to this .npy");
  command->add_option("--json", arguments->json, "write the facts to FILE (- is standard output)");
  arguments->device.add_to(*command);
  command->callback([arguments] { run(*arguments); });
}

}  // namespace rtl::cli
