#include "core/memory_limit.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <string>

#include "rtl/core/memory.hpp"

namespace rtl::detail {
namespace {

/// Address space in use; 0 where the system does not tell.
std::size_t used_address_space() noexcept {
  std::array<char, 64> text{};
  const int file = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  const ssize_t got = ::read(file, text.data(), text.size() - 1);
  ::close(file);
  if (got <= 0) return 0;
  return std::strtoull(text.data(), nullptr, 10) * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

/// The least number of a control group's file in its folder and those above it.
std::size_t least_granted(const std::string& root, std::string group, const std::string& file) {
  std::size_t least = rtl::address_space;
  while (true) {
    std::ifstream stream(root + group + "/" + file);
    std::size_t granted = 0;
    if (stream >> granted && granted > 0) least = std::min(least, granted);
    if (group.empty()) return least;
    group.resize(group.find_last_of('/'));
  }
}

}  // namespace

MachineMemory machine_memory() {
  struct sysinfo facts {};
  if (sysinfo(&facts) != 0) return {rtl::address_space, 0};
  std::size_t installed = std::size_t{facts.totalram} * facts.mem_unit;
  std::string unified, of_memory;  // versions 2 and 1 of control groups
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const auto path = line.find(":/");
    if (path == std::string::npos || line.size() == path + 2) continue;
    if (line.starts_with("0::")) unified = line.substr(path + 1);
    if (line.find(":memory:") != std::string::npos) of_memory = line.substr(path + 1);
  }
  installed = std::min(installed, least_granted("/sys/fs/cgroup", unified, "memory.max"));
  installed = std::min(installed, least_granted("/sys/fs/cgroup/memory", of_memory, "memory.limit_in_bytes"));
  return {installed, std::size_t{facts.totalswap} * facts.mem_unit};
}

bool memory_limited() noexcept {
  struct rlimit limit {};
  return ::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

bool memory_left(std::size_t bytes) noexcept {
  constexpr std::size_t headroom = std::size_t{32} << 20;
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return true;
  const std::size_t used = used_address_space();
  return used + headroom <= limit.rlim_cur && bytes <= limit.rlim_cur - headroom - used;
}

}  // namespace rtl::detail
