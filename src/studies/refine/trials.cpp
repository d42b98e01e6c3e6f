#include "studies/refine/trials.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "rtl/io/hash.hpp"
#include "studies/draws.hpp"

namespace rtl::studies::refine {
namespace {

/// Of the 31 settings of the paper's code, REFINE minus scratch.
constexpr double worst_published = 2.18;

std::string file_name(const std::string& part, const std::string& piece, std::uint64_t seed) {
  std::string name = fmt::format("refine_{}_{}_{}.json", part, piece, seed);
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0 && c != '_' && c != '.'; }, '-');
  return name;
}

/// What is kept of this piece and seed, or what it gives now.
Scores kept_or_run(const std::string& name, const Piece& piece, std::uint64_t seed, const Store::Facts& facts,
                   const Store& store) {
  return store.find_or_run(
      name, facts, [](const Json& found) { return found.at("scores").get<Scores>(); },
      [](const Scores& scores) -> Json {
        return {{"scores", scores}};
      },
      [&] { return piece.run(seed); });
}

}  // namespace

Store Runs::store(const RunOptions& options) const {
  return {state,  DeviceKind::cpu, 1, [](const std::string& name) { return name.starts_with("refine_"); },
          "runs", options};
}

std::vector<double> Trials::points(const std::string& name) const {
  std::vector<double> values;
  for (const Scores& seed : seeds_) values.push_back(100 * seed.at(name));
  return values;
}

transfer::Interval Trials::difference(const std::string& name, const std::string& other) const {
  std::vector<double> values = points(name);
  const std::vector<double> others = points(other);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] -= others[i];
  return transfer::t_interval(values, .95, -100, 100);
}

Trials run_trials(const std::string& part, const std::vector<Piece>& pieces, const Store::Facts& facts,
                  const Runs& runs, const RunOptions& options) {
  const int seeds = runs.seeds_for(options);
  const auto per_seed = static_cast<std::int64_t>(pieces.size());
  const Store store = runs.store(options);
  Store::Facts all = facts;
  all.push_back({"seed of the study", std::to_string(options.seed)});
  const std::vector<Scores> found = simulate_draws(
      seeds * per_seed,
      [&](std::int64_t i) {
        options.check_stop();
        const Piece& piece = pieces[static_cast<std::size_t>(i % per_seed)];
        const std::uint64_t seed = static_cast<std::uint64_t>(i / per_seed) + 1;
        return kept_or_run(file_name(part, piece.name, seed), piece, options.seed * 1'000 + seed, all, store);
      },
      [&](double fraction) { options.progress(fraction, part); }, 6);
  std::vector<Scores> merged(static_cast<std::size_t>(seeds));
  for (std::size_t i = 0; i < found.size(); ++i) {
    Scores part_of_seed = found[i];
    merged[i / pieces.size()].merge(part_of_seed);
  }
  return Trials(std::move(merged));
}

void add_scores(Scores& scores, const std::string& prefix, const std::vector<std::string>& labels,
                const std::vector<transfer::FrozenSource>& sources, const Target& target, bool with_f1) {
  transfer::FeatureCache cache;
  transfer::StrategyOptions strategy = target.strategy;
  if (strategy.cache == nullptr) strategy.cache = &cache;
  for (const std::string& label : labels) {
    double accuracy = 1.0 / static_cast<double>(target.test.classes), f1 = 0;
    try {
      const bool alone = label.starts_with("scratch");
      const transfer::Fitted fitted = transfer::fit(label, alone ? std::vector<transfer::FrozenSource>() : sources,
                                                    target.train, target.training, strategy);
      const transfer::Scores found = transfer::evaluate(fitted, target.test, strategy.cache);
      accuracy = found.accuracy;
      f1 = found.f1_macro;
    } catch (const transfer::TrainingDiverged&) {
    }
    scores[prefix + label] = accuracy;
    if (with_f1) scores[prefix + label + ", F1"] = f1;
  }
}

std::string text(const transfer::Interval& interval) {
  return fmt::format("{:+.2f} ({:+.2f} to {:+.2f})", interval.mean, interval.low, interval.high);
}

TextTable table_of(const std::string& title, const Trials& trials, const std::vector<Row>& rows,
                   const std::string& quantity) {
  TextTable table{.title = title,
                  .header = {"setting", "strategy", quantity, "minus scratch", "verdict", "published", "minus scratch"},
                  .left = {1, 4}};
  for (const Row& row : rows) {
    const transfer::Summary summary = trials.summary(row.score);
    std::vector<std::string> cells = {row.setting, row.strategy,
                                      fmt::format("{:.2f} ± {:.2f}", summary.mean, summary.std)};
    if (row.score == row.scratch) {
      cells.insert(cells.end(), {"", ""});
    } else {
      const transfer::Interval difference = trials.difference(row.score, row.scratch);
      cells.insert(cells.end(), {text(difference), transfer::to_string(transfer::judge(difference))});
    }
    const bool known = row.published.has_value();
    cells.push_back(known ? fmt::format("{:.2f} ± {:.2f}", row.published->mean, row.published->deviation) : "");
    cells.push_back(known && row.published_scratch && row.score != row.scratch
                        ? fmt::format("{:+.2f}", row.published->mean - row.published_scratch->mean)
                        : "");
    table.rows.push_back(std::move(cells));
  }
  return table;
}

void claim_above(Reproduction& result, const std::string& name, const transfer::Interval& difference) {
  result.claims.push_back(
      {name + ": lower limit of the 95 % interval, points", 0, difference.low, 0, Relation::at_least});
}

void claim_no_worse(Reproduction& result, const std::string& name, const transfer::Interval& difference) {
  result.claims.push_back(
      {name + ": mean difference, points", 0, difference.mean, worst_published, Relation::at_least});
}

Json to_json(const Trials& trials) { return {{"seeds", trials.seeds()}}; }

}  // namespace rtl::studies::refine
