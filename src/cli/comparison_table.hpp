// A comparison as a table for the terminal.
#pragma once

#include <string>

#include "rtl/transfer/compare.hpp"

namespace rtl::cli {

/// A row a strategy, then the conclusion and the notes.
std::string comparison_table(const transfer::Comparison& comparison);

/// Throws Error, naming the option to change, where nothing could be compared: scratch, or every other strategy, has no
/// run that did not diverge.
void require_results(const transfer::Comparison& comparison);

}  // namespace rtl::cli
