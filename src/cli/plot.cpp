#include "cli/plot.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "cli/interrupt.hpp"
#include "cli/shell_pipe.hpp"
#include "rtl/io/file.hpp"

namespace rtl::cli {

namespace {

/// The <svg> element of gnuplot's output without what an HTML page does not need: prologue, name spaces, the title
/// "Gnuplot" that browsers would show as a tip.
std::string svg_element(const std::string& name, const std::string& document) {
  const auto cut = [](std::string& text, const std::string& from, const std::string& to) {
    for (auto begin = text.find(from); begin != std::string::npos; begin = text.find(from, begin)) {
      const auto end = text.find(to, begin + from.size());
      if (end == std::string::npos) return;
      text.erase(begin, end + to.size() - begin);
    }
  };
  const auto begin = document.find("<svg");
  if (begin == std::string::npos) return {};
  std::string svg = document.substr(begin);
  cut(svg, " xmlns=\"", "\"");
  cut(svg, " xmlns:xlink=\"", "\"");
  cut(svg, "<title>Gnuplot", "</title>");
  cut(svg, "<desc>", "</desc>");
  // Charts stand in one page: their elements' names must differ.
  for (const char* reference : {"id='", "href='#", "url(#"}) {
    const std::string before = reference;
    for (auto at = svg.find(before); at != std::string::npos; at = svg.find(before, at + before.size())) {
      svg.insert(at + before.size(), name + "-");
    }
  }
  return svg;
}

const char* verdict_color(const transfer::StrategyResult& result) {
  if (result.name == "scratch") return "0x1f3a5f";
  switch (result.verdict) {
    case transfer::Verdict::helps:
      return "0x1a7f37";
    case transfer::Verdict::hurts:
      return "0xc62828";
    case transfer::Verdict::undecided:
      break;
  }
  return "0x6e7781";
}

/// Strategies from top to bottom on the vertical axis.
std::string strategy_axis(const transfer::Comparison& comparison, bool with_scratch) {
  std::string tics;
  double row = 0;
  for (const auto& result : comparison.strategies) {
    if (!with_scratch && result.name == "scratch") continue;
    tics += fmt::format("{}'{}' {}", tics.empty() ? "" : ", ", result.name, -row++);
  }
  return fmt::format(
      "set ytics ({})\nset yrange [{}:0.6]\nset border 1\nset tics nomirror scale 0.5\nset ytics scale 0\n"
      "set grid xtics lc rgb '#d0d7de' lt 1\nunset key\n",
      tics, -row + 0.4);
}

constexpr std::array<const char*, 8> curve_colors = {"#1f3a5f", "#d1793b", "#2a9d8f", "#b5446e",
                                                     "#6f5bb5", "#7a8f2a", "#3a86c8", "#8c564b"};
constexpr int row_height = 34;
constexpr int frame_height = 90;
constexpr int chart_width = 820;

std::vector<double> known_values(std::vector<double> values) {
  std::erase_if(values, [](double value) { return std::isnan(value); });
  return values;
}

std::string accuracy_chart(const transfer::Comparison& comparison) {
  std::string means, seeds;
  double row = 0;
  for (const auto& result : comparison.strategies) {
    const auto values = known_values(result.accuracy.values);
    if (values.empty()) {
      ++row;
      continue;
    }
    const auto interval = transfer::t_interval(values, comparison.confidence, 0, 1);
    const bool known = values.size() > 1;
    means +=
        fmt::format("{} {} {} {} {}\n", 100 * result.accuracy.mean, -row, 100 * (known ? interval.low : interval.mean),
                    100 * (known ? interval.high : interval.mean), verdict_color(result));
    for (const double value : values) seeds += fmt::format("{} {}\n", 100 * value, -row);
    ++row;
  }
  const std::string script = fmt::format("$means << EOD\n{}EOD\n$seeds << EOD\n{}EOD\n", means, seeds) +
                             strategy_axis(comparison, true) +
                             "set xlabel 'accuracy on the test samples, %'\n"
                             "plot $means using 1:2:3:4:5 with xerrorbars lw 2.2 pt 7 ps 0.75 lc rgb variable, "
                             "$seeds using 1:($2-0.22) with points pt 6 ps 0.35 lc rgb '#57606a'\n";
  return draw_svg("accuracy", script, chart_width, frame_height + static_cast<int>(row) * row_height);
}

std::string difference_chart(const transfer::Comparison& comparison) {
  std::string rows, seeds;
  double row = 0;
  const auto& scratch = comparison.strategies.front().accuracy.values;
  for (const auto& result : comparison.strategies) {
    if (result.name == "scratch") continue;
    const auto& difference = result.difference_from_scratch;
    if (result.pairs == 0) {
      ++row;
      continue;
    }
    const bool known = result.pairs > 1;
    rows +=
        fmt::format("{} {} {} {} {}\n", 100 * difference.mean, -row, 100 * (known ? difference.low : difference.mean),
                    100 * (known ? difference.high : difference.mean), verdict_color(result));
    for (std::size_t i = 0; i < std::min(scratch.size(), result.accuracy.values.size()); ++i) {
      const double apart = result.accuracy.values[i] - scratch[i];
      if (!std::isnan(apart)) seeds += fmt::format("{} {}\n", 100 * apart, -row);
    }
    ++row;
  }
  if (row == 0) return {};
  const std::string script = fmt::format("$rows << EOD\n{}EOD\n$seeds << EOD\n{}EOD\n", rows, seeds) +
                             strategy_axis(comparison, false) +
                             "set xlabel 'accuracy minus that of scratch with the same seed, percentage points'\n"
                             "set arrow 1 from 0, graph 0 to 0, graph 1 nohead lw 1.6 lc rgb '#24292f' front\n"
                             "set xrange [*<0:0<*]\n"
                             "plot $rows using 1:2:3:4:5 with xerrorbars lw 2.2 pt 7 ps 0.75 lc rgb variable, "
                             "$seeds using 1:($2-0.22) with points pt 6 ps 0.35 lc rgb '#57606a'\n";
  return draw_svg("differences", script, chart_width, frame_height + static_cast<int>(row) * row_height);
}

std::string loss_chart(const transfer::Comparison& comparison) {
  std::string blocks, plots;
  std::size_t index = 0, epochs = 0;
  for (const auto& result : comparison.strategies) {
    if (result.losses.empty()) continue;
    epochs = std::max(epochs, result.losses.size());
    blocks += fmt::format("$curve{} << EOD\n", index);
    for (std::size_t epoch = 0; epoch < result.losses.size(); ++epoch) {
      blocks += fmt::format("{} {}\n", epoch + 1, result.losses[epoch]);
    }
    blocks += "EOD\n";
    plots += fmt::format("{}$curve{} using 1:2 with linespoints lw 2 pt 7 ps 0.25 lc rgb '{}' title '{}'",
                         index == 0 ? "plot " : ", ", index, curve_colors[index % curve_colors.size()], result.name);
    ++index;
  }
  if (index == 0) return {};
  const std::string frame = fmt::format(
      "set xlabel 'epoch'\nset ylabel 'mean training loss'\nset border 3\nset tics nomirror\nset xtics {}\n"
      "set grid lc rgb '#d0d7de' lt 1\nset key outside right top Left reverse\nset xrange [0:{}]\nset yrange [0:*]\n",
      std::max<std::size_t>(1, (epochs + 5) / 10), epochs);
  return draw_svg("losses", blocks + frame + plots + "\n", chart_width, 380);
}

}  // namespace

std::string gnuplot_version() {
  const ShellPipe pipe("gnuplot --version 2>/dev/null", ShellPipe::Direction::from_output);
  char line[128] = {};
  if (pipe.stream() == nullptr || std::fgets(line, sizeof line, pipe.stream()) == nullptr) return {};
  std::string text(line);
  const std::string name = "gnuplot ";
  if (!text.starts_with(name)) return {};
  text.erase(0, name.size());
  return text.substr(0, text.find_first_of(" \n"));
}

std::string draw_svg(const std::string& name, const std::string& script, int width, int height) {
  const ScratchFolder folder;
  const std::string output = folder.path() + "/chart.svg";
  const std::string errors = folder.path() + "/errors.txt";
  const std::string command = fmt::format("gnuplot >/dev/null 2>'{}'", errors);
  ShellPipe pipe(command, ShellPipe::Direction::to_input);
  if (pipe.stream() != nullptr) {
    fmt::print(pipe.stream(),
               "set terminal svg size {},{} dynamic font 'Helvetica,Arial,sans-serif' fontscale 0.95 background "
               "'#ffffff'\nset output '{}'\nset encoding utf8\nset termoption noenhanced\n{}",
               width, height, output, script);
  }
  const bool failed = !pipe.close();
  const auto text_of = [](const std::string& path) {
    if (!io::file_exists(path)) return std::string();
    const auto bytes = io::read_file(path);
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  std::string svg = svg_element(name, text_of(output));
  if (failed || svg.find("</svg>") == std::string::npos) {
    throw Error(fmt::format("gnuplot failed: {}", text_of(errors)));
  }
  return svg;
}

Charts draw_charts(const transfer::Comparison& comparison) {
  Charts charts;
  if (gnuplot_version().empty()) {
    charts.problem = "gnuplot was not found, so there are no charts. Install the package gnuplot-nox.";
    return charts;
  }
  try {
    charts.accuracy = accuracy_chart(comparison);
    charts.differences = difference_chart(comparison);
    charts.losses = loss_chart(comparison);
  } catch (const Error& error) {
    charts.problem = error.what();
  }
  return charts;
}

}  // namespace rtl::cli
