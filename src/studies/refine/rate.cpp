// The rates of the theory: risk by samples and by how much the source leaves.
#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "rtl/core/random.hpp"
#include "studies/draws.hpp"
#include "studies/refine/parts.hpp"
#include "studies/refine/sieve.hpp"

namespace rtl::studies::refine {
namespace {

using Features = SieveProblem::Features;

struct Setting {
  int dimensions;
  double smoothness;
  std::string name() const { return fmt::format("d = {}, beta = {:g}", dimensions, smoothness); }
};

/// What the slope of a straight line through points at x, by least squares, weighs each of them by.
std::vector<double> slope_weights(const std::vector<double>& x) {
  const double mean = std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
  double squares = 0;
  for (const double at : x) squares += (at - mean) * (at - mean);
  std::vector<double> weights;
  for (const double at : x) weights.push_back((at - mean) / squares);
  return weights;
}

double slope(const std::vector<double>& x, const std::vector<double>& y) {
  const std::vector<double> weights = slope_weights(x);
  return std::inner_product(weights.begin(), weights.end(), y.begin(), 0.0);
}

/// Of a slope, by those of independent points.
double slope_error(const std::vector<double>& x, const std::vector<double>& errors) {
  const std::vector<double> weights = slope_weights(x);
  double squares = 0;
  for (std::size_t i = 0; i < x.size(); ++i) squares += weights[i] * errors[i] * weights[i] * errors[i];
  return std::sqrt(squares);
}

class RateStudy {
 public:
  RateStudy(const Setting& setting, const RunOptions& options, Reproduction& result)
      : setting_(setting),
        options_(options),
        result_(result),
        problem_(setting.dimensions, setting.smoothness, options.seed),
        draws_((options.full() ? 20 : 16) * (setting.dimensions == 1 ? 4 : 1)),
        largest_(options.full() ? 8192 : 2048) {}

  void run(TextTable& table) {
    by_samples(table);
    by_rho(table);
    useless();
  }

 private:
  theory::Average risk(Features features, double rho, std::int64_t columns, std::int64_t samples) const {
    options_.check_stop();
    return theory::average(simulate_draws(
        draws_,
        [&](std::int64_t i) {
          return problem_.excess_risk(features, rho, columns, samples,
                                      mix(options_.seed, static_cast<std::uint64_t>(i)));
        },
        [](double) {}));
  }

  struct Curve {
    std::string name;
    Features features;
    double rho;
    double tuned;  ///< the rho that the sieve is chosen by; 0: none
  };

  /// What a curve comes to: at the largest number of samples, and its slope.
  struct Found {
    theory::Average last;
    double slope = 0, error = 0, formula_slope = 0;
  };

  /// Adds the curve, simulated and by formula, to the figure.
  Found follow(const Curve& curve, Figure& figure) {
    Series line = Series::line(curve.name), points = Series::points(curve.name + ": simulated");
    Found found;
    std::vector<double> x, y, formula, errors;
    for (std::int64_t samples = 64; samples <= largest_; samples *= 2) {
      const std::int64_t columns = curve.tuned > 0 ? problem_.columns(curve.tuned, samples) : 0;
      found.last = risk(curve.features, curve.rho, columns, samples);
      line.add(static_cast<double>(samples), problem_.predicted_risk(curve.features, curve.rho, columns, samples));
      points.add(static_cast<double>(samples), found.last);
      if (samples < 256) continue;  // the variance of least squares is not of first order there
      x.push_back(std::log(static_cast<double>(samples)));
      y.push_back(std::log(found.last.mean));
      errors.push_back(found.last.error / found.last.mean);
      formula.push_back(std::log(line.y.back()));
    }
    found.slope = slope(x, y);
    found.error = slope_error(x, errors);
    found.formula_slope = slope(x, formula);
    claim_formula(curve.name, line.y.back(), found.last);
    figure.series.push_back(std::move(line));
    figure.series.push_back(std::move(points));
    return found;
  }

