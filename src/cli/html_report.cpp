#include "cli/html_report.hpp"

#include <fmt/core.h>

#include "cli/html_page.hpp"
#include "cli/progress.hpp"
#include "cli/table.hpp"
#include "cli/verdict_text.hpp"

namespace rtl::cli {

namespace {

/// Cells between the row's others.
std::string cells(const std::vector<std::string>& texts, const char* tag) {
  std::string html;
  for (const auto& text : texts) html += fmt::format("<{0}>{1}</{0}>", tag, text);
  return html;
}

std::vector<std::string> more_scores(const transfer::StrategyResult& result, bool regression) {
  if (regression) return {fmt::format("{:.4g}", result.rmse.mean)};
  return {fmt::format("{:.3f}", result.auc.mean), fmt::format("{:.3f}", result.f1.mean),
          percent(result.min_class_accuracy.mean)};
}

std::string result_table(const transfer::Comparison& comparison) {
  const bool regression = comparison.regression;
  std::vector<std::string> head{"strategy",
                                "trained parameters",
                                score_name(comparison) + ", %",
                                "minus scratch",
                                fmt::format("{:.0f} % interval", 100 * comparison.confidence),
                                "verdict",
                                "on new samples",
                                "verdict"};
  const std::vector<std::string> more =
      regression ? std::vector<std::string>{"RMSE"} : std::vector<std::string>{"AUC", "F1", "worst class, %"};
  head.insert(head.end(), more.begin(), more.end());
  head.emplace_back("time a run");
  head.emplace_back("memory a run");
  std::string html = "<div class=\"scroll\"><table>\n<tr>" + cells(head, "th") + "</tr>\n";
  for (const auto& result : comparison.strategies) {
    const bool reference = result.name == "scratch";
    const bool interval = !reference && result.pairs > 1;
    const auto word = [&](transfer::Verdict verdict) {
      return reference ? "–" : fmt::format("<span class=\"verdict {0}\">{0}</span>", transfer::to_string(verdict));
    };
    const auto& score = comparison.score_of(result);
    std::vector<std::string> row{html_escape(result.name),
                                 grouped(result.trainable_parameters),
                                 fmt::format("{} ± {}", percent(score.mean), percent(score.std)),
                                 reference ? "–" : points(result.difference_from_scratch.mean),
                                 interval ? limits(result.difference_from_scratch) : "–",
                                 word(result.verdict),
                                 interval ? limits(result.difference_new_samples) : "–",
                                 word(result.verdict_new_samples)};
    for (auto& text : more_scores(result, regression)) row.push_back(std::move(text));
    row.push_back(duration(result.seconds));
    row.push_back(fmt::format("{:.1f} MiB", static_cast<double>(result.peak_memory_bytes) / (1 << 20)));
    html += "<tr>" + cells(row, "td") + "</tr>\n";
  }
  const char* meaning = regression
                            ? "R^2: share of the targets' variance that is explained. RMSE: in the target's units. "
                            : "AUC: one class against the rest, mean over classes. F1: weighted by class "
                              "frequency. ";
  return html + fmt::format(
                    "</table></div>\n<p class=\"small\">{}: mean ± standard deviation (population) over {} seed{}. {}"
                    "Time: training one model on frozen features that are computed once. Memory: the most that a "
                    "training takes beside the data.</p>\n",
                    regression ? "R^2" : "Accuracy", comparison.seeds.size(), comparison.seeds.size() == 1 ? "" : "s",
                    meaning);
}

std::string verdicts(const transfer::Comparison& comparison) {
  std::string html = "<h2>Did transfer help?</h2>\n";
  for (const auto& line : describe_conclusion(comparison)) html += "<p>" + html_escape(line) + "</p>\n";
  html += "<ul>\n";
  for (const auto& result : comparison.strategies) {
    if (result.name != "scratch") html += "<li>" + html_escape(describe_verdict(result, comparison)) + "</li>\n";
  }
  html +=
      "</ul>\n<p class=\"small\">The verdict is the interval's alone: helps if all of it lies above zero, hurts if all "
      "lies below. The first interval is over other seeds, and never narrower than what the test samples resolve; the "
      "one on new samples is over other seeds and other test samples of the same kind. Runs are paired: with one seed "
      "every strategy sees the same training samples, starts from the same "
      "initial weights where shapes agree, and takes the samples in the same order.</p>\n";
  for (const auto& note : describe_notes(comparison)) html += "<p class=\"note\">" + html_escape(note) + "</p>\n";
  return html;
}

std::string influence_table(const transfer::Comparison& comparison) {
  std::string rows;
  for (const auto& result : comparison.strategies) {
    if (result.influence.size() < 2) continue;
    for (const auto& block : result.influence) {
      rows += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{:.2f}</td><td>{:.2f}</td><td>{:.0f} %</td></tr>\n",
                          html_escape(result.name), html_escape(block.name), block.features, block.feature_norm,
                          block.logit_deviation, 100 * block.share);
    }
  }
  if (rows.empty()) return {};
  return "<h2>What the fused heads rely on</h2>\n<div class=\"scroll\"><table>\n<tr><th>strategy</th><th>block</th>"
         "<th>features</th><th>feature norm</th><th>logit deviation</th><th>share of the logits' variance</th></tr>\n" +
         rows +
         "</table></div>\n<p class=\"small\">h is the residual encoder, the others are frozen sources. Root mean "
         "squares over the test samples, averaged over the seeds.</p>\n";
}

}  // namespace

std::string html_report(const transfer::Comparison& comparison, const Protocol& protocol, const Charts& charts) {
  std::string sources;
  for (const auto& source : comparison.sources) sources += (sources.empty() ? "" : ", ") + source;
  std::string html = result_table(comparison) + verdicts(comparison);
  if (!charts.problem.empty()) html += "<p class=\"note\">" + html_escape(charts.problem) + "</p>\n";
  html +=
      html_figure(charts.accuracy, comparison.regression ? "R^2" : "Accuracy",
                  "Dots with bars: mean over the seeds and its interval. Small circles: single seeds. Green helps, red "
                  "hurts, grey undecided.");
  html += html_figure(charts.differences, "Paired differences to scratch",
                      "The interval right of the line at zero: transfer helped; left of it: it hurt.");
  html += influence_table(comparison);
  html += html_figure(charts.losses, "Training loss", "Mean over the seeds.");
  html += html_protocol(protocol);
  return html_page(
      "Transfer to " + comparison.target,
      fmt::format("Source: {}. Each strategy against training from scratch.", sources.empty() ? "none" : sources),
      html);
}

}  // namespace rtl::cli
