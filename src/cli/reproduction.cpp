#include "cli/reproduction.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/outputs.hpp"
#include "cli/plot.hpp"
#include "cli/table.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/file.hpp"
#include "rtl/theory/simulation.hpp"

namespace rtl::cli {

namespace {

const char* name_of(Relation relation) {
  switch (relation) {
    case Relation::within:
      return "within";
    case Relation::at_least:
      return "at least";
    case Relation::at_most:
      return "at most";
  }
  return "";
}

constexpr const char* colors[] = {"#1f3a5f", "#d1793b", "#2a9d8f", "#b5446e",
                                  "#6f5bb5", "#7a8f2a", "#3a86c8", "#8c564b"};

/// Series whose names agree up to ':' have one colour: a formula and its simulation.
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
        html_escape(claim.name), number(claim.measured), name_of(claim.relation), number(claim.expected),
        number(claim.tolerance), claim.passed() ? "passed" : "failed", claim.passed() ? "pass" : "fail");
  }
  return html + "</table></div>\n";
}

/// A cell of a CSV file.
std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"') result += '"';
    result += c;
  }
  return result + "\"";
}

}  // namespace

std::vector<double> steps(double first, double last, double step) {
  const auto count = static_cast<std::size_t>(std::floor((last - first) / step + 1e-9)) + 1;
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = first + step * static_cast<double>(i);
  return values;
}

std::vector<double> logarithmic_steps(double first, double last, double factor) {
  std::vector<double> values = steps(0, std::log(last / first), std::log(factor));
  for (double& value : values) value = first * std::exp(value);
  return values;
}

bool Claim::passed() const noexcept {
  switch (relation) {
    case Relation::within:
      return std::abs(measured - expected) <= tolerance;
    case Relation::at_least:
      return measured >= expected - tolerance;
    case Relation::at_most:
      return measured <= expected + tolerance;
  }
  return false;
}

std::int64_t Reproduction::failed() const {
  return std::count_if(claims.begin(), claims.end(), [](const Claim& claim) { return !claim.passed(); });
}

void claim_average(Reproduction& result, const std::string& name, const std::vector<double>& draws, double formula) {
  const theory::Average mean = theory::average(draws);
  result.claims.push_back({name + ": mean of draws by formula, 1 % and four standard errors", formula, mean.mean,
                           .01 * std::abs(formula) + 4 * mean.error});
}

void run_parts(const std::vector<ReproductionPart>& parts, const ReproductionOptions& options, Reproduction& result) {
  double total = 0, done = 0;
  std::string names;
  for (const auto& part : parts) {
    names += (names.empty() ? "" : ", ") + part.name;
    if (options.only.empty() || part.name == options.only) total += part.weight;
  }
  if (total == 0) throw UsageError(fmt::format("--only {}: there is no such part; there are: {}", options.only, names));
  for (const auto& part : parts) {
    if (!options.only.empty() && part.name != options.only) continue;
    ReproductionOptions inner = options;
    inner.progress = [&](double fraction, const std::string& text) {
      if (options.progress) options.progress((done + fraction * part.weight) / total, text);
    };
    inner.progress(0, part.name);
    part.run(result, inner);
    done += part.weight;
  }
}

Json to_json(const Reproduction& reproduction) {
  Json claims = Json::array(), figures = Json::array();
  for (const Claim& claim : reproduction.claims) {
    claims.push_back({{"name", claim.name},
                      {"expected", claim.expected},
                      {"measured", claim.measured},
                      {"tolerance", claim.tolerance},
                      {"relation", name_of(claim.relation)},
                      {"passed", claim.passed()}});
  }
  for (const Figure& figure : reproduction.figures) {
    Json series = Json::array();
    for (const Series& one : figure.series) {
      series.push_back({{"name", one.name},
                        {"kind", one.kind == Series::Kind::line ? "line" : "points"},
                        {"x", one.x},
                        {"y", one.y},
                        {"error", one.error}});
    }
    figures.push_back({{"name", figure.name}, {"title", figure.title}, {"series", series}});
  }
  Json protocol = Json::object();
  for (const auto& [fact, text] : reproduction.protocol) protocol[fact] = text;
  const std::int64_t failed = reproduction.failed();
  return {{"rtl", RTL_VERSION},   {"paper", reproduction.paper},
          {"protocol", protocol}, {"passed", static_cast<std::int64_t>(reproduction.claims.size()) - failed},
          {"failed", failed},     {"claims", claims},
          {"figures", figures}};
}

void check_study_outputs(const std::string& json, const std::string& html, const std::string& csv_folder) {
  const FileArguments pages = {{"--json", json}, {"--html", html}};
  check_distinct(pages, {{"--csv", csv_folder.empty() ? "" : csv_folder + "/claims.csv"}});
  check_outputs(pages);
}

void write_csv(const std::string& folder, const Reproduction& reproduction) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw IoError(folder, "the folder cannot be made: " + error.message());
  std::string claims = "claim,measured,relation,expected,tolerance,passed\n";
  for (const Claim& claim : reproduction.claims) {
    claims += fmt::format("{},{:.17g},{},{:.17g},{:.17g},{}\n", quoted(claim.name), claim.measured,
                          name_of(claim.relation), claim.expected, claim.tolerance, claim.passed());
  }
  io::write_file(folder + "/claims.csv", claims);
  for (const Figure& figure : reproduction.figures) {
    std::string text = "series,x,y,error\n";
    for (const Series& series : figure.series) {
      for (std::size_t i = 0; i < series.x.size(); ++i) {
        text += fmt::format("{},{:.17g},{:.17g},{:.17g}\n", quoted(series.name), series.x[i], series.y[i],
                            series.error.empty() ? 0 : series.error[i]);
      }
    }
    io::write_file(folder + "/" + figure.name + ".csv", text);
  }
}

void print(const Reproduction& reproduction) {
  for (const auto& [title, text] : reproduction.tables) fmt::print("{}\n", text);
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
  for (const auto& [title, text] : reproduction.tables) {
    html += "<h2>" + html_escape(title) + "</h2>\n<div class=\"scroll\"><pre>" + html_escape(text) + "</pre></div>\n";
  }
  return html_page(reproduction.title,
                   fmt::format("{} claims, {} passed, {} failed.", reproduction.claims.size(),
                               static_cast<std::int64_t>(reproduction.claims.size()) - failed, failed),
                   html + html_protocol(reproduction.protocol));
}

}  // namespace rtl::cli
