// rtl ridge: ridge regression over a grid of penalties, with exact leave-one-out errors.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

#include "cli/array_argument.hpp"
#include "cli/array_classes.hpp"
#include "cli/class_accuracy.hpp"
#include "cli/commands.hpp"
#include "cli/error_context.hpp"
#include "cli/json_report.hpp"
#include "cli/linear_archive.hpp"
#include "cli/outputs.hpp"
#include "cli/ridge_stream.hpp"
#include "cli/table.hpp"
#include "cli/training_arguments.hpp"
#include "cli/unseen_rows.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/npy.hpp"
#include "rtl/solvers/ridge_path.hpp"

namespace rtl::cli {

namespace {

constexpr const char* convention =
    "(1/n) ||Y - X W - b||^2 + penalty ||W - W0||^2, b without penalty; scikit-learn's alpha is n penalty";
constexpr const char* methods[] = {"automatic", "primal", "dual", "svd"};

struct Arguments {
  std::string features;
  std::string targets;
  std::string start;
  std::string weights;
  std::string targets_are = "detect";
  std::string penalties;
  std::string method = "automatic";
  std::string coefficients;
  std::string out;
  std::string json;
  UnseenArguments unseen;
  bool no_intercept = false;
  bool f32 = false;
  bool stream = false;
  DeviceArguments device;
};

struct Problem {
  Tensor features;                   ///< [n, p]
  Tensor targets;                    ///< [n, k]
  std::vector<std::string> classes;  ///< names of the targets' columns, if these are classes
  std::optional<Tensor> start;       ///< [p, k]
  std::optional<Tensor> weights;     ///< [n]
  std::vector<double> host_targets, host_weights;
  std::optional<UnseenRows> unseen;
  std::vector<std::string> notes;  ///< what was told about the files
  /// Sum of the weights (n without) times 2^-exponent, so that it neither overflows nor underflows.
  double total_weight = 0;
  int weight_exponent = 0;
};

double parse_penalty(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value) || value < 0) {
    throw UsageError(fmt::format("--penalties: '{}' is no penalty; give a number that is 0 or larger", text));
  }
  return value;
}

/// LO:HI:COUNT, or penalties with commas between.
std::vector<double> parse_penalties(const std::string& text) {
  const bool grid = text.find(':') != std::string::npos;
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const auto end = std::min(text.find(grid ? ':' : ',', at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  std::vector<double> penalties;
  if (!grid) {
    for (const auto& part : parts) penalties.push_back(parse_penalty(part));
    return penalties;
  }
  constexpr std::int64_t most = 1'000'000;
  std::int64_t count = 0;
  if (parts.size() == 3) std::from_chars(parts[2].data(), parts[2].data() + parts[2].size(), count);
  if (parts.size() != 3 || std::to_string(count) != parts[2] || count < 1 || count > most) {
    throw UsageError(fmt::format("--penalties: '{}' is not LO:HI:COUNT with COUNT from 1 to {}, as in 1e-6:1e2:50",
                                 text, grouped(most)));
  }
  const double low = parse_penalty(parts[0]), high = parse_penalty(parts[1]);
  if (!(low > 0) || low > high || (count == 1 && low != high)) {
    throw UsageError(
        fmt::format("--penalties: '{}': LO must be above 0 and not above HI{}; a penalty of 0 can stand in a "
                    "list, as in 0,0.1,1",
                    text, count == 1 ? ", and with a COUNT of 1 equal to it" : ""));
  }
  return solvers::logarithmic_penalties(low, high, count);
}

solvers::RidgeMethod parse_method(const std::string& name) {
  const auto* found = std::find(std::begin(methods), std::end(methods), name);
  return static_cast<solvers::RidgeMethod>(found - std::begin(methods));
}

std::string name_of(solvers::RidgeMethod method) { return methods[static_cast<std::size_t>(method)]; }

double largest_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0,
                         [](double a, double b) { return std::max(a, std::abs(b)); });
}

/// On the device; host memory is not copied.
Tensor placed(Tensor values, const Device& device) { return device.is_cuda() ? values.to(device) : std::move(values); }

void take_weights(Problem& problem, const Array& weights) {
  problem.host_weights = doubles_of(weights.values);
  for (std::size_t i = 0; i < problem.host_weights.size(); ++i) {
    if (problem.host_weights[i] >= 0) continue;
    throw FormatError(weights.file, fmt::format("row {} is {}; a weight says how often a sample counts and is not "
                                                "negative ({})",
                                                i, problem.host_weights[i], weights.option));
  }
  const double largest = largest_of(problem.host_weights);
  problem.weight_exponent = largest > 0 ? std::ilogb(largest) : 0;
  problem.total_weight = 0;
  for (const double weight : problem.host_weights)
    problem.total_weight += std::scalbn(weight, -problem.weight_exponent);
}

