// The parts of `rtl reproduce l2sp` and what they share.
#pragma once

#include <vector>

#include "rtl/theory/covariance.hpp"
#include "studies/study.hpp"

namespace rtl::studies::l2sp {

/// 0.5, 0.55 .. 1.5, the alignments of the published curves.
std::vector<double> alignments();
/// The published grid of penalties: 50 from 0.01 to 100.
std::vector<double> penalties();
/// The vector scaled to this length.
std::vector<double> with_norm(std::vector<double> values, double norm);

/// The curves of figures 2a and 2b with the published seeds, against the published means and intervals.
void published_curves(Reproduction& result, const RunOptions& options);
/// Means over many draws against the formulas: risk curves, ratio of penalties, reversal, scaled centre.
void averaged_curves(Reproduction& result, const RunOptions& options);
/// tau0* / tauS* by the formulas, the direction of w0 being random: p = 500, target as in the published simulation.
double penalty_ratio_formula(double source_samples, double exponent, double alignment);
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
