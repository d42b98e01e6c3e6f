#include "rtl/core/device.hpp"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <thread>

#include "core/memory_guard.hpp"
#include "rtl/core/error.hpp"
#if RTL_WITH_CUDA
#include "core/cuda/context.hpp"
#endif

namespace rtl {
namespace detail {
namespace {

/// Cached blocks up to this many times the request are reused, so that a small request does not pin a huge block.
constexpr std::size_t reuse_factor = 2;

std::size_t rounded(std::size_t bytes) {
  constexpr std::size_t grain = 512;
  return std::max(grain, (bytes + grain - 1) / grain * grain);
}

class CpuContext final : public Context {
 public:
  explicit CpuContext(int threads) : Context(DeviceKind::cpu, 0, threads) {}
  ~CpuContext() override { release_all(); }

  void copy(void* to, const void* from, std::size_t bytes, CopyKind) override {
    if (bytes > 0) std::memmove(to, from, bytes);
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
  void* system_allocate(std::size_t bytes) override { return std::aligned_alloc(64, bytes); }
  void system_free(void* pointer) noexcept override { std::free(pointer); }
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

void* Context::allocate(std::size_t bytes) {
  const std::size_t wanted = rounded(bytes);
  // Room for every block in either list, so that deallocate cannot throw; before any iterator is taken. Doubling, since
  // reserving one more each time would copy the lists on every call.
  const std::size_t blocks = used_.size() + cached_.size() + 1;
  if (used_.capacity() < blocks) used_.reserve(2 * blocks);
  if (cached_.capacity() < blocks) cached_.reserve(2 * blocks);
  auto best = cached_.end();
  for (auto block = cached_.begin(); block != cached_.end(); ++block) {
    if (block->bytes < wanted || block->bytes > reuse_factor * wanted) continue;
    if (best == cached_.end() || block->bytes < best->bytes) best = block;
  }
  Block block{nullptr, wanted};
  if (best != cached_.end()) {
    block = *best;
    cached_.erase(best);
    statistics_.cached -= block.bytes;
  } else {
    block.pointer = system_allocate(wanted);
    if (block.pointer == nullptr) {
      trim();
      block.pointer = system_allocate(wanted);
    }
    if (block.pointer == nullptr) {
      throw OutOfMemory(
          fmt::format("{} bytes could not be allocated on {} ({})", wanted, description(), statistics_.to_string()));
    }
    ++statistics_.allocations;
  }
  used_.push_back(block);
  statistics_.in_use += block.bytes;
  statistics_.high_water = std::max(statistics_.high_water, statistics_.in_use);
  open_block(kind_, block.pointer, bytes, block.bytes);
  return block.pointer;
}

void Context::deallocate(void* pointer) noexcept {
  // Recent allocations are returned first, so the search starts at the end.
  for (auto block = used_.rbegin(); block != used_.rend(); ++block) {
    if (block->pointer != pointer) continue;
    close_block(kind_, block->pointer, block->bytes);
    cached_.push_back(*block);
    statistics_.in_use -= block->bytes;
    statistics_.cached += block->bytes;
    *block = used_.back();
    used_.pop_back();
    return;
  }
}

void Context::trim() noexcept {
  for (const Block& block : cached_) system_free(block.pointer);
  cached_.clear();
  statistics_.cached = 0;
}

void Context::release_all() noexcept {
  while (!resources_.empty()) resources_.pop_back();
  trim();
  for (const Block& block : used_) system_free(block.pointer);
  used_.clear();
}

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

std::string MemoryStatistics::to_string() const {
  const auto mebibytes = [](std::size_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
  return fmt::format("in use {:.1f} MiB, cached {:.1f} MiB, high-water mark {:.1f} MiB", mebibytes(in_use),
                     mebibytes(cached), mebibytes(high_water));
}

Device Device::cpu(int threads) {
  if (threads < 0)
    throw ValueError(fmt::format("Device::cpu: {} threads; give 0 for all, or a positive count", threads));
  const int count = threads > 0 ? threads : omp_get_max_threads();
  return Device(detail::Registry::instance().get(DeviceKind::cpu, 0, count));
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

DeviceKind Device::kind() const noexcept { return context_->kind(); }
int Device::index() const noexcept { return context_->index(); }
int Device::threads() const noexcept { return context_->threads(); }
std::string Device::name() const { return is_cuda() ? fmt::format("cuda:{}", index()) : "cpu"; }
std::string Device::description() const { return context_->description(); }
Device Device::separate() const { return Device(detail::Registry::make(kind(), index(), threads())); }
void Device::synchronize() const { context_->synchronize(); }
MemoryStatistics Device::memory() const { return context_->memory(); }
void Device::trim() const { context_->trim(); }

bool operator==(const Device& a, const Device& b) noexcept {
  if (a.kind() == DeviceKind::cpu && b.kind() == DeviceKind::cpu) return true;
  return a.context_ == b.context_;
}

}  // namespace rtl
