#include "cli/verdict_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace rtl::cli {

namespace {

constexpr std::size_t classes_named = 10;

std::string join(const std::vector<std::string>& parts) { return fmt::format("{}", fmt::join(parts, ", ")); }

/// How the training ended, in the library's words without the call's name.
std::string without_call(const std::string& text) {
  const std::string call = "train: ";
  return text.starts_with(call) ? text.substr(call.size()) : text;
}

std::string describe_divergence(const transfer::StrategyResult& result, std::size_t runs) {
  std::string text = fmt::format("{}: {} of {} runs diverged. The first: {}.", result.name, result.diverged, runs,
                                 without_call(result.divergence));
  if (static_cast<std::size_t>(result.diverged) == runs) return text;
  return text + fmt::format(" They are left out of its means, and {}.",
                            result.name == "scratch" ? "no strategy is said to hurt" : "it is not said to help");
}

void note_predictions(const transfer::StrategyResult& result, const transfer::Comparison& comparison,
                      std::vector<std::string>& notes) {
  const auto runs = static_cast<std::int64_t>(comparison.seeds.size()) - result.diverged;
  if (result.constant > 0) {
    notes.push_back(fmt::format("{}: {} of {} runs predict one and the same class for every test sample.", result.name,
                                result.constant, runs));
  }
  if (result.forgotten.empty()) return;
  std::vector<std::string> names;
  for (const std::int32_t index : result.forgotten) {
    if (names.size() < classes_named) names.push_back(class_name(comparison, index));
  }
  const std::size_t more = result.forgotten.size() - names.size();
  notes.push_back(fmt::format("{}: no run predicts {}{}{}.", result.name,
                              result.forgotten.size() == 1 ? "class " : "any of the classes ", join(names),
                              more > 0 ? fmt::format(" and {} more", more) : ""));
}

void note_scratch(const transfer::Comparison& comparison, std::vector<std::string>& notes) {
  const auto& check = comparison.scratch;
  const auto& scratch = comparison.strategies.front();
  if (scratch.pairs == 0) return;
  const char* consequence = "Differences to it say little about transfer.";
  if (!check.loss_fell) {
    notes.push_back(
        fmt::format("scratch did not learn: its training loss did not fall ({:.4g} in the first epoch, "
                    "{:.4g} in the last). {}",
                    scratch.losses.front(), scratch.losses.back(), consequence));
  } else if (!check.beats_majority && comparison.regression) {
    notes.push_back(fmt::format(
        "scratch did not learn as far as the {} test samples can tell: its R^2 is {} hundredths, and always "
        "predicting the mean has 0 ({:.0f} % interval {}). {}",
        comparison.test_samples, percent(scratch.r2.mean), 100 * comparison.confidence, limits(check.above_majority),
        consequence));
  } else if (!check.beats_majority) {
    notes.push_back(fmt::format(
        "scratch did not learn as far as the {} test samples can tell: its accuracy is {} %, "
        "and always predicting class {} has {} % ({:.0f} % interval of the difference {}). {}",
        comparison.test_samples, percent(scratch.accuracy.mean), class_name(comparison, check.majority_class),
        percent(check.majority_share), 100 * comparison.confidence, limits(check.above_majority), consequence));
  }
}

void note_l2sp(const transfer::Comparison& comparison, std::vector<std::string>& notes) {
  if (!(comparison.l2sp_strength > 0)) return;
  std::vector<std::string> drawn, free;
  for (const auto& result : comparison.strategies) (result.l2sp ? drawn : free).push_back(result.name);
  notes.push_back(
      fmt::format("L2-SP of strength {} acts on {}: {} {} at drawn weights, so there is no source to be drawn to.",
                  comparison.l2sp_strength, drawn.empty() ? "nothing here" : join(drawn) + " alone", join(free),
                  free.size() == 1 ? "starts" : "start"));
}

void note_augmentation(const transfer::Comparison& comparison, std::vector<std::string>& notes) {
  if (!comparison.augment.any() || comparison.sources.empty()) return;
  notes.push_back(
      fmt::format("Images are augmented ({}) on their way into networks that are trained; what frozen sources say of "
                  "samples is of the images as they are.",
                  transfer::to_string(comparison.augment)));
}

std::string expectation_on_new_samples(const transfer::StrategyResult& result) {
  switch (result.verdict_new_samples) {
    case transfer::Verdict::helps:
      return "it helps";
    case transfer::Verdict::hurts:
      return "it hurts";
    case transfer::Verdict::undecided:
      break;
  }
  return "undecided";
}

/// What a strategy that weighs outputs trusts; empty for others.
std::string describe_read_outs(const transfer::StrategyResult& result, bool regression) {
  const auto reference = std::ranges::find(result.read_outs, 0, &transfer::ReadOut::difference);
  std::string text;
  for (const auto& read_out : result.read_outs) {
    text += fmt::format("{}{} {:.2f}", text.empty() ? "" : ", ", read_out.name, read_out.weight);
    if (std::isfinite(read_out.loss)) {
      text += fmt::format(
          " ({} {:.3f}{})", regression ? "squared error" : "loss", read_out.loss,
          reference == result.read_outs.end() || read_out.difference == 0
              ? ""
              : fmt::format(", {:+.3f} ± {:.3f} to {}", read_out.difference, read_out.standard_error, reference->name));
    }
  }
  if (text.empty()) return {};
  const bool weighed = std::isfinite(result.read_outs.front().loss);
  return fmt::format("{}: weights of its outputs, {}: {}.", result.name,
                     weighed ? "mean over the runs, from samples left out" : "the same for all, as none were left out",
                     text);
}

/// An R^2 may be below -1e30; from here on numbers have exponents.
constexpr double longest = 1e4;

}  // namespace

