// Single settings: risks against formulas, and the decision whether to transfer.
#include <fmt/core.h>

#include <cmath>

#include "rtl/theory/isotropic.hpp"
#include "rtl/theory/simulation.hpp"
#include "rtl/theory/transfer_risk.hpp"
#include "studies/draws.hpp"
#include "studies/l2sp/parts.hpp"
#include "studies/l2sp/problem.hpp"

namespace rtl::studies::l2sp {

namespace {

using theory::Covariance;
using theory::RidgeSetting;

struct Setting {
  std::string name;
  Covariance source_inputs;
  Covariance target_inputs;
  RidgeSetting source;
  RidgeSetting target;
  double alignment;
  double apart;  // norm of the part of w1 orthogonal to w0
  int draws;
};

/// A covariance with this power law and random eigenvectors: those of a Gaussian sample's covariance.
Covariance rotated(std::int64_t p, double exponent, std::uint64_t seed) {
  const auto sample = theory::gaussian_inputs(Covariance::isotropic(p), p, seed, 200).to_vector<double>();
  std::vector<double> products(static_cast<std::size_t>(p * p), 0.0);
  for (std::int64_t i = 0; i < p; ++i) {
    for (std::int64_t j = 0; j < p; ++j) {
      products[i * p + j] = (sample[i * p + j] + sample[j * p + i]) / 2;
    }
  }
  for (std::int64_t i = 0; i < p; ++i) products[i * p + i] += 10 * std::sqrt(static_cast<double>(p));
  const Covariance axes = Covariance::dense(Tensor::from(products, {p, p}, Device::cpu()));
  const Covariance law = Covariance::power_law(p, exponent);
  const auto spectrum = law.eigenvalues();
  std::vector<double> values(static_cast<std::size_t>(p * p), 0.0);
  for (std::int64_t k = 0; k < p; ++k) {
    const double* axis = axes.eigenvectors().data() + k * p;
    for (std::int64_t i = 0; i < p; ++i) {
      for (std::int64_t j = 0; j < p; ++j)
        values[i * p + j] += spectrum[static_cast<std::size_t>(k)] * axis[i] * axis[j];
    }
  }
  for (std::int64_t i = 0; i < p; ++i) {
    for (std::int64_t j = 0; j < i; ++j) values[i * p + j] = values[j * p + i];
  }
  return Covariance::dense(Tensor::from(values, {p, p}, Device::cpu()));
}

void compare(Reproduction& result, const Setting& setting, std::uint64_t seed,
             const std::function<void(double)>& progress) {
  const std::int64_t p = setting.source_inputs.dimension();
  const auto w0 = with_norm(theory::standard_normals(seed, 300, p), 1);
  auto apart = theory::standard_normals(seed, 301, p);
  double along = 0;
  for (std::size_t i = 0; i < w0.size(); ++i) along += w0[i] * apart[i];
  for (std::size_t i = 0; i < w0.size(); ++i) apart[i] -= along * w0[i];
  apart = with_norm(std::move(apart), setting.apart);
  auto w1 = apart;
  for (std::size_t i = 0; i < w0.size(); ++i) w1[i] += setting.alignment * w0[i];
  const theory::TransferSimulation simulation(setting.source_inputs, w0, setting.target_inputs, apart, setting.source,
                                              setting.target, {setting.source.penalty});
  std::vector<double> source, transfer, scratch;
  const auto draws = simulate_draws(
      setting.draws, [&](std::int64_t i) { return simulation.draw(seed * 1'000'000 + static_cast<std::uint64_t>(i)); },
      progress);
  for (const theory::TransferDraw& draw : draws) {
    source.push_back(draw.source_risk(0));
    transfer.push_back(draw.transfer_risk(0, setting.alignment));
    scratch.push_back(draw.scratch_risk(setting.alignment));
  }
  const auto formula =
      theory::LinearTransfer(setting.source_inputs, w0, setting.target_inputs, w1).risk(setting.source, setting.target);
  claim_average(result, setting.name + ", source risk", source, formula.source);
  claim_average(result, setting.name + ", transfer risk", transfer, formula.transfer);
  claim_average(result, setting.name + ", scratch risk", scratch, formula.scratch);
}

/// The settings: small ones, and with `full` those with 1,000 dimensions too.
std::vector<Setting> settings_of(bool full, std::uint64_t seed) {
  const auto white = [](std::int64_t p) { return Covariance::isotropic(p); };
  const auto power = [](std::int64_t p, double exponent) { return Covariance::power_law(p, exponent); };
  const RidgeSetting scarce = {50, .01, .1};
  std::vector<Setting> settings = {
      {"isotropic p 500, n0 250, n1 50, rho 0.5, tau0 0.1", white(500), white(500), {250, 1, .1}, scarce, .5, 0, 120},
      {"isotropic p 500, n0 250, n1 50, rho 0.5, tau0 10", white(500), white(500), {250, 1, 10}, scarce, .5, 0, 60},
      {"isotropic p 200, n0 100, n1 50, rho 1.3, tau0 2", white(200), white(200), {100, 1, 2}, scarce, 1.3, 0, 300}};
  const auto add = [&](const std::string& name, const Covariance& source_inputs, const Covariance& target_inputs,
                       const RidgeSetting& source, const RidgeSetting& target, double apart, int draws) {
    settings.push_back({name, source_inputs, target_inputs, source, target, .7, apart, draws});
  };
  add("power laws 0.5 and 1.5, p 400", power(400, .5), power(400, 1.5), {600, .5, .5}, {150, .1, .05}, .5, 60);
  add("rotated power laws, p 240", rotated(240, 1, seed), rotated(240, 1, seed + 1), {360, .5, .5}, {120, .1, .05}, .5,
      100);
  if (!full) return settings;
  add("isotropic p 1000, n0 2000, n1 500, rho 0.7", white(1000), white(1000), {2000, 1, .5}, {500, .25, .3}, .3, 24);
  add("isotropic p 1000, n0 500, n1 300, rho 0.7", white(1000), white(1000), {500, .5, 1}, {300, .1, .2}, .3, 24);
  return settings;
}

/// The formulas' values as they were computed independently, to the digits that are known.
void claim_tabulated(Reproduction& result) {
  const auto risk = [](double ratio0, double ratio1, double alignment, double target_norm, double noise0, double noise1,
                       double tau0, double tau1) {
    return theory::isotropic_transfer(theory::isotropic_ridge(ratio0, noise0, tau0),
                                      theory::isotropic_target(ratio1, tau1), alignment, target_norm, noise1);
  };
  const double expected[] = {.843040, .226088, .181909};
  const double tau0[] = {.1, 2, 10};
  for (int i = 0; i < 3; ++i) {
    result.claims.push_back({fmt::format("formula: transfer risk, gamma0 2, gamma1 10, rho 0.5, tau0 {}", tau0[i]),
                             expected[i], risk(2, 10, .5, .25, 1, .01, tau0[i], .1).transfer, 5e-7});
  }
  result.claims.push_back({"formula: scratch risk, gamma1 10, rho 0.5 (equals transfer at tauS*)", .226088,
                           risk(2, 10, .5, .25, 1, .01, 2, .1).scratch, 5e-7});
  result.claims.push_back({"formula: transfer risk, gamma0 0.5, gamma1 2, rho 0.7", .300657,
                           risk(.5, 2, .7, .58, 1, .25, .5, .3).transfer, 5e-7});
}

/// Two strengths of inputs; the tasks agree in the weak directions and hardly in the strong ones.
struct FlipProblem {
  static constexpr std::int64_t p = 200, strong = 20;
  std::vector<double> variances, w0, apart;

