// What must be settled before libgomp and OpenBLAS are initialised, which read the environment, take memory and start
// threads when they are loaded: this runs from .preinit_array, ahead of every library's constructors, and uses system
// calls only.
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "cli/interrupt.hpp"
#include "core/memory_limit.hpp"

namespace {

constexpr std::uint64_t handled_mask = [] {
  std::uint64_t mask = 0;
  for (const int number : rtl::cli::handled_signals) mask |= std::uint64_t{1} << (number - 1);
  return mask;
}();

/// Threads, also those of libraries, inherit this, and so does the program that is executed again. The C library's own
/// function is the sanitizers' before they are awake.
__attribute__((no_sanitize("address", "thread", "undefined"))) void block_signals() {
  syscall(SYS_rt_sigprocmask, SIG_BLOCK, &handled_mask, nullptr, sizeof handled_mask);
}

[[gnu::section(".preinit_array"), gnu::used]] void (*const first)() = block_signals;

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // which are not yet awake then

const char* value_of(char** environment, const char* name) {
  const std::size_t length = std::strlen(name);
  for (char** entry = environment; *entry != nullptr; ++entry) {
    if (std::strncmp(*entry, name, length) == 0 && (*entry)[length] == '=') return *entry + length + 1;
  }
  return nullptr;
}

long thread_count(char** environment) {
  const char* asked = value_of(environment, "OMP_NUM_THREADS");
  const long threads = asked != nullptr ? std::strtol(asked, nullptr, 10) : 0;
  if (threads > 0) return threads;
  cpu_set_t cores;
  return sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
}

/// OpenBLAS waits for ever where it gets no memory for its buffers.
bool check_memory(char** environment) {
  struct rlimit limit {};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return false;
  const auto needed = [](long threads) {
    return (rtl::detail::program_bytes + static_cast<std::size_t>(threads) * rtl::detail::thread_bytes) >> 20;
  };
  const long threads = thread_count(environment);
  const std::size_t limit_mebibytes = limit.rlim_cur >> 20;
  if (limit_mebibytes >= needed(threads)) return true;
  std::array<char, 300> text{};
  int length = std::snprintf(text.data(), text.size(),
                             "rtl: out of memory: the address space is limited to %zu MiB (ulimit -v), and with %ld "
                             "thread%s the program needs %zu MiB at least; raise the limit",
                             limit_mebibytes, threads, threads == 1 ? "" : "s", needed(threads));
  if (threads > 1 && limit_mebibytes >= needed(1)) {
    length += std::snprintf(text.data() + length, text.size() - static_cast<std::size_t>(length),
                            ", or set OMP_NUM_THREADS=1 (%zu MiB)", needed(1));
  }
  text[static_cast<std::size_t>(length)] = '\n';
  if (write(STDERR_FILENO, text.data(), static_cast<std::size_t>(length) + 1) < 0) _exit(1);
  _exit(1);
}

/// Executes the program again with these settings beside its own, which libraries read when they are loaded. Goes on
/// without them where that is not possible, and under valgrind, which would lose the program.
void execute_again(char** arguments, char** environment, std::initializer_list<const char*> more) {
  const char* preloaded = value_of(environment, "LD_PRELOAD");
  if (preloaded != nullptr && std::strstr(preloaded, "vgpreload") != nullptr) return;
  std::array<char, PATH_MAX> path{};
  const ssize_t length = readlink("/proc/self/exe", path.data(), path.size() - 1);
  if (length <= 0) return;
  std::size_t count = 0;
  while (environment[count] != nullptr) ++count;
  constexpr std::size_t most = 4096;
  static std::array<const char*, most + 3> settings;
  if (count > most) return;
  std::memcpy(static_cast<void*>(settings.data()), static_cast<const void*>(environment), count * sizeof(char*));
  for (const char* setting : more) {
    if (setting != nullptr) settings[count++] = setting;
  }
  execve(path.data(), arguments, const_cast<char**>(settings.data()));
}

void start(int, char** arguments, char** environment) {
  const char* passive = nullptr;
  const char* one_arena = nullptr;
  // Threads that wait actively take the processor from those that work, where there is other work on the machine.
  if (value_of(environment, "OMP_WAIT_POLICY") == nullptr && value_of(environment, "GOMP_SPINCOUNT") == nullptr) {
    passive = "OMP_WAIT_POLICY=passive";
  }
  // The C library would set 64 MiB aside for each thread, 128 for a moment, also while oneDNN, which crashes where it
  // gets no memory, relies on what is left.
  if (check_memory(environment) && value_of(environment, "MALLOC_ARENA_MAX") == nullptr) {
    one_arena = "MALLOC_ARENA_MAX=1";
  }
  if (passive != nullptr || one_arena != nullptr) execute_again(arguments, environment, {passive, one_arena});
}

[[gnu::section(".preinit_array"), gnu::used]] void (*const second)(int, char**, char**) = start;

#endif

}  // namespace
