// What a study found, for people: text, one self-contained HTML page, and Markdown for a page of results.
#pragma once

#include <string>

#include "studies/reproduction.hpp"

namespace rtl::cli {

/// Tables and claims, on standard output.
void print(const studies::Reproduction& reproduction);
/// Claims, charts, tables, protocol. Says why there are no charts if gnuplot is not there.
std::string html_report(const studies::Reproduction& reproduction);
/// Protocol, tables and claims.
std::string markdown_report(const studies::Reproduction& reproduction);

}  // namespace rtl::cli
