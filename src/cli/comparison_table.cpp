#include "cli/comparison_table.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "cli/progress.hpp"
#include "cli/table.hpp"
#include "cli/verdict_text.hpp"

namespace rtl::cli {

std::string comparison_table(const transfer::Comparison& comparison) {
  constexpr std::size_t first_word = 5, second_word = 7;
  Table table({"strategy", "trained", comparison.regression ? "R^2 %" : "accuracy %", "minus scratch", "interval",
               "verdict", "on new samples", "verdict", "time a run", "MiB a run"});
  table.align_left(first_word);
  table.align_left(second_word);
  for (const auto& result : comparison.strategies) {
    const bool reference = result.name == "scratch";
    const auto& score = comparison.score_of(result);
    const bool known = !std::isnan(score.mean);
    const bool interval = !reference && result.pairs > 1;
    table.add({result.name, known ? grouped(result.trainable_parameters) : "–",
               known ? fmt::format("{} ± {}", percent(score.mean), percent(score.std)) : "diverged",
               reference ? "" : points(result.difference_from_scratch.mean),
               interval ? limits(result.difference_from_scratch) : "",
               reference ? "" : transfer::to_string(result.verdict),
               interval ? limits(result.difference_new_samples) : "",
               reference ? "" : transfer::to_string(result.verdict_new_samples), known ? duration(result.seconds) : "–",
               known ? fmt::format("{:.1f}", static_cast<double>(result.peak_memory_bytes) / (1 << 20)) : "–"});
  }
  std::string text = table.to_string();
  const auto conclusion = describe_conclusion(comparison);
  if (!conclusion.empty()) text += "\n";
  for (const auto& line : conclusion) text += printable(line) + "\n";
  for (const auto& note : describe_notes(comparison)) text.append("\n").append(printable(note)).append("\n");
  return text;
}

void require_results(const transfer::Comparison& comparison) {
  const auto& strategies = comparison.strategies;
  const auto failed = [&](const transfer::StrategyResult& result) {
    return result.diverged == static_cast<std::int64_t>(comparison.seeds.size());
  };
  if (failed(strategies.front())) {
    throw Error("scratch diverged in every run, so there is nothing to compare with; try a smaller --learning-rate");
  }
  if (strategies.size() > 1 && std::all_of(strategies.begin() + 1, strategies.end(), failed)) {
    throw Error("every run but those of scratch diverged; try a smaller --learning-rate");
  }
}

}  // namespace rtl::cli