Problem read_problem(const Arguments& arguments, const Device& device) {
  Array features = read_array("--features", arguments.features);
  Array targets = read_targets("--targets", arguments.targets, parse_target_kind(arguments.targets_are));
  std::optional<Array> weights;
  std::vector<Array*> rows = {&features, &targets};
  if (features.all_rows != targets.all_rows) align_rows(rows);
  if (!arguments.weights.empty()) {
    weights = read_array("--weights", arguments.weights, features.all_rows, 1, "one a sample");
    rows.push_back(&*weights);
  }
  align_rows(rows);
  Problem problem;
  problem.classes = targets.classes;
  problem.total_weight = static_cast<double>(features.rows());
  if (weights) take_weights(problem, *weights);
  problem.unseen.emplace(arguments.unseen, FittedRows(features, targets, problem.host_weights));
  std::vector<const Array*> read(rows.begin(), rows.end());
  for (const Array* array : problem.unseen->arrays()) read.push_back(array);
  problem.notes = tell_notes(read);
  if (weights) problem.weights = placed(std::move(weights->values), device).reshaped({features.rows()});
  if (!arguments.start.empty()) {
    Array start = read_array("--start", arguments.start, features.columns(), targets.columns(), "[features, outputs]");
    problem.start = placed(std::move(start.values), device);
  }
  problem.host_targets = doubles_of(targets.values);
  problem.features = placed(std::move(features.values), device);
  problem.targets = placed(std::move(targets.values), device);
  return problem;
}

/// Which lines of a long grid are printed: some evenly, and those around the best.
std::vector<std::size_t> printed_lines(std::size_t count, std::size_t best) {
  constexpr std::size_t all = 15, even = 9;
  std::set<std::size_t> lines;
  for (std::size_t i = 0; i < std::min(count, all); ++i) lines.insert(i);
  if (count > all) {
    lines.clear();
    for (std::size_t i = 0; i < even; ++i) lines.insert(i * (count - 1) / (even - 1));
    for (std::size_t i = best - std::min<std::size_t>(best, 2); i <= std::min(best + 2, count - 1); ++i)
      lines.insert(i);
  }
  return {lines.begin(), lines.end()};
}

double sklearn_alpha(const Problem& problem, double penalty) {
  return std::scalbn(solvers::penalty_to_sklearn(penalty, problem.total_weight), problem.weight_exponent);
}

void print(const solvers::RidgePath& path, const Problem& problem) {
  const auto& scores = path.scores();
  Table table({"penalty", "leave-one-out", "GCV", "degrees of freedom", ""});
  table.align_left(4);
  const auto lines = printed_lines(scores.penalties.size(), scores.best);
  for (const std::size_t l : lines) {
    table.add({fmt::format("{:.6g}", scores.penalties[l]), fmt::format("{:.6g}", scores.leave_one_out[l]),
               fmt::format("{:.6g}", scores.gcv[l]), fmt::format("{:.2f}", scores.degrees_of_freedom[l]),
               l == scores.best ? "best" : ""});
  }
  const auto counted = [](std::int64_t count, const char* what) {
    return fmt::format("{} {}{}", grouped(count), what, count == 1 ? "" : "s");
  };
  fmt::print("{}, {}, {}; {}\n\n{}", counted(path.rows(), "sample"), counted(path.features(), "feature"),
             counted(path.outputs(), "output"), name_of(path.method()), table.to_string());
  if (lines.size() < scores.penalties.size()) {
    fmt::print("({} of {} penalties)\n", lines.size(), scores.penalties.size());
  }
  fmt::print("\nbest penalty {:.6g} (per sample), in scikit-learn alpha = {:.6g}\n", path.best_penalty(),
             sklearn_alpha(problem, path.best_penalty()));
}

/// How exact the root of a leave-one-out error is.
double rounding(const Problem& problem, bool f32) {
  constexpr double relative = 1e-12, relative_f32 = 1e-5;
  return largest_of(problem.host_targets) * (f32 ? relative_f32 : relative);
}