std::string score_name(const transfer::Comparison& comparison) { return comparison.regression ? "R^2" : "accuracy"; }

std::string score_unit(const transfer::Comparison& comparison) {
  return comparison.regression ? "hundredths of R^2" : "percentage points";
}

std::string points(double fraction) {
  if (std::isnan(fraction)) return "–";
  return std::abs(fraction) < longest ? fmt::format("{:+.1f}", 100 * fraction) : fmt::format("{:+.1e}", 100 * fraction);
}

std::string percent(double fraction) {
  if (std::isnan(fraction)) return "–";
  return std::abs(fraction) < longest ? fmt::format("{:.1f}", 100 * fraction) : fmt::format("{:.1e}", 100 * fraction);
}

std::string limits(const transfer::Interval& difference) {
  return fmt::format("{} to {}", points(difference.low), points(difference.high));
}

std::string class_name(const transfer::Comparison& comparison, std::int32_t index) {
  const auto at = static_cast<std::size_t>(index);
  return at < comparison.class_names.size() ? comparison.class_names[at] : fmt::format("{}", index);
}

std::string describe_verdict(const transfer::StrategyResult& result, const transfer::Comparison& comparison) {
  const auto& difference = result.difference_from_scratch;
  if (result.pairs == 0) {
    return fmt::format("{}: undecided. No seed has a finished run of both it and scratch.", result.name);
  }
  if (result.pairs < 2) {
    return fmt::format(
        "{}: undecided. One seed gives {} {} against scratch and says nothing about the "
        "scatter; run with --seeds 5.",
        result.name, points(difference.mean), score_unit(comparison));
  }
  const std::string interval = fmt::format("({:.0f} % interval {})", 100 * comparison.confidence, limits(difference));
  const std::string new_samples =
      fmt::format(" On other test samples too: {} ({}).", expectation_on_new_samples(result),
                  limits(result.difference_new_samples));
  const double size = 100 * std::abs(difference.mean);
  switch (result.verdict) {
    case transfer::Verdict::helps:
      return fmt::format("{} helps: on average {:.1f} {} above scratch {}.{}", result.name, size,
                         score_unit(comparison), interval, new_samples);
    case transfer::Verdict::hurts:
      return fmt::format("{} hurts: on average {:.1f} {} below scratch {}.{}", result.name, size,
                         score_unit(comparison), interval, new_samples);
    case transfer::Verdict::undecided:
      break;
  }
  const bool inside = difference.low <= 0 && difference.high >= 0;
  return fmt::format("{}: undecided. On average {} {} against scratch, and {} {}.{}", result.name,
                     points(difference.mean), score_unit(comparison),
                     inside ? "the interval contains zero" : "runs diverged, which flatters the others", interval,
                     new_samples);
}

std::vector<std::string> concluded(const transfer::Comparison& comparison, transfer::Verdict verdict) {
  std::vector<std::string> names;
  for (const auto& result : comparison.strategies) {
    const bool stands = result.verdict == verdict && result.p_value_holm < 1 - comparison.confidence;
    if (result.name != "scratch" && stands) names.push_back(result.name);
  }
  return names;
}

std::vector<std::string> describe_conclusion(const transfer::Comparison& comparison) {
  const std::size_t compared = comparison.strategies.size() - 1;
  if (compared == 0) return {};
  if (comparison.strategies.front().pairs == 0) {
    return {"Scratch did not finish: all of its runs diverged, so nothing is said about help or harm of transfer."};
  }
  if (std::all_of(comparison.strategies.begin() + 1, comparison.strategies.end(),
                  [](const auto& result) { return result.pairs == 0; })) {
    return {
        "No seed has a finished run of both scratch and a strategy, so nothing is said about help or harm of "
        "transfer."};
  }
  const std::string how = compared == 1 ? std::string()
                                        : fmt::format(" (Holm's correction over {} strategies, {:.0f} % in all)",
                                                      compared, 100 * comparison.confidence);
  std::vector<std::string> lines;
  const auto helped = concluded(comparison, transfer::Verdict::helps);
  const auto hurt = concluded(comparison, transfer::Verdict::hurts);
  if (!helped.empty()) lines.push_back(fmt::format("Transfer helped: {}{}.", join(helped), how));
  if (!hurt.empty()) lines.push_back(fmt::format("Transfer hurt: {}{}.", join(hurt), how));
  if (lines.empty()) lines.push_back(fmt::format("Neither help nor harm of transfer is beyond chance{}.", how));
  return lines;
}

std::vector<std::string> describe_notes(const transfer::Comparison& comparison) {
  std::vector<std::string> notes;
  for (const auto& result : comparison.strategies) {
    if (result.diverged > 0) notes.push_back(describe_divergence(result, comparison.seeds.size()));
  }
  note_scratch(comparison, notes);
  note_l2sp(comparison, notes);
  note_augmentation(comparison, notes);
  for (const auto& result : comparison.strategies) {
    note_predictions(result, comparison, notes);
    for (const auto& warning : result.warnings) {
      notes.push_back(fmt::format("{}: {} of {} runs have warnings; the first: {}.", result.name, result.warned,
                                  comparison.seeds.size(), warning));
    }
    if (const std::string text = describe_read_outs(result, comparison.regression); !text.empty()) {
      notes.push_back(text);
    }
    if (result.no_spread) {
      notes.push_back(
          fmt::format("{}: its {} differences to scratch are all equal, so nothing measures their scatter; "
                      "its interval reaches to zero.",
                      result.name, result.pairs));
    }
  }
  const auto dominance = describe_dominance(comparison);
  notes.insert(notes.end(), dominance.begin(), dominance.end());
  return notes;
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
    const auto scaling = result.options.find("feature_scaling");
    const bool balanced = scaling != result.options.end() && scaling->second == "balance";
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
