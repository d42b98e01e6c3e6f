// A setting of `rtl reproduce partial`, what the criteria say of it, and its runs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rtl/transfer/statistics.hpp"
#include "studies/partial/model.hpp"
#include "studies/store.hpp"

namespace rtl::studies::partial {

/// What the inherited filters were trained on.
enum class Upstream : std::uint8_t { task, nothing, random_labels };

struct Setting {
  double u = 0, v1 = 1.5, v2 = 1.5;  ///< lengths of the signals
  std::int64_t n1 = 400, n2 = 30;    ///< samples upstream and downstream
  double deviation1 = 1, deviation2 = 1;
  std::int64_t dimension = 1000;
  double flips = 0;                   ///< of the labels of both tasks, those of the test included
  std::vector<double> alphas = {.5};  ///< inherited shares of the filters
  Upstream upstream = Upstream::task;
  bool frozen = false;  ///< inherited filters are not trained downstream

  Task first() const;
  Task second() const;
  /// Everything that decides a run; also a file's name.
  std::string name() const;
};

constexpr std::int64_t filters_per_sign = 10;

/// Squared ratios of signal to noise downstream, first order in the inherited share (0: scratch).
double gamma(const Setting& setting, double alpha);
/// The same with the first task's own signal as noise, and with saturation once a task is fitted.
double refined(const Setting& setting, double alpha);
/// The share with the greatest gamma, U / (U + V).
double best_alpha(const Setting& setting);
/// The accuracy at a refined ratio, Phi(factor sqrt(ratio)); 1.64 is the reference's fit.
double accuracy_of(double ratio, double factor = 1.64);
/// The ||u|| where transfer begins to help by a criterion, others as in the setting; 0 .. 10.
double boundary(Setting setting, double alpha, double (*criterion)(const Setting&, double));

/// Test accuracies, one a seed; transfer: [alpha][seed].
struct Outcome {
  Setting setting;
  std::vector<double> scratch;
  std::vector<std::vector<double>> transfer;

  double mean_scratch() const;
  double mean_transfer(std::size_t alpha) const;
  /// Transfer minus scratch, one a seed, and their mean with its 95 % interval.
  std::vector<double> differences(std::size_t alpha) const;
  transfer::Interval difference(std::size_t alpha) const;
};

/// Runs all settings with so many seeds, or takes them from the store.
std::vector<Outcome> run_settings(const std::vector<Setting>& settings, int seeds, const Store& store,
                                  const RunOptions& options);

}  // namespace rtl::studies::partial
