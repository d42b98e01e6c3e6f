#include "studies/linear_transfer/few_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>

#include "core/by_name.hpp"
#include "rtl/transfer/advisor.hpp"
#include "studies/linear_transfer/policies.hpp"

namespace rtl::studies::linear_transfer {
namespace {

enum Model : std::size_t { scratch, shifted, whole, advisor, model_count };
constexpr std::array<const char*, model_count> model_names = {"scratch", "source_as_it_is", "source_with_its_intercept",
                                                              "advisor"};

constexpr std::array<const char*, 4> part_names = {"pilot", "first check", "second check", "third check"};

/// Test risks (mean squared errors) of each model for each draw of the target's rows.
struct Setting {
  std::string family, source, target;
  std::int64_t rows = 0;
  std::string part;  ///< one of part_names
  std::array<std::vector<double>, model_count> risks;

  std::string name() const { return fmt::format("{}, {} to {}, {} rows", family, source, target, rows); }
  double risk(Model model) const {
    return std::accumulate(risks[model].begin(), risks[model].end(), 0.0) / static_cast<double>(risks[model].size());
  }
  /// The advisor's risk above the better of scratch and the source as it is, relative to it.
  double regret(Model as_it_is) const { return risk(advisor) / std::min(risk(scratch), risk(as_it_is)) - 1; }
  /// The advisor's risk minus scratch's, paired.
  transfer::Interval over_scratch() const {
    std::vector<double> differences;
    for (std::size_t i = 0; i < risks[advisor].size(); ++i) {
      differences.push_back(risks[advisor][i] - risks[scratch][i]);
    }
    constexpr double infinity = std::numeric_limits<double>::infinity();
    return transfer::t_interval(differences, 0.95, -infinity, infinity);
  }
  bool worse_than_scratch() const { return over_scratch().low > 0; }
};

/// The part of each of a family's pairs: a third, rounded, was kept aside for the first check; whole families
/// for the others.
std::vector<std::string> parts_of(const Family& family) {
  const auto* const whole = by_name<const char*>(
      family.name,
      {{"adult", "second check"}, {"myelin", "second check"}, {"race", "third check"}, {"aldolase", "third check"}},
      nullptr);
  if (whole != nullptr) return std::vector<std::string>(family.pairs.size(), whole);
  constexpr int seed = 20261128;
  std::vector<std::string> names;
  for (const Pair& pair : family.pairs) {
    names.push_back(
        fmt::format("{}/{}/{}", family.name, family.domains[pair.source].name, family.domains[pair.target].name));
  }
  std::vector<std::string> parts;
  for (const bool kept : held_out(names, seed)) parts.emplace_back(kept ? "first check" : "pilot");
  return parts;
}

double mean_squared_error(const std::vector<double>& predicted, const std::vector<double>& truth) {
  double sum = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) sum += std::pow(truth[i] - predicted[i], 2);
  return sum / static_cast<double>(truth.size());
}

void run_draw(const Device& device, const FittedSource& source, const Domain& target, std::uint64_t seed,
              Setting& setting) {
  const Split split = split_rows(target, setting.rows, seed);
  const Tensor x = source.scaled(target, split.training), test = source.scaled(target, split.testing);
  const Tensor y = Tensor::from(target_values(target, split.training), {setting.rows, target.outputs}, device);
  const std::vector<double> truth = target_values(target, split.testing);
  const auto add = [&](Model model, const Tensor& coefficients, const Tensor& intercept) {
    setting.risks[model].push_back(mean_squared_error(linear(test, coefficients, intercept), truth));
  };
  const solvers::RidgeFit alone = leave_one_out_ridge(device, x, y);
  add(scratch, alone.coefficients, alone.intercept);
  const double penalty = source.model().prior().penalty;
  const Tensor& own = source.model().coefficients(penalty);
  add(whole, own, source.model().intercept(penalty));
  const transfer::TransferAdvisor advice(device, source.model(), x, y);
  const auto& candidates = advice.report().candidates;
  const auto limit = std::find_if(candidates.begin(), candidates.end(), [](const auto& candidate) {
    return candidate.kind == transfer::CentreKind::unchanged && !candidate.source_intercept;
  });
  add(shifted, own, advice.candidate_intercept(static_cast<std::size_t>(limit - candidates.begin())));
  add(advisor, advice.coefficients(), advice.intercept());
}

std::vector<Setting> run_family(const std::string& name, const std::string& data, int draws,
                                const RunOptions& options) {
  const Family family = load_few_rows_family(name, data, !options.full());
  const std::vector<std::string> parts = parts_of(family);
  std::vector<Setting> settings;
  std::unique_ptr<FittedSource> source;
  std::size_t fitted = family.domains.size();
  for (std::size_t i = 0; i < family.pairs.size(); ++i) {
    const Pair& pair = family.pairs[i];
    const Domain &from = family.domains[pair.source], &to = family.domains[pair.target];
    if (fitted != pair.source) {
      source = std::make_unique<FittedSource>(options.device, from, family.scale_each_feature);
      fitted = pair.source;
    }
    for (const std::int64_t rows : pair.sizes) {
      Setting setting{name, from.name, to.name, rows, parts[i], {}};
      options.progress(static_cast<double>(i) / static_cast<double>(family.pairs.size()), setting.name());
      for (int draw = 1; draw <= draws; ++draw) {
        options.check_stop();
        run_draw(options.device, *source, to, static_cast<std::uint64_t>(draw), setting);
      }
      settings.push_back(std::move(setting));
    }
  }
  return settings;
}

/// Regret over the settings of one part.
struct Regret {
  double mean = 0, losses = 0, worst = 0;  ///< `losses`: the mean with gains counted as nothing
  std::string where;

