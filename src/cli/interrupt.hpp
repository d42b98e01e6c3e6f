// Ctrl-C and SIGTERM end a training after the current epoch, with its state kept; a second one ends the program.
#pragma once

namespace rtl::cli {

void install_interrupt_handler();
bool interrupted() noexcept;

}  // namespace rtl::cli
