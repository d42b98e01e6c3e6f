#include "cli/html_page.hpp"

#include <fmt/core.h>

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
.helps, .passed { background: #dafbe1; color: #116329; } .hurts, .failed { background: #ffebe9; color: #a40e26; }
.undecided { background: #eaeef2; color: #424a53; }
.note { border-left: 4px solid #bf8700; background: #fff8c5; padding: .6rem .9rem; margin: .6rem 0; }
code { font: 13px/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
figure { margin: 0; } figure svg { width: 100%; height: auto; }
figcaption, .small { color: #57606a; font-size: .9em; }
)";

}  // namespace

std::string html_escape(const std::string& text) {
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

std::string html_page(const std::string& title, const std::string& lead, const std::string& body) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\">\n<title>{0}</title>\n<style>{1}</style>\n</head>\n<body>\n"
      "<h1>{0}</h1>\n<p class=\"lead\">{2}</p>\n{3}</body>\n</html>\n",
      html_escape(title), style, html_escape(lead), body);
}

std::string html_figure(const std::string& svg, const std::string& title, const std::string& caption) {
  if (svg.empty()) return {};
  return fmt::format("<h2>{}</h2>\n<figure>{}\n<figcaption>{}</figcaption></figure>\n", title, svg, caption);
}

std::string html_protocol(const Protocol& protocol) {
  std::string html = "<h2>Protocol</h2>\n<table class=\"facts\">\n";
  for (const auto& [key, value] : protocol) {
    const bool code = key == "command";
    html += fmt::format("<tr><td>{}</td><td>{}{}{}</td></tr>\n", html_escape(key), code ? "<code>" : "",
                        html_escape(value), code ? "</code>" : "");
  }
  return html + "</table>\n";
}

}  // namespace rtl::cli
