#include "cli/interrupt.hpp"

#include <atomic>
#include <csignal>

namespace rtl::cli {

namespace {

std::atomic<bool> flag{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void handle(int signal) {
  if (flag.exchange(true)) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

}  // namespace

void install_interrupt_handler() {
  std::signal(SIGINT, handle);
  std::signal(SIGTERM, handle);
  // A reader that went away (a pager, gnuplot) shows up as a write error, not as a silent end.
  std::signal(SIGPIPE, SIG_IGN);
}

bool interrupted() noexcept { return flag; }

}  // namespace rtl::cli
