#include "rtl/core/device.hpp"

#include <fmt/format.h>
#include <omp.h>
#include <sys/mman.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <thread>
#include <utility>

#include "core/memory_limit.hpp"
#include "rtl/core/error.hpp"
#include "rtl/core/memory.hpp"
#if RTL_WITH_CUDA
#include "core/cuda/context.hpp"
#endif

namespace rtl {
namespace detail {
namespace {

class CpuContext final : public Context {
 public:
  explicit CpuContext(int threads) : Context(DeviceKind::cpu, 0, threads) {}
  ~CpuContext() override { release_all(); }

  void copy(void* to, const void* from, std::size_t bytes, CopyKind) override {
    if (bytes > 0) std::memmove(to, from, bytes);
  }
  void set(void* to, std::uint8_t value, std::size_t bytes) override {
    if (bytes > 0) std::memset(to, value, bytes);
  }
  void synchronize() override {}
  std::string description() const override {
    std::string model = "unknown processor";
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);) {
      if (line.starts_with("model name")) {
        const auto colon = line.find(':');
        if (colon != std::string::npos && colon + 2 < line.size()) model = line.substr(colon + 2);
        break;
      }
    }
    return fmt::format("{}, {} thread{}", model, threads(), threads() == 1 ? "" : "s");
  }

 private:
  static constexpr std::size_t huge_page = std::size_t{2} << 20, large = 8 * huge_page;

  std::size_t system_memory() const noexcept override {
    static const MachineMemory memory = machine_memory();
    static const std::size_t most = std::min(address_space, memory.installed + memory.swap);
    return most;
  }
  void* system_allocate(std::size_t bytes) override {
    if (!memory_left(bytes)) return nullptr;
    if (bytes < large) return std::aligned_alloc(64, bytes);
    // Rows that are gathered from all over a large table would mostly wait for the addresses of 4 KiB pages.
    void* memory = nullptr;
    if (posix_memalign(&memory, huge_page, bytes) != 0) return nullptr;
    madvise(memory, bytes / huge_page * huge_page, MADV_HUGEPAGE);
    return memory;
  }
  void system_free(void* pointer) noexcept override { std::free(pointer); }
};

/// The host beside a CUDA context.
struct HostBeside {
  explicit HostBeside(Context&) : context(std::make_shared<CpuContext>(omp_get_max_threads())) {}
  std::shared_ptr<Context> context;
};

/// Live contexts, so that two handles to the same device meet. Holds no ownership.
class Registry {
 public:
  std::shared_ptr<Context> get(DeviceKind kind, int index, int threads) {
    const std::lock_guard lock(mutex_);
    std::erase_if(entries_, [](const std::weak_ptr<Context>& entry) { return entry.expired(); });
    for (const std::weak_ptr<Context>& entry : entries_) {
      std::shared_ptr<Context> live = entry.lock();
      if (live && live->kind() == kind && live->index() == index && live->threads() == threads) return live;
    }
    std::shared_ptr<Context> made = make(kind, index, threads);
    entries_.push_back(made);
    return made;
  }

  static std::shared_ptr<Context> make(DeviceKind kind, int index, int threads) {
    if (kind == DeviceKind::cpu) return std::make_shared<CpuContext>(threads);
#if RTL_WITH_CUDA
    return make_cuda_context(index);
#else
    throw NotCompiled(fmt::format(
        "Device::cuda({}): this build has no CUDA; configure with -DRTL_CUDA=ON, or use Device::cpu()", index));
#endif
  }

  static Registry& instance() {
    static Registry registry;
    return registry;
  }

 private:
  std::mutex mutex_;
  std::vector<std::weak_ptr<Context>> entries_;
};

}  // namespace

std::unique_ptr<Replay> Context::capture(const std::function<void()>&) { return nullptr; }

void* Context::find_resource(std::type_index type) const noexcept {
  for (const auto& [key, resource] : resources_) {
    if (key == type) return resource.get();
  }
  return nullptr;
}

void* Context::keep_resource(std::type_index type, std::shared_ptr<void> resource) {
  return resources_.emplace_back(type, std::move(resource)).second.get();
}

}  // namespace detail

namespace {

int host_threads(const char* call, int threads) {
  constexpr int most = 4096;  // OpenMP keeps what it knows of a team on the stack, which overflows with very many
  if (threads < 0 || threads > most) {
    throw ValueError(fmt::format("{}: {} threads; give 0 for all, or 1 to {}", call, threads, most));
  }
  return threads > 0 ? threads : omp_get_max_threads();
}

}  // namespace

Device Device::cpu(int threads) {
  return Device(detail::Registry::instance().get(DeviceKind::cpu, 0, host_threads("Device::cpu", threads)));
}

Device Device::cuda(int index) { return Device(detail::Registry::instance().get(DeviceKind::cuda, index, 1)); }

int Device::cuda_count() noexcept {
#if RTL_WITH_CUDA
  return detail::cuda_device_count();
#else
  return 0;
#endif
}

Device Device::preferred() {
#if !RTL_CUDA_EMULATED
  if (cuda_count() > 0) return cuda(0);
#endif
  return cpu();
}

Device Device::parse(const std::string& text, int threads) {
  if (text == "cpu") return cpu(threads);
  if (text == "cuda") return cuda(0);
  if (text.starts_with("cuda:")) {
    int index = -1;
    const char* begin = text.data() + 5;
    const char* end = text.data() + text.size();
    const auto [stop, fault] = std::from_chars(begin, end, index);
    if (fault == std::errc() && stop == end && index >= 0) return cuda(index);
  }
  throw ValueError(fmt::format("'{}' is no device; use cpu, cuda or cuda:N", text));
}

Device Device::of(detail::Context& context) { return Device(context.shared_from_this()); }

DeviceKind Device::kind() const noexcept { return context_->kind(); }
int Device::index() const noexcept { return context_->index(); }
int Device::threads() const noexcept { return context_->threads(); }
std::string Device::name() const { return is_cuda() ? fmt::format("cuda:{}", index()) : "cpu"; }
std::string Device::description() const { return context_->description(); }
Device Device::separate() const { return separate(threads()); }
Device Device::separate(int threads) const {
  return Device(detail::Registry::make(kind(), index(), host_threads("Device::separate", threads)));
}
Device Device::host() const { return is_cuda() ? Device(context_->resource<detail::HostBeside>().context) : *this; }
void Device::synchronize() const { context_->synchronize(); }
MemoryStatistics Device::memory() const { return context_->memory(); }
void Device::restart_high_water() const { context_->restart_high_water(); }
void Device::trim() const { context_->trim(); }

bool operator==(const Device& a, const Device& b) noexcept {
  if (a.kind() == DeviceKind::cpu && b.kind() == DeviceKind::cpu) return true;
  return a.context_ == b.context_;
}

}  // namespace rtl
