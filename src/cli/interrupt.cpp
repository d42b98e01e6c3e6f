#include "cli/interrupt.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <ctime>
#include <filesystem>
#include <mutex>
#include <vector>

#include "cli/command_line.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/file.hpp"

namespace rtl::cli {

namespace {

namespace fs = std::filesystem;

constexpr long grace_nanoseconds = 600'000'000;
/// `timeout` sends its signal to the process and to its group, so that two come at once.
constexpr double second_signal_seconds = 0.2;

std::atomic<int> signal_number{0};
static_assert(std::atomic<int>::is_always_lock_free);
std::atomic<double> signal_time{0};
std::atomic<bool> ending{false};
sem_t wake;

std::timed_mutex kept_mutex;
std::function<std::string()> kept;
std::vector<std::string> scratch_folders;

double now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

void handle(int number) {
  const int error = errno;
  int none = 0;
  if (signal_number.compare_exchange_strong(none, number)) {
    signal_time = now();
    sem_post(&wake);
  } else if (now() - signal_time > second_signal_seconds) {
    _exit(128 + number);
  }
  errno = error;
}

const char* name_of(int number) {
  if (number == SIGINT) return "SIGINT";
  return number == SIGHUP ? "SIGHUP" : "SIGTERM";
}

/// By system calls: standard error may be locked by a thread that waits for its reader.
void say(const std::string& text) {
  pollfd stream = {STDERR_FILENO, POLLOUT, 0};
  if (poll(&stream, 1, 100) != 1 || (stream.revents & POLLOUT) == 0) return;
  const std::string line = (isatty(STDERR_FILENO) == 1 ? "\r\033[K" : "") + text;
  // A pipe that can be written takes this much at once.
  if (write(STDERR_FILENO, line.data(), std::min<std::size_t>(line.size(), PIPE_BUF)) < 0) return;
}

[[noreturn]] void end(int number) {
  try {
    io::abandon_writes();
    std::string text = fmt::format("rtl: stopped by {} before its end", name_of(number));
    std::string work;
    const std::unique_lock lock(kept_mutex, std::chrono::milliseconds(100));
    if (lock) {
      for (const std::string& folder : scratch_folders) {
        std::error_code ignored;
        fs::remove_all(folder, ignored);
      }
      if (kept) work = kept();
    }
    if (work.empty()) work = "nothing of this run is kept; files that were not yet written are as they were";
    say(fmt::format("{}; {}\n", text, work));
  } catch (...) {
    // No memory for words.
  }
  _exit(128 + number);
}

bool has_kept_work() {
  const std::unique_lock lock(kept_mutex, std::chrono::milliseconds(100));
  return lock && kept;
}

sigset_t handled() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : handled_signals) sigaddset(&set, number);
  return set;
}

void* watch(void*) {
  const sigset_t own = handled();
  pthread_sigmask(SIG_UNBLOCK, &own, nullptr);
  while (sem_wait(&wake) != 0) {
  }
  if (has_kept_work()) {
    const timespec grace = {0, grace_nanoseconds};
    nanosleep(&grace, nullptr);
  }
  if (!ending.exchange(true)) end(signal_number);
  return nullptr;
}

bool start_watching() {
  constexpr std::size_t stack_bytes = std::size_t{256} << 10;
  pthread_attr_t attributes;
  if (sem_init(&wake, 0, 0) != 0 || pthread_attr_init(&attributes) != 0) return false;
  pthread_attr_setstacksize(&attributes, stack_bytes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread{};
  const bool started = pthread_create(&thread, &attributes, watch, nullptr) == 0;
  pthread_attr_destroy(&attributes);
  return started;
}

/// An ignored SIGHUP stays so.
void set_handler(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  for (const int number : handled_signals) {
    struct sigaction before {};
    sigaction(number, nullptr, &before);
    if (number != SIGHUP || before.sa_handler != SIG_IGN) sigaction(number, &action, nullptr);
  }
}

}  // namespace

void install_interrupt_handler() {
  // A reader that went away (a pager, gnuplot) shows up as a write error, not as a silent end.
  std::signal(SIGPIPE, SIG_IGN);
  set_handler(handle);
  if (start_watching()) return;
  set_handler(SIG_DFL);
  const sigset_t all = handled();
  pthread_sigmask(SIG_UNBLOCK, &all, nullptr);
}

bool interrupted() noexcept { return signal_number != 0; }

void end_if_interrupted() noexcept {
  if (!ending.exchange(true)) {
    if (interrupted()) end(signal_number);
    return;
  }
  while (true) pause();
}

KeptWork::KeptWork(std::function<std::string()> describe) {
  const std::lock_guard lock(kept_mutex);
  kept = std::move(describe);
}

KeptWork::~KeptWork() {
  // What the object's owner knows is about to go. When a signal has come it is still wanted.
  if (interrupted()) end_if_interrupted();
  const std::lock_guard lock(kept_mutex);
  kept = nullptr;
}

ScratchFolder::ScratchFolder() : path_((fs::temp_directory_path() / "rtl-XXXXXX").string()) {
  if (mkdtemp(path_.data()) == nullptr) throw IoError(path_, "a temporary folder cannot be made");
  const std::lock_guard lock(kept_mutex);
  scratch_folders.push_back(path_);
}

ScratchFolder::~ScratchFolder() {
  const std::lock_guard lock(kept_mutex);
  std::erase(scratch_folders, path_);
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::size_t count_files(const std::string& folder, const std::string& ending) noexcept {
  std::error_code none;
  const fs::directory_iterator files(folder, none);
  return static_cast<std::size_t>(std::count_if(begin(files), end(files), [&](const fs::directory_entry& file) {
    return file.path().native().ends_with(ending);
  }));
}

std::string resume_command(bool with_flag) {
  std::string command = command_line();
  if (command.empty()) return {};
  if (with_flag && command.find(" --resume") == std::string::npos) command += " --resume";
  return "; go on with: " + command;
}

}  // namespace rtl::cli
