// Means over many draws against the formulas, every draw with its own w0.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "rtl/theory/isotropic.hpp"
#include "rtl/theory/simulation.hpp"
#include "rtl/theory/source_penalty.hpp"
#include "rtl/theory/transfer_risk.hpp"
#include "solvers/find_minimum.hpp"
#include "studies/draws.hpp"
#include "studies/l2sp/parts.hpp"
#include "studies/l2sp/problem.hpp"

namespace rtl::studies::l2sp {

namespace {

constexpr std::int64_t dimension = 500;
constexpr theory::RidgeSetting target = {50, .01, .1};

struct Setting {
  std::string name;
  double source_samples;
  double exponent;
};

/// What the formulas say, the direction of w0 being random.
class Formula {
 public:
  explicit Formula(const Setting& setting)
      : setting_(setting), inputs_(theory::Covariance::power_law(dimension, setting.exponent)) {}

  /// The centre is scale * w0_hat: what a source with scale * w0 and scale^2 times the noise would give.
  theory::TransferRisk risk(double alignment, double penalty, double scale = 1) const {
    std::vector<double> w0(dimension, scale / std::sqrt(static_cast<double>(dimension)));
    std::vector<double> w1(dimension, alignment / std::sqrt(static_cast<double>(dimension)));
    return theory::LinearTransfer(inputs_, w0, inputs_, w1)
        .risk({setting_.source_samples, scale * scale, penalty}, target);
  }
  double source_penalty() const { return static_cast<double>(dimension) / setting_.source_samples; }
  double transfer_penalty(double alignment) const {
    if (setting_.exponent == 0) {
      return theory::transfer_optimal_penalty(dimension / setting_.source_samples, 1, alignment).penalty;
    }
    const auto risk_at = [&](double logarithm) { return risk(alignment, std::exp(logarithm)).transfer; };
    return std::exp(solvers::find_minimum(risk_at, std::log(1e-3), std::log(1e3)));
  }
  const theory::Covariance& inputs() const { return inputs_; }

 private:
  Setting setting_;
  theory::Covariance inputs_;
};

/// Draws at the published grid, then tauS*, then tau0* of every alignment.
struct Draws {
  std::vector<double> grid;
  std::vector<double> transfer_penalties;
  std::vector<theory::TransferDraw> draws;

