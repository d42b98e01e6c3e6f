#include "cli/standard_streams.hpp"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace rtl::cli {

namespace {

ssize_t write_all(int descriptor, const char* text, std::size_t size) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t written = ::write(descriptor, text + done, size - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return -1;
    done += static_cast<std::size_t>(written);
  }
  return static_cast<ssize_t>(size);
}

/// 0 is a stream's failure.
ssize_t write_output(void*, const char* text, std::size_t size) {
  if (write_all(STDOUT_FILENO, text, size) < 0 && errno != EPIPE) return 0;
  return static_cast<ssize_t>(size);
}

ssize_t write_errors(void*, const char* text, std::size_t size) {
  write_all(STDERR_FILENO, text, size);
  return static_cast<ssize_t>(size);
}

void replace(FILE*& stream, int descriptor, int buffering, cookie_write_function_t* write) {
  FILE* made = fopencookie(nullptr, "w", {nullptr, write, nullptr, nullptr});
  if (made == nullptr) return;
  std::setvbuf(made, nullptr, isatty(descriptor) == 1 && buffering == _IOFBF ? _IOLBF : buffering, BUFSIZ);
  stream = made;
}

}  // namespace

void outlive_readers() {
  replace(stdout, STDOUT_FILENO, _IOFBF, write_output);
  replace(stderr, STDERR_FILENO, _IONBF, write_errors);
}

bool is_standard_output(const std::string& path) noexcept {
  struct stat file {};
  struct stat output {};
  return stat(path.c_str(), &file) == 0 && fstat(STDOUT_FILENO, &output) == 0 && file.st_dev == output.st_dev &&
         file.st_ino == output.st_ino;
}

bool output_reader_gone() noexcept {
  pollfd stream = {STDOUT_FILENO, POLLOUT, 0};
  return poll(&stream, 1, 0) == 1 && (stream.revents & POLLERR) != 0;
}

}  // namespace rtl::cli
