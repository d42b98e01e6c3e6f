#include "cli/shell_pipe.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

namespace rtl::cli {

namespace {

/// Process 0 if it could not be started. `end` becomes the command's descriptor `own`.
pid_t start(std::string command, int end, int own) {
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t actions;
  if (posix_spawnattr_init(&attributes) != 0) return 0;
  if (posix_spawn_file_actions_init(&actions) != 0) {
    posix_spawnattr_destroy(&attributes);
    return 0;
  }
  sigset_t blocked, standard;
  sigemptyset(&blocked);
  sigemptyset(&standard);
  sigaddset(&standard, SIGPIPE);  // what this program ignores for itself
  posix_spawnattr_setsigmask(&attributes, &blocked);
  posix_spawnattr_setsigdefault(&attributes, &standard);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  char shell[] = "sh", flag[] = "-c";
  char* arguments[] = {shell, flag, command.data(), nullptr};
  pid_t process = 0;
  if (posix_spawn_file_actions_adddup2(&actions, end, own) != 0 ||
      posix_spawn(&process, "/bin/sh", &actions, &attributes, arguments, environ) != 0) {
    process = 0;
  }
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return process;
}

}  // namespace

ShellPipe::ShellPipe(const std::string& command, Direction direction) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return;
  const bool reads = direction == Direction::from_output;
  const int mine = ends[reads ? 0 : 1], other = ends[reads ? 1 : 0];
  process_ = start(command, other, reads ? STDOUT_FILENO : STDIN_FILENO);
  ::close(other);
  if (process_ != 0) stream_ = fdopen(mine, reads ? "r" : "w");
  if (stream_ == nullptr) ::close(mine);
}

bool ShellPipe::close() noexcept {
  const bool written = stream_ != nullptr && std::fclose(std::exchange(stream_, nullptr)) == 0;
  const pid_t process = std::exchange(process_, 0);
  if (process == 0) return false;
  int status = 0;
  pid_t ended = 0;
  do {
    ended = waitpid(process, &status, 0);
  } while (ended < 0 && errno == EINTR);
  return written && ended == process && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace rtl::cli
