// The caching allocator of a context: best fit among returned blocks; large ones are split, and joined again where no
// block is large enough.
#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "core/branch.hpp"
#include "core/memory_guard.hpp"
#include "core/memory_limit.hpp"
#include "rtl/core/device.hpp"
#include "rtl/core/error.hpp"
#include "rtl/core/memory.hpp"

namespace rtl {
namespace detail {
namespace {

/// A request from here on may be served with part of a block; smaller ones would keep large blocks from being joined.
constexpr std::size_t least_split = std::size_t{64} << 10;

/// `bytes` are below the address space.
std::size_t rounded(std::size_t bytes) {
  constexpr std::size_t grain = 512;
  return std::max(grain, (bytes + grain - 1) / grain * grain);
}

double mebibytes(std::size_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

}  // namespace

void* Context::allocate(std::size_t bytes) {
  if (kind_ == DeviceKind::cuda && in_branch()) {
    throw CudaError("memory is asked for by work that is recorded beside other work");
  }
  const std::size_t most = system_memory();
  std::size_t capacity = 0;
  void* pointer = nullptr;
  {
    const std::lock_guard lock(pool_mutex_);
    if (bytes < address_space && rounded(bytes) <= most - std::min(most, statistics_.in_use)) {
      pointer = take_block(rounded(bytes), capacity);
    }
    if (pointer == nullptr) {
      const bool host = kind_ == DeviceKind::cpu;
      throw OutOfMemory(
          fmt::format("{} bytes ({:.1f} MiB) could not be allocated on {} with {:.1f} MiB of memory ({}){}", bytes,
                      mebibytes(bytes), host ? "the host" : "the GPU", mebibytes(most), statistics_.to_string(),
                      host && memory_limited() ? "; the address space is limited (ulimit -v)" : ""));
    }
  }
  // One that is kept serves several purposes at each replay.
  open_block(kind_, pointer, keeping_here() ? capacity : bytes, capacity);
  return pointer;
}

/// Null if there is none.
void* Context::take_block(std::size_t wanted, std::size_t& capacity) {
  ++statistics_.requests;
  const bool keeping = keeping_here();
  if (keeping) {
    taken_.reserve(taken_.size() + 1);
    if (void* kept = take_kept(wanted, capacity)) return kept;
  }
  void* pointer = nullptr;
  do {
    pointer = take_cached(wanted, capacity);
  } while (pointer == nullptr && join_neighbours());
  if (pointer == nullptr) pointer = take_new(wanted, capacity);
  if (pointer == nullptr) return nullptr;
  if (keeping) taken_.push_back(pointer);
  statistics_.in_use += capacity;
  statistics_.high_water = std::max(statistics_.high_water, statistics_.in_use);
  return pointer;
}

void* Context::take_kept(std::size_t wanted, std::size_t& capacity) {
  const auto best = kept_.lower_bound(wanted);
  if (best == kept_.end()) return nullptr;
  Block& block = *best->second;
  capacity = best->first;
  block.node = kept_.extract(best);
  return block.address;
}

void* Context::take_cached(std::size_t wanted, std::size_t& capacity) {
  const auto best = cached_.lower_bound(wanted);
  if (best == cached_.end()) return nullptr;
  const std::size_t size = best->first;
  if (wanted < least_split && size > 2 * wanted) return nullptr;
  Cache::node_type node = cached_.extract(best);
  statistics_.cached -= size;
  if (wanted >= least_split && size - wanted > wanted / 4) split(node, wanted);
  Block& block = *node.mapped();
  capacity = node.key();
  block.node = std::move(node);
  return block.address;
}

/// Leaves `wanted` bytes of a block and caches the rest; or leaves all, where there is no memory for the bookkeeping.
void Context::split(Cache::node_type& node, std::size_t wanted) {
  const Block& block = *node.mapped();
  void* rest = static_cast<std::byte*>(block.address) + wanted;
  const std::size_t size = node.key() - wanted;
  try {
    Block& made = blocks_[rest];
    made.address = rest;
    made.origin = block.origin;
    cached_.emplace(size, &made);
  } catch (const std::bad_alloc&) {
    blocks_.erase(rest);
    return;
  }
  statistics_.cached += size;
  node.key() = wanted;
}

/// Makes one of cached blocks that lie side by side. True if there were such.
bool Context::join_neighbours() noexcept {
  if (blocks_.size() == origins_.size()) return false;
  std::vector<Cache::iterator> free;
  try {
    free.reserve(cached_.size());
  } catch (const std::bad_alloc&) {
    return false;
  }
  for (auto block = cached_.begin(); block != cached_.end(); ++block) free.push_back(block);
  std::ranges::sort(free, std::less<>(), [](const Cache::iterator& block) { return block->second->address; });
  bool joined = false;
  for (std::size_t i = 0; i < free.size();) {
    auto* begin = static_cast<std::byte*>(free[i]->second->address);
    const void* origin = free[i]->second->origin;
    std::size_t size = free[i]->first, next = i + 1;
    for (; next < free.size(); ++next) {
      void* neighbour = free[next]->second->address;
      if (neighbour != begin + size || free[next]->second->origin != origin) break;
      size += free[next]->first;
      cached_.erase(free[next]);
      blocks_.erase(neighbour);
    }
    if (next > i + 1) {
      Cache::node_type node = cached_.extract(free[i]);
      node.key() = size;
      cached_.insert(std::move(node));
      joined = true;
    }
    i = next;
  }
  return joined;
}

void* Context::take_new(std::size_t wanted, std::size_t& capacity) {
  // A growing sequence of sizes would otherwise hold all of them.
  if (wanted >= least_split) release_whole(wanted, std::max(wanted, statistics_.in_use));
  void* pointer = system_allocate(wanted);
  if (pointer == nullptr) {
    trim_locked();
    pointer = system_allocate(wanted);
  }
  if (pointer == nullptr) return nullptr;
  capacity = wanted;
  try {
    origins_.emplace(pointer, capacity);
    Block& block = blocks_[pointer];
    block.address = block.origin = pointer;
    Cache made;
    made.emplace(capacity, &block);
    block.node = made.extract(made.begin());
  } catch (const std::bad_alloc&) {
    origins_.erase(pointer);
    blocks_.erase(pointer);
    system_free(pointer);
    return nullptr;
  }
  ++statistics_.allocations;
  return pointer;
}

/// Returns cached blocks of fewer bytes than `below` to the system, the largest first, until only `keep` bytes are
/// cached; parts of blocks that are in use stay.
void Context::release_whole(std::size_t below, std::size_t keep) noexcept {
  auto block = cached_.lower_bound(below);
  while (block != cached_.begin() && statistics_.cached > keep) {
    --block;
    void* pointer = block->second->address;
    const auto origin = origins_.find(pointer);
    if (origin == origins_.end() || origin->second != block->first) continue;
    statistics_.cached -= block->first;
    origins_.erase(origin);
    block = cached_.erase(block);
    blocks_.erase(pointer);
    system_free(pointer);
  }
}

void Context::deallocate(void* pointer) noexcept {
  const std::lock_guard lock(pool_mutex_);
  const auto block = blocks_.find(pointer);
  if (block == blocks_.end() || block->second.node.empty()) return;
  Cache::node_type& node = block->second.node;
  const std::size_t capacity = node.key();
  if (keeping_here() && std::ranges::find(taken_, pointer) != taken_.end()) {
    kept_.insert(std::move(node));
    return;
  }
  close_block(kind_, pointer, capacity);
  cached_.insert(cached_.lower_bound(capacity), std::move(node));
  statistics_.in_use -= capacity;
  statistics_.cached += capacity;
}

MemoryStatistics Context::memory() const noexcept {
  const std::lock_guard lock(pool_mutex_);
  return statistics_;
}

void Context::restart_high_water() noexcept {
  const std::lock_guard lock(pool_mutex_);
  statistics_.high_water = statistics_.in_use;
}

void Context::trim() noexcept {
  const std::lock_guard lock(pool_mutex_);
  trim_locked();
}

void Context::trim_locked() noexcept {
  join_neighbours();
  release_whole(address_space, 0);
}

void Context::release_all() noexcept {
  while (!resources_.empty()) resources_.pop_back();
  for (const auto& [pointer, bytes] : origins_) system_free(pointer);
  origins_.clear();
  blocks_.clear();
  cached_.clear();
}

void Context::count_wait() noexcept {
  const std::lock_guard lock(pool_mutex_);
  ++statistics_.waits;
}

void Context::begin_keeping() { keeper_ = std::this_thread::get_id(); }

std::vector<void*> Context::end_keeping() noexcept {
  const std::lock_guard lock(pool_mutex_);
  std::erase_if(taken_, [&](void* pointer) { return !blocks_.find(pointer)->second.node.empty(); });
  while (!kept_.empty()) {
    Cache::node_type node = kept_.extract(kept_.begin());
    Block& block = *node.mapped();
    block.node = std::move(node);
  }
  keeper_ = std::thread::id();
  return std::exchange(taken_, {});
}

}  // namespace detail

std::string MemoryStatistics::to_string() const {
  return fmt::format("in use {:.1f} MiB, cached {:.1f} MiB, high-water mark {:.1f} MiB", detail::mebibytes(in_use),
                     detail::mebibytes(cached), detail::mebibytes(high_water));
}

}  // namespace rtl
