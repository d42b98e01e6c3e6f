// What the parts of `rtl reproduce l2sp` share.
#pragma once

#include <vector>

namespace rtl::studies::l2sp {

/// 0.5, 0.55 .. 1.5, the alignments of the published curves.
std::vector<double> alignments();
/// The published grid of penalties: 50 from 0.01 to 100.
std::vector<double> penalties();
/// The vector scaled to this length.
std::vector<double> with_norm(std::vector<double> values, double norm);
/// tau0* / tauS* by the formulas, the direction of w0 being random: p = 500, target as in the published simulation.
double penalty_ratio_formula(double source_samples, double exponent, double alignment);

}  // namespace rtl::studies::l2sp
