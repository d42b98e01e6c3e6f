// Label flips in the source's training: what the parts noise and big-source have in common.
#pragma once

#include <vector>

#include "studies/refine/stress.hpp"

namespace rtl::studies::refine {

/// A source whose labels are flipped with this probability, anew in each epoch, with what the paper's code has for it.
Stressed with_flips(double flips);

// Of scores of with_flips() and scratch over seeds; `prefix` begins the claims' names.
/// That a source with 80 % flips is of no use to a probe, and that REFINE is above the probe there.
void claim_useless(Reproduction& result, const std::string& prefix, const Trials& trials);
/// The rest of the paper's table 2.
void claim_flips(Reproduction& result, const std::string& prefix, const Trials& trials,
                 const std::vector<double>& levels);

}  // namespace rtl::studies::refine