  FlipProblem() {
    for (std::int64_t i = 0; i < p; ++i) {
      const bool is_strong = i < strong;
      variances.push_back(is_strong ? 5.5 : .5);
      w0.push_back(std::sqrt(.5 / static_cast<double>(is_strong ? strong : p - strong)));
      apart.push_back(is_strong ? -.8 * w0.back() : 0);
    }
  }
  std::vector<double> w1() const {
    auto result = apart;
    for (std::size_t i = 0; i < w0.size(); ++i) result[i] += w0[i];
    return result;
  }
};
constexpr RidgeSetting flip_source = {400, .5, .25};

double formula_gain(const FlipProblem& problem, const Covariance& inputs, const RidgeSetting& target) {
  const auto risk = theory::LinearTransfer(inputs, problem.w0, inputs, problem.w1()).risk(flip_source, target);
  return risk.scratch - risk.transfer;
}

/// Mean of draws, with its standard error.
theory::Average simulated_gain(const FlipProblem& problem, const Covariance& inputs, const RidgeSetting& target,
                               int draws, const RunOptions& options) {
  const theory::TransferSimulation simulation(inputs, problem.w0, inputs, problem.apart, flip_source, target,
                                              {flip_source.penalty});
  const auto gains = simulate_draws(
      draws,
      [&](std::int64_t i) {
        const auto draw = simulation.draw(options.seed * 1'000'000 + static_cast<std::uint64_t>(i));
        return draw.scratch_risk(1) - draw.transfer_risk(0, 1);
      },
      [](double) {});
  return theory::average(gains);
}

Series simulated_gains(const FlipProblem& problem, const Covariance& inputs, double samples, const std::string& name,
                       const RunOptions& options) {
  Series points = Series::points(name);
  for (const double penalty : {.01, .1, .5, 3.0}) {
    const auto gain = simulated_gain(problem, inputs, {samples, .05, penalty}, 60, options);
    points.add(penalty, gain);
  }
  return points;
}

/// Gains over the target's penalty for three numbers of samples; with isotropic inputs they keep one sign.
void add_decision_figure(Reproduction& result, const FlipProblem& problem, const Covariance& two_levels,
                         const RunOptions& options) {
  const Covariance white = Covariance::isotropic(FlipProblem::p);
  Figure figure{.name = "decision",
                .title = "Should I transfer? It can depend on the target's fit alone",
                .caption =
                    "Gain over scratch, the source being the same. Two levels of inputs: the curves cross zero. "
                    "Isotropic inputs, same tasks: they do not. Lines: the formula. Points: means of draws, with two "
                    "standard errors.",
                .x_label = "target penalty tau1",
                .y_label = "risk of scratch minus risk of transfer",
                .logarithmic_x = true};
  double least = 1e300, most = -1e300;
  for (const double samples : {50.0, 100.0, 400.0}) {
    Series anisotropic = Series::line(fmt::format("two levels, n1 {}", samples)),
           isotropic = Series::line(fmt::format("isotropic, n1 {}", samples));
    for (const double penalty : logarithmic_steps(.003, 10, 1.15)) {
      const RidgeSetting target = {samples, .05, penalty};
      anisotropic.add(penalty, formula_gain(problem, two_levels, target));
      isotropic.add(penalty, formula_gain(problem, white, target));
      least = std::min(least, isotropic.y.back());
      most = std::max(most, isotropic.y.back());
    }
    for (const auto& [line, inputs] : {std::pair{&anisotropic, &two_levels}, std::pair{&isotropic, &white}}) {
      figure.series.push_back(*line);
      figure.series.push_back(simulated_gains(problem, *inputs, samples, line->name + ": draws", options));
    }
  }
  result.claims.push_back({"decision, isotropic inputs: product of the extreme gains over all targets (one sign)", 0,
                           least * most, 0, Relation::at_least});
  result.figures.push_back(figure);
}

}  // namespace

void risks(Reproduction& result, const RunOptions& options) {
  const std::vector<Setting> settings = settings_of(options.full(), options.seed);
  const auto count = static_cast<double>(settings.size());
  double done = 0;
  for (const Setting& setting : settings) {
    compare(result, setting, options.seed,
            [&](double fraction) { options.progress((done + fraction) / count, setting.name); });
    ++done;
  }
  claim_tabulated(result);
}

void decision(Reproduction& result, const RunOptions& options) {
  const FlipProblem problem;
  const Covariance two_levels = Covariance::diagonal(problem.variances);
  const RidgeSetting scarce = {50, .05, .5}, ample = {100, .05, .01};
  result.claims.push_back({"decision, two levels of inputs, n1 100, tau1 0.01: the formula's gain is positive", 0,
                           formula_gain(problem, two_levels, ample), 0, Relation::at_least});
  result.claims.push_back({"decision, two levels of inputs, n1 50, tau1 0.5: the formula's gain is negative", 0,
                           formula_gain(problem, two_levels, scarce), 0, Relation::at_most});
  for (const RidgeSetting& target : {ample, scarce}) {
    const auto gain = simulated_gain(problem, two_levels, target, 300, options);
    const bool positive = formula_gain(problem, two_levels, target) > 0;
    options.progress(.2, "decision");
    result.claims.push_back({fmt::format("decision, two levels of inputs, n1 {}, tau1 {}: z of the simulated gain",
                                         target.samples, target.penalty),
                             positive ? 4.0 : -4.0, gain.mean / gain.error, 0,
                             positive ? Relation::at_least : Relation::at_most});
  }
  add_decision_figure(result, problem, two_levels, options);
}

}  // namespace rtl::studies::l2sp
