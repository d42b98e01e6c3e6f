// Upstream models that know nothing of the tasks, and inherited filters that stay as they are.
#include <fmt/format.h>

#include "studies/partial/parts.hpp"

namespace rtl::studies::partial {
namespace {

struct Control {
  std::string name;
  Upstream upstream;
  bool frozen;
};

}  // namespace

void controls(Reproduction& result, const RunOptions& options, const Runs& runs) {
  const Store store = runs.store(options);
  const std::vector<Control> kinds = {{"trained upstream", Upstream::task, false},
                                      {"trained upstream, inherited filters frozen", Upstream::task, true},
                                      {"untrained upstream", Upstream::nothing, false},
                                      {"upstream with random labels", Upstream::random_labels, false}};
  std::vector<Setting> settings;
  for (const double u : {.5, 1.5}) {
    for (const Control& kind : kinds) {
      settings.push_back({.u = u, .alphas = {.5, 1}, .upstream = kind.upstream, .frozen = kind.frozen});
    }
  }
  const std::vector<Outcome> outcomes = run_settings(settings, runs.seeds_for(options), store, options);
  TextTable table{.title = "Controls",
                  .header = {"inherited from", "||u||", "alpha", "scratch", "transfer", "difference", "95 % interval"}};
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    const Control& kind = kinds[i % kinds.size()];
    const Outcome& outcome = outcomes[i];
    for (std::size_t a = 0; a < outcome.setting.alphas.size(); ++a) {
      const transfer::Interval difference = outcome.difference(a);
      const std::string name = fmt::format("{}, ||u|| {}, alpha {}: transfer minus scratch", kind.name,
                                           outcome.setting.u, outcome.setting.alphas[a]);
      table.rows.push_back({kind.name, fmt::format("{}", outcome.setting.u),
                            fmt::format("{}", outcome.setting.alphas[a]), fmt::format("{:.3f}", outcome.mean_scratch()),
                            fmt::format("{:.3f}", outcome.mean_transfer(a)), fmt::format("{:+.3f}", difference.mean),
                            fmt::format("{:+.3f} to {:+.3f}", difference.low, difference.high)});
      if (kind.upstream == Upstream::nothing) {
        const double wide = transfer::t_interval(outcome.differences(a), .999).high - difference.mean;
        result.claims.push_back({name + ", within its 99.9 % interval", 0, difference.mean, wide});
      }
      // Inheriting all of it hurts so little that ten seeds do not tell.
      if (kind.upstream == Upstream::random_labels && (options.full() || outcome.setting.alphas[a] < 1)) {
        result.claims.push_back(
            {name + ", upper limit of its 95 % interval", 0, difference.high, 0, Relation::at_most});
      }
    }
  }
  result.tables.push_back(table);
}

}  // namespace rtl::studies::partial
