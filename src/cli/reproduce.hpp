// How a study becomes a subcommand of `rtl reproduce`.
#pragma once

#include "cli/command_line_classes.hpp"
#include "studies/study.hpp"

namespace rtl::cli {

/// Adds the study with the options that all have (--quick, --full, --seed, --only, --json, --html, --markdown, --csv,
/// as far as they apply) and its own. The command prints the claims, writes the files and throws Error if a claim
/// failed.
void add_study(CLI::App& reproduce, const studies::Study& study);

}  // namespace rtl::cli
