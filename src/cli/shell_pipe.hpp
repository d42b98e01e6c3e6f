// Other programs' input and output.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <cstdio>
#include <string>

namespace rtl::cli {

/// A shell command with a pipe from its output or to its input, as popen makes it, but without the signal mask of this
/// program's threads (cli/interrupt.hpp), so that Ctrl-C ends it, too.
class ShellPipe {
 public:
  enum class Direction : std::uint8_t { from_output, to_input };

  ShellPipe(const std::string& command, Direction direction);
  ShellPipe(const ShellPipe&) = delete;
  ShellPipe& operator=(const ShellPipe&) = delete;
  ~ShellPipe() { close(); }

  /// Null if the command could not be started.
  FILE* stream() const noexcept { return stream_; }
  /// Waits for the command's end; whether it was started and succeeded.
  bool close() noexcept;

 private:
  FILE* stream_ = nullptr;
  pid_t process_ = 0;
};

}  // namespace rtl::cli
