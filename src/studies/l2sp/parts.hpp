// The parts of `rtl reproduce l2sp`.
#pragma once

#include <string>
#include <vector>

#include "studies/study.hpp"

namespace rtl::studies::l2sp {

/// The curves of figures 2a and 2b with the published seeds, against the published means and intervals.
void published_curves(Reproduction& result, const RunOptions& options);
/// Means over many draws against the formulas: risk curves, ratio of penalties, reversal, scaled centre.
void averaged_curves(Reproduction& result, const RunOptions& options);
/// Source, transfer and scratch risks of several settings, commuting and not.
void risks(Reproduction& result, const RunOptions& options);
/// Whether transfer helps: not the target's business with isotropic inputs, and a flip without.
void decision(Reproduction& result, const RunOptions& options);

/// The advisor on the tabulated configurations: its mean risk beside the best tabulated rule's and scratch's.
void advisor(Reproduction& result, const RunOptions& options);

/// What `networks` needs.
struct NetworkOptions {
  bool wanted = false;
  std::vector<std::string> datasets = {"mnist", "cifar10"};
  std::string data = {};   ///< folder with images/mnist and images/cifar10
  std::string state = {};  ///< folder of finished trainings; empty: none is kept
  bool resume = false;
  int seeds = 0;                              ///< 0: 10, quick 3
  std::vector<double> target_fractions = {};  ///< of the target's images, for figure 5; empty: it is left out
};
/// The neural experiment: source weight decays, fine-tuned in two ways.
void networks(Reproduction& result, const RunOptions& options, const NetworkOptions& settings);

}  // namespace rtl::studies::l2sp
