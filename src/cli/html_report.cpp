#include "cli/html_report.hpp"

#include <fmt/core.h>

#include "cli/progress.hpp"
#include "cli/table.hpp"
#include "cli/verdict_text.hpp"

namespace rtl::cli {

namespace {

constexpr const char* style = R"(
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; color: #24292f;
  max-width: 62rem; margin: 2.5rem auto; padding: 0 1.25rem; background: #fff; }
h1 { font-size: 1.55rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
p.lead { color: #57606a; margin-top: 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: .4rem .65rem; border-bottom: 1px solid #d8dee4; text-align: right; white-space: nowrap; }
th { font-weight: 600; color: #57606a; border-bottom-width: 2px; }
th:first-child, td:first-child { text-align: left; }
table.facts { width: auto; } table.facts td { text-align: left; white-space: normal; vertical-align: top; }
table.facts td:first-child { color: #57606a; white-space: nowrap; }
.verdict { display: inline-block; border-radius: 1rem; padding: 0 .65rem; font-size: .9em; font-weight: 600; }
.helps { background: #dafbe1; color: #116329; } .hurts { background: #ffebe9; color: #a40e26; }
.undecided { background: #eaeef2; color: #424a53; }
.note { border-left: 4px solid #bf8700; background: #fff8c5; padding: .6rem .9rem; margin: .6rem 0; }
code { font: 13px/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
figure { margin: 0; } figure svg { width: 100%; height: auto; }
figcaption, .small { color: #57606a; font-size: .9em; }
)";

std::string escape(const std::string& text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

std::string result_table(const transfer::Comparison& comparison) {
  std::string html = fmt::format(
      "<div class=\"scroll\"><table>\n<tr><th>strategy</th><th>trained parameters</th><th>accuracy, %</th>"
      "<th>minus scratch</th><th>{:.0f} % interval</th><th>verdict</th><th>AUC</th><th>F1</th>"
      "<th>worst class, %</th><th>time a run</th></tr>\n",
      100 * comparison.confidence);
  for (const auto& result : comparison.strategies) {
    const auto& difference = result.difference_from_scratch;
    const bool reference = result.name == "scratch";
    const std::string verdict = transfer::to_string(result.verdict);
    html += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{} ± {}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.3f}</td><td>{:.3f}</td>"
        "<td>{}</td><td>{}</td></tr>\n",
        escape(result.name), grouped(result.trainable_parameters), percent(result.accuracy.mean),
        percent(result.accuracy.std), reference ? "–" : points(difference.mean),
        reference || comparison.seeds.size() < 2
            ? "–"
            : fmt::format("{} to {}", points(difference.low), points(difference.high)),
        reference ? "–" : fmt::format("<span class=\"verdict {0}\">{0}</span>", verdict), result.auc.mean,
        result.f1.mean, percent(result.min_class_accuracy.mean), duration(result.seconds));
  }
  return html + fmt::format(
                    "</table></div>\n<p class=\"small\">Accuracy: mean ± standard deviation (population) over {} "
                    "seed{}. AUC: one class against the rest, mean over classes. F1: weighted by class frequency. "
                    "Time: training one model on frozen features that are computed once.</p>\n",
                    comparison.seeds.size(), comparison.seeds.size() == 1 ? "" : "s");
}

std::string verdicts(const transfer::Comparison& comparison) {
  std::string html = "<h2>Did transfer help?</h2>\n<ul>\n";
  for (const auto& result : comparison.strategies) {
    if (result.name != "scratch") html += "<li>" + escape(describe_verdict(result, comparison)) + "</li>\n";
  }
  html +=
      "</ul>\n<p class=\"small\">The verdict is the interval's alone: helps if all of it lies above zero, hurts if all "
      "lies below. Runs are paired: with one seed every strategy sees the same training samples, starts from the same "
      "initial weights where shapes agree, and takes the samples in the same order.</p>\n";
  for (const auto& note : describe_dominance(comparison)) html += "<p class=\"note\">" + escape(note) + "</p>\n";
  return html;
}

std::string influence_table(const transfer::Comparison& comparison) {
  std::string rows;
  for (const auto& result : comparison.strategies) {
    if (result.influence.size() < 2) continue;
    for (const auto& block : result.influence) {
      rows += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{:.2f}</td><td>{:.2f}</td><td>{:.0f} %</td></tr>\n",
                          escape(result.name), escape(block.name), block.features, block.feature_norm,
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

std::string figure(const std::string& svg, const std::string& title, const std::string& caption) {
  if (svg.empty()) return {};
  return fmt::format("<h2>{}</h2>\n<figure>{}\n<figcaption>{}</figcaption></figure>\n", title, svg, caption);
}

std::string protocol_table(const Protocol& protocol) {
  std::string html = "<h2>Protocol</h2>\n<table class=\"facts\">\n";
  for (const auto& [key, value] : protocol) {
    const bool code = key == "command";
    html += fmt::format("<tr><td>{}</td><td>{}{}{}</td></tr>\n", escape(key), code ? "<code>" : "", escape(value),
                        code ? "</code>" : "");
  }
  return html + "</table>\n";
}

}  // namespace

std::string html_report(const transfer::Comparison& comparison, const Protocol& protocol, const Charts& charts) {
  std::string sources;
  for (const auto& source : comparison.sources) sources += (sources.empty() ? "" : ", ") + source;
  std::string html =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>Transfer to " +
      escape(comparison.target) + "</title>\n<style>" + style + "</style>\n</head>\n<body>\n";
  html += fmt::format(
      "<h1>Transfer to {}</h1>\n<p class=\"lead\">Source: {}. Each strategy against training from "
      "scratch.</p>\n",
      escape(comparison.target), escape(sources.empty() ? "none" : sources));
  html += result_table(comparison) + verdicts(comparison);
  if (!charts.problem.empty()) html += "<p class=\"note\">" + escape(charts.problem) + "</p>\n";
  html += figure(charts.accuracy, "Accuracy",
                 "Dots with bars: mean over the seeds and its interval. Small circles: single seeds. Green helps, red "
                 "hurts, grey undecided.");
  html += figure(charts.differences, "Paired differences to scratch",
                 "The interval right of the line at zero: transfer helped; left of it: it hurt.");
  html += influence_table(comparison);
  html += figure(charts.losses, "Training loss", "Mean over the seeds.");
  html += protocol_table(protocol);
  return html + "</body>\n</html>\n";
}

}  // namespace rtl::cli
