// Parts of the self-contained HTML pages that commands write.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace rtl::cli {

/// How the numbers were made, in the order in which the report shows it: {"seeds", "1 to 5"}, ...
using Protocol = std::vector<std::pair<std::string, std::string>>;

std::string html_escape(const std::string& text);
/// A whole page that refers to nothing outside itself. `title` and `lead` are text, `body` is HTML.
std::string html_page(const std::string& title, const std::string& lead, const std::string& body);
/// A heading, an SVG chart and its caption; nothing without the chart.
std::string html_figure(const std::string& svg, const std::string& title, const std::string& caption);
std::string html_protocol(const Protocol& protocol);

}  // namespace rtl::cli