  std::int64_t source_index() const { return static_cast<std::int64_t>(grid.size()); }
  std::int64_t transfer_index(std::size_t alignment) const {
    return source_index() + 1 + static_cast<std::int64_t>(alignment);
  }
  template <typename Value>
  theory::Average mean(const Value& value) const {
    std::vector<double> values;
    for (const auto& draw : draws) values.push_back(value(draw));
    return theory::average(values);
  }
};

Draws simulate(const Setting& setting, const Formula& formula, int count, std::uint64_t seed,
               const std::function<void(double)>& progress) {
  Draws result;
  result.grid = penalties();
  auto all = result.grid;
  all.push_back(formula.source_penalty());
  for (const double rho : alignments()) {
    result.transfer_penalties.push_back(formula.transfer_penalty(rho));
    all.push_back(result.transfer_penalties.back());
  }
  const auto draw = [&](std::int64_t i) {
    const std::uint64_t number = seed * 1'000'000 + static_cast<std::uint64_t>(i);
    const auto w0 = with_norm(theory::standard_normals(number, 100, dimension), 1);
    const theory::TransferSimulation simulation(formula.inputs(), w0, formula.inputs(), std::vector<double>(dimension),
                                                {setting.source_samples, 1, 0}, target, all);
    return simulation.draw(number);
  };
  result.draws = simulate_draws(count, draw, progress);
  return result;
}

/// The minimum of the parabola through the lowest point of a curve over log(x) and its neighbours.
double interpolated_minimum(const std::vector<double>& x, const std::vector<double>& y) {
  std::size_t i = static_cast<std::size_t>(std::min_element(y.begin(), y.end()) - y.begin());
  i = std::clamp<std::size_t>(i, 1, y.size() - 2);
  const double step = std::log(x[i + 1] / x[i]), curvature = y[i + 1] - 2 * y[i] + y[i - 1];
  return x[i] * std::exp(step * (y[i - 1] - y[i + 1]) / (2 * curvature));
}

/// Mean of risk(draw, penalty) over draws begin .. end - 1, at the grid of penalties.
template <typename Risk>
std::vector<double> mean_over(const Draws& draws, std::size_t begin, std::size_t end, const Risk& risk) {
  std::vector<double> curve(draws.grid.size(), 0.0);
  for (std::size_t i = begin; i < end; ++i) {
    for (std::size_t l = 0; l < curve.size(); ++l) {
      curve[l] += risk(draws.draws[i], static_cast<std::int64_t>(l)) / static_cast<double>(end - begin);
    }
  }
  return curve;
}

std::vector<double> mean_curve(const Draws& draws, double alignment, std::size_t begin, std::size_t end) {
  return mean_over(draws, begin, end, [&](const theory::TransferDraw& draw, std::int64_t penalty) {
    return draw.transfer_risk(penalty, alignment);
  });
}

std::vector<double> mean_source_curve(const Draws& draws, std::size_t begin, std::size_t end) {
  return mean_over(draws, begin, end,
                   [](const theory::TransferDraw& draw, std::int64_t penalty) { return draw.source_risk(penalty); });
}

/// The penalty at the minimum of the mean transfer risk by that of the mean source risk of the same draws, whose errors
/// largely cancel, with a standard error from ten groups of draws.
theory::Average penalty_ratio(const Draws& draws, double alignment) {
  const auto ratio = [&](std::size_t begin, std::size_t end) {
    return interpolated_minimum(draws.grid, mean_curve(draws, alignment, begin, end)) /
           interpolated_minimum(draws.grid, mean_source_curve(draws, begin, end));
  };
  constexpr std::size_t groups = 10;
  std::vector<double> parts;
  for (std::size_t group = 0; group < groups; ++group) {
    parts.push_back(ratio(group * draws.draws.size() / groups, (group + 1) * draws.draws.size() / groups));
  }
  theory::Average result = theory::average(parts);
  result.mean = ratio(0, draws.draws.size());
  return result;
}

void claim_risk_curves(Reproduction& result, const Setting& setting, const Formula& formula, const Draws& draws) {
  for (const double rho : {.5, 1.0, 1.5}) {
    const auto curve = mean_curve(draws, rho, 0, draws.draws.size());
    double furthest = 0;
    for (std::size_t l = 0; l < curve.size(); ++l) {
      furthest = std::max(furthest, std::abs(curve[l] / formula.risk(rho, draws.grid[l]).transfer - 1));
    }
    result.claims.push_back(
        {fmt::format("{}, rho {:.2f}: mean transfer risk over all penalties, largest deviation from "
                     "the formula",
                     setting.name, rho),
         0, furthest, .01, Relation::at_most});
  }
}

void claim_ratios(Reproduction& result, const Setting& setting, const Formula& formula, const Draws& draws,
                  Figure& figure) {
  Series line = Series::line(setting.name), points = Series::points(setting.name + ": mean of draws");
  const auto rhos = alignments();
  for (std::size_t k = 0; k < rhos.size(); ++k) {
    const double expected = draws.transfer_penalties[k] / formula.source_penalty();
    const theory::Average measured = penalty_ratio(draws, rhos[k]);
    line.add(rhos[k], expected);
    points.add(rhos[k], measured);
    result.claims.push_back(
        {fmt::format("{}, rho {:.2f}: ratio of the best penalties of the mean curves, 1 %", setting.name, rhos[k]),
         expected, measured.mean, .01 * expected});
    if (std::abs(rhos[k] - 1) > .01) {
      result.claims.push_back(
          {fmt::format("{}, rho {:.2f}: reversal, the best penalty for transfer lies {} the source's", setting.name,
                       rhos[k], rhos[k] < 1 ? "above" : "below"),
           1, measured.mean, 0, rhos[k] < 1 ? Relation::at_least : Relation::at_most});
    }
  }
  figure.series.push_back(line);
  figure.series.push_back(points);
}

/// Risks of a draw with the three centres, at one alignment.
struct Centres {
  const Draws& draws;
  std::size_t index;  ///< of the alignment
  double alignment;