  /// Scratch, the probe and REFINE with sources that leave much or nothing.
  void by_samples(TextTable& table) {
    Figure figure{.name = fmt::format("rate_d{}_beta{:g}", setting_.dimensions, setting_.smoothness),
                  .title = "Excess risk by samples: " + setting_.name(),
                  .caption =
                      "Lines: variance and squared bias to first order. Points: means over draws with two "
                      "standard errors.",
                  .x_label = "samples",
                  .y_label = "excess risk",
                  .logarithmic_x = true,
                  .logarithmic_y = true};
    const auto claim_slope = [&](const Curve& curve, double expected) {
      const Found found = follow(curve, figure);
      result_.claims.push_back(
          {fmt::format("{}: {}, slope of log risk by log samples from 256 on: 0.1 and two standard errors",
                       setting_.name(), curve.name),
           expected, found.slope, .1 + 2 * found.error, Relation::within});
      table.rows.push_back({setting_.name(), curve.name, fmt::format("{:.3f} ± {:.3f}", found.slope, found.error),
                            fmt::format("{:.3f}", found.formula_slope), fmt::format("{:.3f}", expected)});
    };
    claim_slope({"scratch, rho = 1", Features::none, 1, 1}, problem_.rate());
    claim_slope({"REFINE, rho = 0.01", Features::useful, .01, .01}, -1);
    const theory::Average scratch = follow({"scratch, rho = 0.3", Features::none, .3, 1}, figure).last,
                          probe = follow({"probe, rho = 0.3", Features::useful, .3, 0}, figure).last,
                          refine = follow({"REFINE, rho = 0.3", Features::useful, .3, .3}, figure).last;
    result_.figures.push_back(std::move(figure));
    result_.claims.push_back({fmt::format("{}: risk of REFINE with rho = 0.3, less p s^2 / n, by scratch's, {} samples",
                                          setting_.name(), largest_),
                              1, (refine.mean - feature_variance()) / scratch.mean, 0, Relation::at_most});
    result_.claims.push_back(
        {fmt::format("{}: risk of REFINE with rho = 0.3 by the probe's, {} samples", setting_.name(), largest_), 1,
         refine.mean / probe.mean, 0, Relation::at_most});
  }

  void claim_formula(const std::string& name, double formula, const theory::Average& mean) {
    result_.claims.push_back(
        {fmt::format("{}: {}, risk by the first-order formula, {} samples: 10 % and four standard errors",
                     setting_.name(), name, largest_),
         formula, mean.mean, .1 * formula + 4 * mean.error});
  }

  /// p s^2 / n of the largest number of samples.
  double feature_variance() const {
    return SieveProblem::noise_deviation * SieveProblem::noise_deviation * SieveProblem::feature_count /
           static_cast<double>(largest_);
  }

  /// The nonparametric part, which is what is left without the variance of the features.
  void by_rho(TextTable& table) {
    std::vector<double> x, y;
    for (const double rho : {1.0, .7, .5, .35, .25}) {
      const theory::Average mean = risk(Features::useful, rho, problem_.columns(rho, largest_), largest_);
      x.push_back(std::log(rho));
      y.push_back(std::log(std::max(mean.mean - feature_variance(), 1e-12)));
    }
    const double found = slope(x, y);
    table.rows.push_back({setting_.name(), "REFINE, nonparametric risk by rho", fmt::format("{:.3f}", found), "",
                          fmt::format("{:.3f}", problem_.rho_exponent())});
    result_.claims.push_back({fmt::format("{}: slope of the log of REFINE's nonparametric risk by log rho, {} samples",
                                          setting_.name(), largest_),
                              problem_.rho_exponent(), found, .15, Relation::within});
  }

  /// Features that are independent of x cost p columns' variance, and no more.
  void useless() {
    const std::int64_t samples = 512, columns = problem_.columns(1, samples);
    const std::vector<double> costs = simulate_draws(
        4 * draws_,
        [&](std::int64_t i) {
          const std::uint64_t seed = mix(options_.seed, static_cast<std::uint64_t>(i));
          return problem_.excess_risk(Features::independent, 1, columns, samples, seed) -
                 problem_.excess_risk(Features::none, 1, columns, samples, seed);
        },
        [](double) {});
    const double formula = problem_.predicted_risk(Features::independent, 1, columns, samples) -
                           problem_.predicted_risk(Features::none, 1, columns, samples);
    const theory::Average mean = theory::average(costs);
    result_.claims.push_back(
        {fmt::format("{}: features of no use, what REFINE loses to scratch, by p s^2 / n, {} samples: 10 % and four "
                     "standard errors",
                     setting_.name(), samples),
         1, mean.mean / formula, .1 + 4 * mean.error / formula});
  }

  Setting setting_;
  const RunOptions& options_;
  Reproduction& result_;
  SieveProblem problem_;
  std::int64_t draws_, largest_;
};

}  // namespace

void rate(Reproduction& result, const RunOptions& options, const Runs& /*runs*/) {
  result.protocol.emplace_back(
      "rate",
      "X uniform on [0, 1]^d, noise 0.5; f* = g + rho r, g and r with coefficients of size |j|^-(beta + d/2) of every "
      "other cosine; four features, g and three others; least squares on them and the first 1.5 (rho^2 n)^(d / (2 beta "
      "+ d)) cosines");
  TextTable table{.title = "Slopes of the log risk",
                  .header = {"setting", "estimate", "simulated", "first-order formula", "theory"},
                  .left = {1}};
  const std::vector<Setting> settings = {{1, 1}, {1, 2}, {2, 1}, {2, 2}};
  for (std::size_t i = 0; i < settings.size(); ++i) {
    RateStudy(settings[i], options, result).run(table);
    options.progress(static_cast<double>(i + 1) / static_cast<double>(settings.size()), "rate");
  }
  result.tables.push_back(std::move(table));
}

}  // namespace rtl::studies::refine
