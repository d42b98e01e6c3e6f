// The command that started this program, for reports.
#pragma once

#include <string>

namespace rtl::cli {

/// Quoted for a shell, the program's name without its folder. Empty if the system does not tell.
std::string command_line();

}  // namespace rtl::cli
