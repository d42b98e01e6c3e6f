#include "rtl/solvers/feature_optimum.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "rtl/core/error.hpp"
#include "rtl/solvers/effective_penalty.hpp"
#include "solvers/domain.hpp"

namespace rtl::solvers {
namespace {

void check(const char* call, std::span<const double> tasks, double noise, double samples) {
  domain::spectrum(call, "tasks", tasks);
  domain::not_negative(call, "noise", noise);
  domain::positive(call, "samples", samples);
}

std::size_t allowed_rank(const char* call, std::int64_t max_rank, std::size_t directions) {
  if (max_rank < 0 || max_rank > static_cast<std::int64_t>(directions)) {
    throw ValueError(fmt::format("{}: max_rank is {}; it must be between 1 and the {} directions, or 0 for all", call,
                                 max_rank, directions));
  }
  return max_rank == 0 ? directions : static_cast<std::size_t>(max_rank);
}

/// Indices of `values`, strongest first; equal ones in their order.
std::vector<std::size_t> falling(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] > values[b]; });
  return order;
}

/// sums[r] = sum of the values from the r-th strongest on: added up from the small end, which loses nothing.
std::vector<double> suffix_sums(std::span<const double> values, const std::vector<std::size_t>& order) {
  std::vector<double> sums(order.size() + 1, 0.0);
  for (std::size_t r = order.size(); r-- > 0;) sums[r] = sums[r + 1] + values[order[r]];
  return sums;
}

/// The root x of sum over the spectrum of (t + filler) / (t + x) = samples, x > filler: the left side falls and is
/// convex, so that Newton's steps from the filler only go up.
double solve_soft_level(std::span<const double> tasks, double filler, double samples) {
  double level = filler;
  for (int step = 0; step < 200; ++step) {
    double sum = 0, slope = 0;
    for (const double t : tasks) {
      if (t + level == 0) continue;
      const double weight = (t + filler) / (t + level);
      sum += weight;
      slope += weight / (t + level);
    }
    const double next = level + (sum - samples) / slope;
    if (!(next > level)) break;
    level = next;
  }
  return level;
}

void count_weights(FeatureOptimum& optimum) {
  for (const double h : optimum.weights) {
    optimum.degrees_of_freedom += h;
    optimum.rank += h > 0 ? 1 : 0;
  }
}

}  // namespace

std::string to_string(FeaturePhase phase) {
  switch (phase) {
    case FeaturePhase::bayes:
      return "bayes";
    case FeaturePhase::soft:
      return "soft";
    case FeaturePhase::hard:
      return "hard";
  }
  throw ValueError("to_string: no such feature phase");
}

FeatureOptimum bayes_optimum(std::span<const double> tasks, double noise, double samples) {
  check("bayes_optimum", tasks, noise, samples);
  FeatureOptimum optimum;
  optimum.phase = FeaturePhase::bayes;
  optimum.penalty = noise / samples;
  const double kappa = solve_kappa(tasks, optimum.penalty, samples);
  optimum.risk = samples * kappa;
  optimum.spectrum.assign(tasks.begin(), tasks.end());
  for (const double t : tasks) optimum.weights.push_back(t > 0 ? t / (t + kappa) : 0);
  count_weights(optimum);
  return optimum;
}

FeatureOptimum soft_optimum(std::span<const double> tasks, double noise, double samples, std::int64_t max_rank) {
  check("soft_optimum", tasks, noise, samples);
  const std::size_t rank = allowed_rank("soft_optimum", max_rank, tasks.size());
  if (static_cast<double>(rank) <= samples) {
    throw ValueError(
        fmt::format("soft_optimum: {} directions for {} samples; soft features need more directions than samples, take "
                    "hard_optimum",
                    rank, samples));
  }
  const auto order = falling(tasks);
  std::vector<double> kept(rank);
  for (std::size_t i = 0; i < rank; ++i) kept[i] = tasks[order[i]];
  const double dropped = suffix_sums(tasks, order)[rank];
  FeatureOptimum optimum;
  optimum.phase = FeaturePhase::soft;
  optimum.filler = (noise + dropped) / (static_cast<double>(rank) - samples);
  const double level = solve_soft_level(kept, optimum.filler, samples);
  optimum.risk = samples * level;
  optimum.weights.assign(tasks.size(), 0);
  optimum.spectrum.assign(tasks.size(), 0);
  for (std::size_t i = 0; i < rank; ++i) {
    const double total = kept[i] + level;
    optimum.weights[order[i]] = total > 0 ? (kept[i] + optimum.filler) / total : 0;
    optimum.spectrum[order[i]] = kept[i] + optimum.filler;
  }
  count_weights(optimum);
  return optimum;
}

FeatureOptimum hard_optimum(std::span<const double> tasks, double noise, double samples, std::int64_t max_rank,
                            ProjectionRisk counting) {
  check("hard_optimum", tasks, noise, samples);
  const std::size_t most = allowed_rank("hard_optimum", max_rank, tasks.size());
  const auto order = falling(tasks);
  const auto dropped = suffix_sums(tasks, order);
  const double spare = counting == ProjectionRisk::gaussian ? 1 : 0;
  std::size_t best = 0;
  double least = dropped[0] + noise;
  for (std::size_t r = 1; r <= most && static_cast<double>(r) + spare < samples && tasks[order[r - 1]] > 0; ++r) {
    const double kept = static_cast<double>(r);
    const double factor =
        counting == ProjectionRisk::gaussian ? 1 + kept / (samples - kept - 1) : samples / (samples - kept);
    const double risk = (dropped[r] + noise) * factor;
    if (risk < least) {
      least = risk;
      best = r;
    }
  }
  FeatureOptimum optimum;
  optimum.phase = FeaturePhase::hard;
  optimum.risk = least;
  optimum.weights.assign(tasks.size(), 0);
  for (std::size_t i = 0; i < best; ++i) optimum.weights[order[i]] = 1;
  optimum.spectrum = optimum.weights;
  count_weights(optimum);
  return optimum;
}

FeatureOptimum minimum_norm_optimum(std::span<const double> tasks, double noise, double samples,
                                    std::int64_t max_rank) {
  FeatureOptimum hard = hard_optimum(tasks, noise, samples, max_rank);
  const std::size_t rank = allowed_rank("minimum_norm_optimum", max_rank, tasks.size());
  if (static_cast<double>(rank) <= samples) return hard;
  FeatureOptimum soft = soft_optimum(tasks, noise, samples, max_rank);
  return soft.risk < hard.risk ? soft : hard;
}

}  // namespace rtl::solvers