  Regret(const std::vector<const Setting*>& settings, Model as_it_is) : worst(-1) {
    for (const Setting* setting : settings) {
      const double regret = setting->regret(as_it_is);
      mean += regret / static_cast<double>(settings.size());
      losses += std::max(0.0, regret) / static_cast<double>(settings.size());
      if (regret > worst) worst = regret, where = setting->name();
    }
  }
};

void judge_part(const std::string& part, const std::vector<const Setting*>& settings, Reproduction& result,
                TextTable& table, Json& json) {
  if (settings.empty()) return;
  const auto worse = static_cast<double>(std::count_if(
      settings.begin(), settings.end(), [](const Setting* setting) { return setting->worse_than_scratch(); }));
  Json regrets = Json::object();
  for (const Model as_it_is : {shifted, whole}) {
    const Regret regret(settings, as_it_is);
    const std::string better = as_it_is == shifted ? "the source as it is" : "the source with its own intercept";
    if (as_it_is == shifted) {
      const std::string above = fmt::format("few rows, {}: regret against scratch or {}", part, better);
      result.claims.push_back({above + ", mean", 0.04, regret.mean, 0, Relation::at_most});
      result.claims.push_back({above + ", worst setting", 0.12, regret.worst, 0, Relation::at_most});
    }
    table.rows.push_back({part, std::to_string(settings.size()), better, fmt::format("{:+.1f} %", 100 * regret.mean),
                          fmt::format("{:.1f} %", 100 * regret.losses), fmt::format("{:+.1f} %", 100 * regret.worst),
                          regret.where, fmt::format("{:.0f}", worse)});
    regrets[model_names[as_it_is]] = {
        {"mean", regret.mean}, {"losses", regret.losses}, {"worst", regret.worst}, {"worst_setting", regret.where}};
  }
  // Of intervals that hold 95 %, one in forty lies above 0 by chance where nothing differs.
  result.claims.push_back({fmt::format("few rows, {}: settings significantly worse than scratch", part),
                           std::max(1.0, std::ceil(0.025 * static_cast<double>(settings.size()))), worse, 0,
                           Relation::at_most});
  json[part] = {{"settings", settings.size()}, {"significantly_worse_than_scratch", worse}, {"regret", regrets}};
}

std::vector<const Setting*> part_of(const std::vector<Setting>& settings, const std::string& name) {
  std::vector<const Setting*> part;
  for (const Setting& setting : settings) {
    if (setting.part == name) part.push_back(&setting);
  }
  return part;
}

TextTable table_of(const std::vector<Setting>& settings) {
  TextTable table{.title = "Few rows: settings",
                  .header = {"setting", "part", "scratch", "source as it is", "with its intercept", "advisor", "regret",
                             "minus scratch"},
                  .left = {1}};
  for (const Setting& setting : settings) {
    const transfer::Interval difference = setting.over_scratch();
    table.rows.push_back(
        {setting.name(), setting.part, fmt::format("{:.3f}", setting.risk(scratch)),
         fmt::format("{:.3f}", setting.risk(shifted)), fmt::format("{:.3f}", setting.risk(whole)),
         fmt::format("{:.3f}", setting.risk(advisor)), fmt::format("{:+.1f} %", 100 * setting.regret(shifted)),
         fmt::format("{:+.3f} ({:+.3f} to {:+.3f})", difference.mean, difference.low, difference.high)});
  }
  return table;
}

Figure figure_of(const std::vector<Setting>& settings) {
  Figure figure{.name = "few-rows",
                .title = "The advisor with 12 to 30 rows",
                .caption =
                    "Every setting: the advisor's mean test risk and that of the source as it is, both over that "
                    "of scratch. Below the lines y = 1 and y = x it is better than both.",
                .x_label = "source as it is over scratch",
                .y_label = "advisor over scratch",
                .logarithmic_x = true,
                .logarithmic_y = true};
  Series better = Series::line("the better");
  for (const char* part : part_names) figure.series.push_back(Series::points(part));
  for (const Setting& setting : settings) {
    const double source = setting.risk(shifted) / setting.risk(scratch);
    for (Series& series : figure.series) {
      if (series.name == setting.part) series.add(source, setting.risk(advisor) / setting.risk(scratch));
    }
    better.x.push_back(source);
  }
  std::sort(better.x.begin(), better.x.end());
  for (const double source : better.x) better.y.push_back(std::min(1.0, source));
  figure.series.push_back(better);
  return figure;
}

}  // namespace

