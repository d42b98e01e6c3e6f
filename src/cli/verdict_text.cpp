#include "cli/verdict_text.hpp"

#include <fmt/core.h>

#include <cmath>

namespace rtl::cli {

std::string points(double fraction) { return fmt::format("{:+.1f}", 100 * fraction); }

std::string percent(double fraction) { return fmt::format("{:.1f}", 100 * fraction); }

std::string describe_verdict(const transfer::StrategyResult& result, const transfer::Comparison& comparison) {
  const auto& difference = result.difference_from_scratch;
  if (comparison.seeds.size() < 2) {
    return fmt::format(
        "{}: undecided. One seed gives {} percentage points against scratch and says nothing about the "
        "scatter; run with --seeds 5.",
        result.name, points(difference.mean));
  }
  const std::string interval = fmt::format("({:.0f} % interval {} to {})", 100 * comparison.confidence,
                                           points(difference.low), points(difference.high));
  const double size = 100 * std::abs(difference.mean);
  switch (result.verdict) {
    case transfer::Verdict::helps:
      return fmt::format("{} helps: on average {:.1f} percentage points above scratch {}.", result.name, size,
                         interval);
    case transfer::Verdict::hurts:
      return fmt::format("{} hurts: on average {:.1f} percentage points below scratch {}.", result.name, size,
                         interval);
    case transfer::Verdict::undecided:
      break;
  }
  return fmt::format(
      "{}: undecided. On average {} percentage points against scratch, and the interval contains zero {}.", result.name,
      points(difference.mean), interval);
}

std::vector<std::string> describe_dominance(const transfer::Comparison& comparison) {
  std::vector<std::string> notes;
  for (const auto& result : comparison.strategies) {
    if (result.dominated_by.empty() || result.influence.size() < 2) continue;
    double share = 0, block_norm = 0, h_norm = 0;
    for (const auto& block : result.influence) {
      if (block.name == result.dominated_by) {
        share = block.share;
        block_norm = block.feature_norm;
      } else if (block.name == "h") {
        h_norm = block.feature_norm;
      }
    }
    const std::string amount = share > 0.995 ? "more than 99" : fmt::format("{:.0f}", 100 * share);
    const bool balanced = result.feature_scaling == transfer::FeatureScaling::balance;
    notes.push_back(fmt::format(
        "In {} the frozen block {} dominates: it makes {} % of the logits' variance (root mean square of its feature "
        "norm {:.1f}, of h {:.1f}). The residual encoder protects against a poor source only while it can outweigh the "
        "frozen features, which is a matter of their scale{}.",
        result.name, result.dominated_by, amount, block_norm, h_norm,
        balanced ? "; a smaller --feature-scale gives them less weight"
                 : "; --feature-scaling balance evens the scales"));
  }
  return notes;
}

}  // namespace rtl::cli
