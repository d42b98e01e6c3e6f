// The effective penalty kappa of ridge regression, under the name that the risk formulas of this module use. It is
// computed in the module solvers, where the learners of featurizations need it too.
#pragma once

#include "rtl/solvers/effective_penalty.hpp"

namespace rtl::theory {

using solvers::effective_penalty;
using solvers::EffectivePenalty;
using solvers::is_negligible;
using solvers::solve_kappa;

}  // namespace rtl::theory