  double own(const theory::TransferDraw& draw) const { return draw.transfer_risk(draws.source_index(), alignment); }
  double best(const theory::TransferDraw& draw) const {
    return draw.transfer_risk(draws.transfer_index(index), alignment);
  }
  double scaled(const theory::TransferDraw& draw) const {
    return draw.transfer_risk(draws.source_index(), alignment, alignment);
  }
  double scratch(const theory::TransferDraw& draw) const { return draw.scratch_risk(alignment); }
};

void claim_centres(Reproduction& result, const Setting& setting, const Centres& centres) {
  using theory::TransferDraw;
  constexpr double rounding = 1e-9;  // at rho = 1 the two are the same but for it
  const auto lead =
      centres.draws.mean([&](const TransferDraw& draw) { return centres.best(draw) - centres.scaled(draw); });
  result.claims.push_back({fmt::format("{}, rho {:.2f}: the scaled centre is not worse than tau0*, two standard errors",
                                       setting.name, centres.alignment),
                           0, lead.mean, 2 * lead.error + rounding, Relation::at_least});
  if (centres.alignment != .5 || setting.exponent != 0) return;
  const auto even =
      centres.draws.mean([&](const TransferDraw& draw) { return centres.scratch(draw) - centres.own(draw); });
  result.claims.push_back({setting.name + ", rho 0.50: at tauS* transfer breaks even, three standard errors", 0,
                           even.mean, 3 * even.error});
}

/// Gains of the three centres over scratch, paired.
void claim_scaled(Reproduction& result, const Setting& setting, const Formula& formula, const Draws& draws) {
  Figure figure{
      .name = "scaled_" + std::to_string(result.figures.size()),
      .title = "What the centre is worth: " + setting.name,
      .caption =
          "Mean gain over scratch of the source model at its own best penalty, at the best one for the target, and "
          "scaled by rho. Lines: the formula. Points: means of the draws, with two standard errors.",
      .x_label = "alignment rho",
      .y_label = "risk of scratch minus risk of transfer"};
  struct Centre {
    const char* name;
    double (Centres::*risk)(const theory::TransferDraw& draw) const;
    Series line, points;
  };
  Centre all[] = {{"source-optimal", &Centres::own, {}, {}},
                  {"transfer-optimal", &Centres::best, {}, {}},
                  {"scaled", &Centres::scaled, {}, {}}};
  for (Centre& centre : all) {
    centre.line = Series::line(centre.name);
    centre.points = Series::points(std::string(centre.name) + ": draws");
  }
  const auto rhos = alignments();
  for (std::size_t k = 0; k < rhos.size(); ++k) {
    const double rho = rhos[k];
    const theory::TransferRisk formulas[] = {formula.risk(rho, formula.source_penalty()),
                                             formula.risk(rho, draws.transfer_penalties[k]),
                                             formula.risk(rho, formula.source_penalty(), rho)};
    const Centres centres{draws, k, rho};
    for (std::size_t i = 0; i < std::size(all); ++i) {
      const auto gain = draws.mean(
          [&](const theory::TransferDraw& draw) { return centres.scratch(draw) - (centres.*all[i].risk)(draw); });
      all[i].line.add(rho, formulas[i].scratch - formulas[i].transfer);
      all[i].points.add(rho, gain);
    }
    claim_centres(result, setting, centres);
  }
  for (const Centre& centre : all) figure.series.insert(figure.series.end(), {centre.line, centre.points});
  result.figures.push_back(figure);
}

Figure risk_figure(const Setting& setting, const Formula& formula, const Draws& draws) {
  Figure figure{.name = "risk_" + std::to_string(static_cast<int>(10 * setting.exponent)),
                .title = "Transfer risk by source penalty: " + setting.name,
                .caption = "Lines: the formula. Points: means of the draws, with two standard errors.",
                .x_label = "source penalty tau0",
                .y_label = "transfer risk",
                .logarithmic_x = true,
                .logarithmic_y = true};
  for (const double rho : {.5, 1.0, 1.5}) {
    const std::string name = fmt::format("rho {}", rho);
    Series line = Series::line(name), points = Series::points(name + ": draws");
    for (std::size_t l = 0; l < draws.grid.size(); ++l) {
      line.add(draws.grid[l], formula.risk(rho, draws.grid[l]).transfer);
      if (l % 4 != 0) continue;
      const auto mean = draws.mean(
          [&](const theory::TransferDraw& draw) { return draw.transfer_risk(static_cast<std::int64_t>(l), rho); });
      points.add(draws.grid[l], mean);
    }
    figure.series.push_back(line);
    figure.series.push_back(points);
  }
  return figure;
}

}  // namespace

double penalty_ratio_formula(double source_samples, double exponent, double alignment) {
  const Formula formula({"", source_samples, exponent});
  return formula.transfer_penalty(alignment) / formula.source_penalty();
}

void averaged_curves(Reproduction& result, const RunOptions& options) {
  const bool full = options.full();
  std::vector<Setting> settings = {{"isotropic, gamma 2", 250, 0}};
  if (full) {
    settings.push_back({"isotropic, gamma 5", 100, 0});
    settings.push_back({"isotropic, gamma 0.625", 800, 0});
    settings.push_back({"exponent 0.5", 250, .5});
    settings.push_back({"exponent 1", 250, 1});
  }
  const int count = full ? 4000 : 1000;
  Figure ratios{
      .name = "ratio_averaged",
      .title = "The ratio of the penalties, means of many draws",
      .caption = "Lines: the formula. Points: from the minima of the mean risk curves, with two standard errors.",
      .x_label = "alignment rho",
      .y_label = "tau0* / tauS*",
      .logarithmic_y = true};
  double done = 0;
  for (const Setting& setting : settings) {
    const Formula formula(setting);
    const Draws draws = simulate(setting, formula, count, options.seed, [&](double fraction) {
      options.progress((done + fraction) / static_cast<double>(settings.size()), setting.name);
    });
    ++done;
    claim_risk_curves(result, setting, formula, draws);
    claim_ratios(result, setting, formula, draws, ratios);
    claim_scaled(result, setting, formula, draws);
    if (setting.source_samples == 250) result.figures.push_back(risk_figure(setting, formula, draws));
  }
  result.figures.push_back(ratios);
}

}  // namespace rtl::studies::l2sp