/// Where the grid may be too short; empty if it is not, or if the penalty changes nothing.
std::string end_of_grid(const solvers::RidgeScores& scores, double rounding) {
  if (scores.penalties.size() < 2) return {};
  const auto [least, most] = std::minmax_element(scores.leave_one_out.begin(), scores.leave_one_out.end());
  if (std::sqrt(*most) - std::sqrt(*least) <= rounding) return {};
  const auto [low, high] = std::minmax_element(scores.penalties.begin(), scores.penalties.end());
  const double best = scores.best_penalty();
  if ((best != *low && best != *high) || *low == *high || best == 0) return {};
  return fmt::format("the best penalty, {:.6g}, is the {} of the grid: a {} one may be better; widen --penalties", best,
                     best == *low ? "smallest" : "largest", best == *low ? "smaller" : "larger");
}

Json report(const Arguments& arguments, const solvers::RidgePath& path, const Problem& problem,
            const solvers::RidgeFit& fit, const std::optional<ClassAccuracy>& accuracy,
            const std::optional<TestScores>& test, const std::string& warning) {
  const auto& scores = path.scores();
  Json json = {{"rtl", RTL_VERSION},
               {"device", path.device().name()},
               {"n", path.rows()},
               {"p", path.features()},
               {"outputs", path.outputs()},
               {"convention", convention},
               {"method", name_of(path.method())},
               {"arithmetic", arguments.f32 ? "f32" : "f64"},
               {"penalties", scores.penalties},
               {"leave_one_out", scores.leave_one_out},
               {"gcv", scores.gcv},
               {"degrees_of_freedom", scores.degrees_of_freedom},
               {"best", {{"index", scores.best}, {"penalty", scores.best_penalty()}}},
               {"sklearn_alpha", sklearn_alpha(problem, scores.best_penalty())},
               {"intercept", arguments.no_intercept ? Json() : Json(fit.intercept.to_vector<double>())},
               {"coefficients", arguments.coefficients.empty() ? Json() : Json(arguments.coefficients)},
               {"out", arguments.out.empty() ? Json() : Json(arguments.out)},
               {"warnings", warning.empty() ? Json::array() : Json::array({warning})},
               {"notes", problem.notes}};
  if (accuracy) {
    json["classes"] = problem.classes;
    json["accuracy"] = {{"leave_one_out", accuracy->right}, {"most_frequent_class", accuracy->most_frequent}};
  }
  problem.unseen->report(json, test);
  return json;
}

/// --coefficients may be --start: the new coefficients then take the old ones' place.
void check_files(const Arguments& arguments) {
  const FileArgument json{"--json", arguments.json}, predictions = arguments.unseen.output();
  FileArguments inputs = arguments.unseen.inputs();
  inputs.insert(inputs.end(), {{"--features", array_file("--features", arguments.features)},
                               {"--targets", array_file("--targets", arguments.targets)},
                               {"--weights", array_file("--weights", arguments.weights)}});
  const FileArgument model{"--out", arguments.out};
  check_model_file("--out", arguments.out);
  check_outputs({{"--coefficients", arguments.coefficients}, model, predictions, json}, inputs);
  check_distinct({predictions, json, model}, {{"--start", array_file("--start", arguments.start)}});
}

/// By blocks of rows, for files that are larger than memory.
void run_stream(const Arguments& arguments, const std::vector<double>& penalties) {
  const bool other = arguments.f32 || arguments.method != "automatic" || !arguments.unseen.test_features.empty() ||
                     !arguments.unseen.predict.empty() || arguments.targets_are == "classes" || !arguments.out.empty();
  if (other) {
    throw UsageError(
        "--stream is for values in .npy files; --method, --f32, --targets-are classes, --test-features, --predict and "
        "--out do not go with it");
  }
  const RidgeStream stream{arguments.features,
                           arguments.targets,
                           arguments.weights,
                           arguments.start,
                           penalties,
                           !arguments.no_intercept,
                           arguments.targets_are == "values"};
  const RidgeStreamResult result = ridge_by_blocks(stream, arguments.device.open());
  if (!arguments.coefficients.empty()) io::write_npy(arguments.coefficients, result.coefficients);
  Json json = result.to_json();
  json["convention"] = convention;
  if (arguments.no_intercept) json["intercept"] = nullptr;
  json["coefficients"] = arguments.coefficients.empty() ? Json() : Json(arguments.coefficients);
  write_json(arguments.json, json);
  if (arguments.json != "-") {
    fmt::print("{}", result.describe());
    if (!arguments.coefficients.empty()) fmt::print("coefficients written: {}\n", arguments.coefficients);
  }
}

