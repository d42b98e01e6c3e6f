// rtl reproduce linear-transfer: the transfer advisor on real data, against scratch and against always transferring.
#pragma once

#include "cli/command_line_classes.hpp"

namespace rtl::cli {

/// Adds the study to `rtl reproduce`.
void add_linear_transfer_study(CLI::App& reproduce);

}  // namespace rtl::cli
