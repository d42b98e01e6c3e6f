// Whether the advisor, which sees nothing but the two samples, keeps up with the best data-driven rule of an
// independent simulation in Python, and never loses to scratch: mean target risks over draws of sources and targets.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "rtl/core/device.hpp"
#include "rtl/theory/simulation.hpp"
#include "rtl/transfer/advisor.hpp"
#include "studies/l2sp/parts.hpp"
#include "studies/l2sp/problem.hpp"

namespace rtl::studies::l2sp {
namespace {

struct Configuration {
  std::int64_t source_rows, features, target_rows;
  double source_noise, target_noise;  ///< variances
  double alignment, apart;            ///< w1 = alignment w0 + apart u, u a unit vector across w0
  double best;                        ///< mean risk of the table's best data-driven rule
};

constexpr Configuration configurations[] = {{250, 500, 50, 1, .01, .5, 0, .1847},
                                            {250, 500, 50, 1, .01, 1.3, 0, 1.2571},
                                            {600, 300, 60, .5, .25, .7, .5, .3654},
                                            {600, 300, 60, .5, .25, .3, .9, .7544},
                                            {600, 300, 200, .5, .25, .7, .5, .2697}};

double product(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t j = 0; j < a.size(); ++j) sum += a[j] * b[j];
  return sum;
}

/// One draw of everything: vectors of unit length, inputs and noise.
class Draw {
 public:
  Draw(const Configuration& setting, std::uint64_t seed, const Device& device)
      : features_(setting.features), seed_(seed), device_(device) {
    const std::vector<double> w0 = with_norm(normals(features_), 1);
    std::vector<double> across = normals(features_);
    const double overlap = product(w0, across);
    for (std::size_t j = 0; j < w0.size(); ++j) across[j] -= overlap * w0[j];
    across = with_norm(std::move(across), 1);
    for (std::size_t j = 0; j < w0.size(); ++j) w1_.push_back(setting.alignment * w0[j] + setting.apart * across[j]);
    sample(setting.source_rows, w0, setting.source_noise, source_x_, source_y_);
    sample(setting.target_rows, w1_, setting.target_noise, target_x_, target_y_);
    const solvers::L2SPSource source(device_, source_x_, source_y_, {.intercept = false});
    const transfer::TransferAdvisor advisor(device_, source, target_x_, target_y_, {.intercept = false});
    advised_ = risk(advisor.coefficients());
    const auto& candidates = advisor.report().candidates;
    const double penalty = source.prior().penalty;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const double candidate = risk(advisor.candidate_coefficients(i));
      const bool at_optimum = candidates[i].source_penalty == penalty;
      if (candidates[i].kind == transfer::CentreKind::scratch) scratch_ = candidate;
      if (candidates[i].kind == transfer::CentreKind::scaled) scaled_ = candidate;
      if (candidates[i].kind == transfer::CentreKind::source && at_optimum) plain_ = candidate;
    }
  }
  double advised() const { return advised_; }
  double scratch() const { return scratch_; }
  double plain() const { return plain_; }    ///< centre: the source's coefficients at its own best penalty
  double scaled() const { return scaled_; }  ///< those scaled by the estimated alignment

 private:
  std::vector<double> normals(std::int64_t count) { return theory::standard_normals(seed_, stream_++, count); }
  void sample(std::int64_t rows, const std::vector<double>& w, double noise, Tensor& x, Tensor& y) {
    const std::vector<double> inputs = normals(rows * features_);
    std::vector<double> targets = normals(rows);
    for (std::int64_t i = 0; i < rows; ++i) {
      double& target = targets[static_cast<std::size_t>(i)];
      target *= std::sqrt(noise);
      const double* row = inputs.data() + i * features_;
      for (std::size_t j = 0; j < w.size(); ++j) target += row[j] * w[j];
    }
    x = Tensor::from(inputs, {rows, features_}, device_);
    y = Tensor::from(targets, {rows, 1}, device_);
  }
  double risk(const Tensor& coefficients) const {
    std::vector<double> error = coefficients.to_vector<double>();
    for (std::size_t j = 0; j < error.size(); ++j) error[j] -= w1_[j];
    return product(error, error);
  }

  std::int64_t features_;
  std::uint64_t seed_, stream_ = 0;
  Device device_;
  std::vector<double> w1_;
  Tensor source_x_, source_y_, target_x_, target_y_;
  double advised_ = 0, scratch_ = 0, plain_ = 0, scaled_ = 0;
};

}  // namespace

void advisor(Reproduction& result, const RunOptions& options) {
  const int draws = options.full() ? 240 : 12;
  const Device device = Device::cpu();
  Figure figure{.name = "advisor",
                .title = "The advisor's risk",
                .caption =
                    "Mean risk over scratch's in the five configurations, with standard errors: what the advisor "
                    "makes of the data, and the best of the tabulated data-driven rules.",
                .x_label = "configuration",
                .y_label = "risk as a share of scratch's"};
  Series best = Series::line("best tabulated rule"), ours = Series::points("advisor");
  double number = 0;
  for (const Configuration& setting : configurations) {
    const std::string name = fmt::format("advisor, n0 {}, p {}, n1 {}, rho {}, apart {}", setting.source_rows,
                                         setting.features, setting.target_rows, setting.alignment, setting.apart);
    std::vector<double> advised, scratch, excess, plain, scaled;
    for (int i = 0; i < draws; ++i) {
      options.progress((number + i / static_cast<double>(draws)) / std::size(configurations), "advisor");
      const Draw draw(setting, options.seed * 1'000'000 + static_cast<std::uint64_t>(i), device);
      advised.push_back(draw.advised());
      scratch.push_back(draw.scratch());
      plain.push_back(draw.plain());
      scaled.push_back(draw.scaled());
      excess.push_back(draw.advised() - draw.scratch());
    }
    const theory::Average risk = theory::average(advised), difference = theory::average(excess);
    const std::vector<double>& rule = theory::average(plain).mean < theory::average(scaled).mean ? plain : scaled;
    const double best_rule = theory::average(rule).mean;
    std::vector<double> behind;
    for (std::size_t i = 0; i < rule.size(); ++i) behind.push_back((advised[i] - rule[i]) / best_rule);
    const theory::Average share = theory::average(behind);
    result.claims.push_back({name + ": share above the best rule's mean on the same draws, 3 % and two standard errors",
                             0, share.mean, .03 + 2 * share.error, Relation::at_most});
    result.claims.push_back({name + ": mean risk, at most 3 % and two standard errors above the best tabulated one",
                             setting.best, risk.mean, .03 * setting.best + 2 * risk.error, Relation::at_most});
    result.claims.push_back(
        {name + ": z of its risk minus scratch's", 1.96, difference.mean / difference.error, 0, Relation::at_most});
    const double whole = theory::average(scratch).mean;
    number += 1;
    best.add(number, setting.best / whole);
    ours.add(number, risk.mean / whole, risk.error / whole);
  }
  figure.series = {best, ours};
  result.figures.push_back(figure);
}

}  // namespace rtl::studies::l2sp