void run(const Arguments& arguments) {
  const std::vector<double> penalties = parse_penalties(arguments.penalties);
  solvers::RidgeOptions options;
  options.intercept = !arguments.no_intercept;
  options.method = parse_method(arguments.method);
  options.arithmetic = arguments.f32 ? solvers::RidgeArithmetic::f32 : solvers::RidgeArithmetic::f64;
  if (arguments.f32 && options.method == solvers::RidgeMethod::svd) {
    throw UsageError("--f32 does not go with --method svd, which is for problems that need every digit");
  }
  arguments.unseen.check();
  check_files(arguments);
  if (arguments.stream) return run_stream(arguments, penalties);
  const Device device = arguments.device.open();
  const Problem problem = read_problem(arguments, device);
  if (problem.start) options.centre = *problem.start;
  if (problem.weights) options.sample_weights = *problem.weights;
  const auto path = with_context(fmt::format("{} and {}", arguments.features, arguments.targets), [&] {
    return solvers::RidgePath(device, problem.features, problem.targets, penalties, options);
  });
  const std::string warning = end_of_grid(path.scores(), rounding(problem, arguments.f32));
  const solvers::RidgeFit fit = path.fit(path.best_penalty());
  std::optional<ClassAccuracy> accuracy;
  if (!problem.classes.empty()) {
    const Tensor left_out = path.leave_one_out_residuals(path.best_penalty());
    accuracy =
        class_accuracy(problem.classes, problem.host_targets, left_out.to_vector<double>(), problem.host_weights);
  }
  std::optional<TestScores> test;
  if (problem.unseen->has_test()) test = problem.unseen->score(device, fit.coefficients, fit.intercept);
  const Json json = report(arguments, path, problem, fit, accuracy, test, warning);
  if (!arguments.coefficients.empty()) io::write_npy(arguments.coefficients, fit.coefficients);
  if (!arguments.out.empty()) {
    write_linear_model(arguments.out, "ridge", problem.unseen->fitted(), fit.coefficients, fit.intercept);
  }
  problem.unseen->write_predictions(device, fit.coefficients, fit.intercept);
  write_json(arguments.json, json);
  if (arguments.json != "-") {
    print(path, problem);
    if (accuracy) fmt::print("{}\n", describe(*accuracy));
    problem.unseen->print(test);
    if (!arguments.coefficients.empty()) fmt::print("coefficients written: {}\n", arguments.coefficients);
    if (!arguments.out.empty()) fmt::print("model written: {}\n", arguments.out);
  }
  if (!warning.empty()) fmt::print(stderr, "warning: {}\n", warning);
}

}  // namespace

void add_ridge_command(CLI::App& app) {
  auto* command = app.add_subcommand("ridge", "Ridge regression over many penalties, with exact leave-one-out errors");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("--features", arguments->features, fmt::format("X, [samples, features]: {}", array_help))
      ->required();
  command
      ->add_option("--targets", arguments->targets,
                   "Y, [samples, outputs] or [samples], likewise; a column or .npy of texts, or csv:FILE?label=COLUMN, "
                   "has classes")
      ->required();
  add_targets_are(*command, arguments->targets_are);
  command->add_option("--penalties", arguments->penalties, "LO:HI:COUNT, evenly in the logarithm; or P,P,..")
      ->required();
  command->add_option("--start", arguments->start,
                      "W0, [features, outputs]: coefficients are drawn to it, not to 0 (L2-SP)");
  command->add_option("--weights", arguments->weights, "[samples]: how often each sample counts");
  arguments->unseen.add_to(*command);
  command->add_flag("--no-intercept", arguments->no_intercept, "fit through the origin");
  command->add_option("--method", arguments->method, "automatic, primal, dual or svd")
      ->check(CLI::IsMember(std::vector<std::string>(std::begin(methods), std::end(methods))))
      ->capture_default_str();
  command->add_flag("--f32", arguments->f32, "large products in single precision: faster, less exact");
  command->add_flag("--stream", arguments->stream,
                    "read features and targets, .npy files, in blocks of rows and twice: for more than memory holds");
  command->add_option("--coefficients", arguments->coefficients,
                      "write W of the best penalty, [features, outputs], to this .npy");
  command->add_option("--out", arguments->out,
                      "write the model of the best penalty to this .safetensors, for rtl predict");
  command->add_option("--json", arguments->json, "write the facts to FILE (- is standard output)");
  arguments->device.add_to(*command);
  command->footer(matrix_help());
  command->callback([arguments] { run(*arguments); });
}

}  // namespace rtl::cli
