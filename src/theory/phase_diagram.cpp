#include "rtl/theory/phase_diagram.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "rtl/core/error.hpp"
#include "solvers/domain.hpp"
#include "theory/roots.hpp"

namespace rtl::theory {

namespace domain = solvers::domain;

namespace {

/// The root >= 0 of x^2 + slope x - product = 0, product >= 0, without cancellation.
double positive_root(double slope, double product) {
  const double half = slope / 2;
  const double root = std::sqrt(half * half + product);
  if (half <= 0) return root - half;
  return product / (root + half);
}

void check_dimensions(const char* call, double dimensions) {
  domain::finite(call, "dimensions", dimensions);
  if (dimensions <= 1) {
    throw ValueError(fmt::format("{}: dimensions is {}; soft features need more directions than samples, above 1", call,
                                 dimensions));
  }
}

}  // namespace

double equal_tasks_bayes_risk(double effective_rank, double noise) {
  domain::positive("equal_tasks_bayes_risk", "effective_rank", effective_rank);
  domain::not_negative("equal_tasks_bayes_risk", "noise", noise);
  return positive_root(1 / effective_rank - noise - 1, noise / effective_rank);
}

double equal_tasks_soft_risk(double effective_rank, double dimensions, double noise) {
  domain::positive("equal_tasks_soft_risk", "effective_rank", effective_rank);
  domain::not_negative("equal_tasks_soft_risk", "noise", noise);
  check_dimensions("equal_tasks_soft_risk", dimensions);
  if (effective_rank > dimensions) {
    throw ValueError(
        fmt::format("equal_tasks_soft_risk: effective_rank {} is above dimensions {}", effective_rank, dimensions));
  }
  const double filler = noise / (dimensions - 1);
  return positive_root(1 / effective_rank - 1 - dimensions * filler,
                       (dimensions - effective_rank) * filler / effective_rank);
}

double equal_tasks_hard_risk(double effective_rank, double noise) {
  domain::positive("equal_tasks_hard_risk", "effective_rank", effective_rank);
  domain::not_negative("equal_tasks_hard_risk", "noise", noise);
  const double none = 1 + noise;
  return effective_rank < 1 ? std::min(none, noise / (1 - effective_rank)) : none;
}

std::optional<SoftRange> soft_range(double dimensions, double noise) {
  check_dimensions("soft_range", dimensions);
  domain::positive("soft_range", "noise", noise);
  const auto soft_loses_by = [&](double effective_rank) {
    return equal_tasks_soft_risk(effective_rank, dimensions, noise) - equal_tasks_hard_risk(effective_rank, noise);
  };
  // Against the hard risk, which rises faster, soft selection gains up to the rank where keeping nothing becomes the
  // best projection; from there on the hard risk is constant and soft selection loses.
  const double turn = 1 / (1 + noise);
  if (soft_loses_by(turn) >= 0) return std::nullopt;
  const double smallest = turn * 1e-9;
  SoftRange range;
  range.low = bisect(soft_loses_by, smallest, turn);
  range.high = soft_loses_by(dimensions) > 0 ? bisect(soft_loses_by, turn, dimensions) : dimensions;
  return range;
}

}  // namespace rtl::theory