void few_rows(Reproduction& result, const RunOptions& options, const FewRows& wanted) {
  const std::vector<std::string>& families = wanted.families;
  std::vector<Setting> settings;
  for (std::size_t i = 0; i < families.size(); ++i) {
    RunOptions inner = options;
    inner.progress = [&](double fraction, const std::string& text) {
      options.progress((static_cast<double>(i) + fraction) / static_cast<double>(families.size()), text);
    };
    std::vector<Setting> own = run_family(families[i], wanted.data, wanted.draws, inner);
    std::move(own.begin(), own.end(), std::back_inserter(settings));
  }
  TextTable summary{.title = "Few rows",
                    .header = {"part", "settings", "the better of scratch and", "mean regret", "losses alone", "worst",
                               "in", "significantly worse than scratch"},
                    .left = {2, 6}};
  Json parts = Json::object();
  for (const char* part : part_names) judge_part(part, part_of(settings, part), result, summary, parts);
  result.protocol.emplace_back("few rows", fmt::format("{} draws of 12 to 30 target rows; risks are mean squared "
                                                       "errors on up to 2000 other rows",
                                                       wanted.draws));
  result.figures.push_back(figure_of(settings));
  result.tables.push_back(summary);
  result.tables.push_back(table_of(settings));
  Json list = Json::array();
  for (const Setting& setting : settings) {
    Json risks = Json::object();
    for (std::size_t m = 0; m < model_count; ++m) risks[model_names[m]] = setting.risk(static_cast<Model>(m));
    list.push_back({{"family", setting.family},
                    {"source", setting.source},
                    {"target", setting.target},
                    {"rows", setting.rows},
                    {"part", setting.part},
                    {"risk", risks},
                    {"regret", setting.regret(shifted)}});
  }
  result.facts["few_rows"] = {{"draws", wanted.draws}, {"parts", parts}, {"settings", list}};
}

}  // namespace rtl::studies::linear_transfer
