// Ranges of numbers on the command line.
#pragma once

#include "cli/command_line_classes.hpp"

namespace rtl::cli {

/// Refuses numbers below `least`, and what is no number.
CLI::Validator at_least(int least);
/// Refuses numbers outside [least, most], and what is no number.
CLI::Validator between(int least, int most);
/// Refuses numbers that are not above 0 or not finite, and what is no number.
CLI::Validator above_zero();
/// A number in [0, 1).
CLI::Validator share_below_one();

}  // namespace rtl::cli
