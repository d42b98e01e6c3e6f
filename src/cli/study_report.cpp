#include "cli/study_report.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "cli/html_page.hpp"
#include "cli/plot.hpp"
#include "cli/table.hpp"

namespace rtl::cli {

using studies::Claim;
using studies::Figure;
using studies::Relation;
using studies::Reproduction;
using studies::Series;

namespace {

constexpr const char* colors[] = {"#1f3a5f", "#d1793b", "#2a9d8f", "#b5446e",
                                  "#6f5bb5", "#7a8f2a", "#3a86c8", "#8c564b"};

/// What belongs together has one colour.
std::string group_of(const std::string& name) { return name.substr(0, name.find(':')); }

/// A text in gnuplot's single quotes.
std::string plot_text(const std::string& text) {
  std::string result = "'";
  for (const char c : text) {
    if (c == '\'') result += c;
    result += c;
  }
  return result + "'";
}

std::string chart(const Figure& figure) {
  std::string blocks, plots;
  std::vector<std::string> groups;
  for (std::size_t i = 0; i < figure.series.size(); ++i) {
    const Series& series = figure.series[i];
    const std::string group = group_of(series.name);
    auto at = std::find(groups.begin(), groups.end(), group);
    if (at == groups.end()) at = groups.insert(groups.end(), group);
    const char* color = colors[static_cast<std::size_t>(at - groups.begin()) % std::size(colors)];
    blocks += fmt::format("$s{} << EOD\n", i);
    for (std::size_t k = 0; k < series.x.size(); ++k) {
      if (!std::isfinite(series.y[k])) {
        blocks += "\n";
        continue;
      }
      blocks += fmt::format("{} {} {}\n", series.x[k], series.y[k], series.error.empty() ? 0 : series.error[k]);
    }
    blocks += "EOD\n";
    const std::string style =
        series.kind == Series::Kind::line ? fmt::format("using 1:2 with lines lw 2 lc rgb '{}'", color)
        : series.error.empty()            ? fmt::format("using 1:2 with points pt 7 ps 0.5 lc rgb '{}'", color)
                               : fmt::format("using 1:2:3 with yerrorbars pt 7 ps 0.4 lw 1.2 lc rgb '{}'", color);
    plots += fmt::format("{}$s{} {} title {}", plots.empty() ? "plot " : ", ", i, style, plot_text(series.name));
  }
  const std::string frame = fmt::format(
      "set xlabel {}\nset ylabel {}\nset border 3\nset tics nomirror\nset grid lc rgb '#d0d7de' lt 1\n"
      "set key outside right top Left reverse\n{}{}",
      plot_text(figure.x_label), plot_text(figure.y_label), figure.logarithmic_x ? "set logscale x\n" : "",
      figure.logarithmic_y ? "set logscale y\n" : "");
  return draw_svg(figure.name, blocks + frame + plots + "\n", 940, 420);
}

std::string number(double value) { return fmt::format("{:.6g}", value); }

std::string claim_table(const Reproduction& reproduction) {
  std::string html =
      "<h2>Claims</h2>\n<div class=\"scroll\"><table>\n<tr><th>claim</th><th>measured</th><th></th><th>expected</th>"
      "<th>tolerance</th><th></th></tr>\n";
  for (const Claim& claim : reproduction.claims) {
    html += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td><span class=\"verdict "
        "{}\">{}</span></td></tr>\n",
        html_escape(claim.name), number(claim.measured), studies::to_string(claim.relation), number(claim.expected),
        number(claim.tolerance), claim.passed() ? "passed" : "failed", claim.passed() ? "pass" : "fail");
  }
  return html + "</table></div>\n";
}

Table table_of(const studies::TextTable& columns) {
  Table table(columns.header);
  for (const std::size_t column : columns.left) table.align_left(column);
  for (const auto& row : columns.rows) table.add(row);
  return table;
}

std::string text_of(const studies::TextTable& columns) { return table_of(columns).to_string(); }

std::string markdown_table(const studies::TextTable& columns) {
  const std::string title = columns.title.empty() ? "" : fmt::format("## {}\n\n", columns.title);
  return title + table_of(columns).to_markdown() + "\n";
}

}  // namespace

void print(const Reproduction& reproduction) {
  for (const studies::TextTable& table : reproduction.tables) fmt::print("{}\n", text_of(table));
  Table table({"claim", "measured", "", "expected", "tolerance", ""});
  table.align_left(2);
  table.align_left(5);
  for (const Claim& claim : reproduction.claims) {
    const char* relation = claim.relation == Relation::within     ? "~"
                           : claim.relation == Relation::at_least ? ">="
                                                                  : "<=";
    table.add({claim.name, fmt::format("{:.6g}", claim.measured), relation, fmt::format("{:.6g}", claim.expected),
               fmt::format("{:.2g}", claim.tolerance), claim.passed() ? "pass" : "FAIL"});
  }
  fmt::print("{}", table.to_string());
}

std::string html_report(const Reproduction& reproduction) {
  const std::int64_t failed = reproduction.failed();
  std::string html = claim_table(reproduction);
  if (gnuplot_version().empty()) {
    html += "<p class=\"note\">gnuplot was not found, so there are no charts. Install the package gnuplot-nox.</p>\n";
  } else {
    for (const Figure& figure : reproduction.figures) html += html_figure(chart(figure), figure.title, figure.caption);
  }
  for (const studies::TextTable& table : reproduction.tables) {
    html += fmt::format("<h2>{}</h2>\n<div class=\"scroll\"><pre>{}</pre></div>\n", html_escape(table.title),
                        html_escape(text_of(table)));
  }
  return html_page(reproduction.title,
                   fmt::format("{} claims, {} passed, {} failed.", reproduction.claims.size(),
                               static_cast<std::int64_t>(reproduction.claims.size()) - failed, failed),
                   html + html_protocol(reproduction.protocol));
}

std::string markdown_report(const Reproduction& reproduction) {
  std::string text = fmt::format("# {}\n\n", reproduction.title);
  for (const auto& [fact, value] : reproduction.protocol) text += fmt::format("* {}: {}\n", fact, value);
  text += "\n";
  for (const studies::TextTable& table : reproduction.tables) text += markdown_table(table);
  if (reproduction.claims.empty()) return text;
  studies::TextTable claims{
      .title = "Claims", .header = {"claim", "measured", "", "expected", "tolerance", ""}, .left = {2, 5}};
  for (const Claim& claim : reproduction.claims) {
    claims.rows.push_back({claim.name, number(claim.measured), studies::to_string(claim.relation),
                           number(claim.expected), number(claim.tolerance), claim.passed() ? "passed" : "failed"});
  }
  return text + markdown_table(claims);
}

}  // namespace rtl::cli
