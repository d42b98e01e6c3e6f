// Where tensors live and operations run.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <typeindex>
#include <unordered_map>
#include <utility>
#include <vector>

namespace rtl {

enum class DeviceKind : std::uint8_t { cpu, cuda };

/// What a device's caching allocator holds, in bytes, and what it was asked for.
struct MemoryStatistics {
  std::size_t in_use = 0;       ///< handed out and not yet returned
  std::size_t cached = 0;       ///< returned and kept for the next request
  std::size_t high_water = 0;   ///< largest value of in_use so far
  std::size_t allocations = 0;  ///< requests served by the system, not by the cache
  std::size_t requests = 0;     ///< all requests
  std::size_t waits = 0;        ///< times that the host has waited for the device's queue; 0 on the host
  /// "in use 12.0 MiB, cached 3.0 MiB, high-water mark 15.0 MiB".
  std::string to_string() const;
};

namespace detail {
class Context;
}

/// A handle to one device. It owns the stream, library handles, workspace and caching allocator, all made on first
/// use. Copying a Device copies the handle; all copies, and all live handles of one kind, index and thread count,
/// share one context. Operations on a CUDA device are asynchronous, in order, on the device's own stream; copies to the
/// host wait.
///
/// Threads: a handle, and handles that share a context, may be used from several threads at once. Making, copying,
/// moving and destroying tensors is safe, and so is running operations on different tensors; tensors that are only read
/// may be shared. One object that a call writes to (a tensor, a network, an optimizer, a random sequence) belongs to
/// one thread at a time unless its header says otherwise. Work of several threads on one CUDA device is queued in one
/// stream; `separate()` gives a thread a stream, or a pool of memory, of its own.
class Device {
 public:
  /// The host. `threads` is the number of OpenMP threads that its operations use; 0 means all that OpenMP grants.
  /// Results are bit-for-bit reproducible for a fixed number. Throws ValueError below 0 and above 4,096 threads.
  static Device cpu(int threads = 0);
  /// CUDA device `index`. Throws NotCompiled in a build without CUDA, DeviceError where there is no such device or no
  /// driver. In an EMULATED build, index 0 is the emulator.
  static Device cuda(int index = 0);
  /// The first CUDA device if the build and the machine have one (a real one, never the emulator), else the host.
  static Device preferred();
  /// "cpu" or "cuda" or "cuda:1". Throws ValueError for anything else.
  static Device parse(const std::string& text, int threads = 0);
  /// Number of usable CUDA devices; 0 in a build without CUDA and on a machine without a driver. Never throws.
  static int cuda_count() noexcept;

  DeviceKind kind() const noexcept;
  bool is_cuda() const noexcept { return kind() == DeviceKind::cuda; }
  int index() const noexcept;
  /// OpenMP threads of a host device; 1 for CUDA.
  int threads() const noexcept;
  /// "cpu", "cuda:0".
  std::string name() const;
  /// Marketing name and memory of the hardware, for reports.
  std::string description() const;
  /// A device of the same kind and index with its own stream, handles and allocator.
  Device separate() const;
  /// The same with another number of host threads (0: all that OpenMP grants); a CUDA device's stays 1.
  Device separate(int threads) const;
  /// Where host values and scratch memory beside this device lie: a host device itself; for a CUDA device a host device
  /// that belongs to its context, with a pool of memory of its own and all threads that OpenMP grants.
  Device host() const;

  /// The handle of a context, as views carry it (BasicView::device).
  static Device of(detail::Context& context);

  /// Waits for all queued work; throws CudaError if any of it failed.
  void synchronize() const;
  MemoryStatistics memory() const;
  /// Sets memory().high_water to what is in use, so that it tells of what follows.
  void restart_high_water() const;
  /// Returns cached blocks to the system.
  void trim() const;

  detail::Context& context() const noexcept { return *context_; }
  /// Same context: tensors of the two devices may meet in one operation. Host devices always may.
  friend bool operator==(const Device& a, const Device& b) noexcept;

 private:
  explicit Device(std::shared_ptr<detail::Context> context) : context_(std::move(context)) {}
  std::shared_ptr<detail::Context> context_;
};

namespace detail {

enum class CopyKind : std::uint8_t { within, from_host, to_host };

/// Work as Context::capture has recorded it. Lives no longer than its context.
class Replay {
 public:
  Replay() = default;
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;
  virtual ~Replay() = default;
  /// Queues the work once more, on the same addresses.
  virtual void run() = 0;
};

/// What a kind of device must provide. Kernels reach their library handles through `resource`. Everything here may be
/// called by several threads at once.
class Context : public std::enable_shared_from_this<Context> {
 public:
  Context(DeviceKind kind, int index, int threads) : kind_(kind), index_(index), threads_(threads) {}
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  virtual ~Context() = default;

  DeviceKind kind() const noexcept { return kind_; }
  int index() const noexcept { return index_; }
  int threads() const noexcept { return threads_; }

  /// 64-byte aligned (host) or 256-byte aligned (CUDA) memory; never null, also for 0 bytes. Throws OutOfMemory, before
  /// anything is touched where the request is beyond the machine's memory.
  void* allocate(std::size_t bytes);
  void deallocate(void* pointer) noexcept;
  MemoryStatistics memory() const noexcept;
  void restart_high_water() noexcept;
  void trim() noexcept;

  virtual void copy(void* to, const void* from, std::size_t bytes, CopyKind kind) = 0;
  /// Sets each of `bytes` bytes of this context's memory to `value`.
  virtual void set(void* to, std::uint8_t value, std::size_t bytes) = 0;
  virtual void synchronize() = 0;
  /// cudaStream_t of a CUDA context, which is another one for a thread that captures; null on the host.
  virtual void* stream() noexcept { return nullptr; }
  /// Calls `work` and records what it queues instead of doing it; null on the host, where nothing is called. What other
  /// threads queue meanwhile is not recorded. Memory that the work takes and returns stays with the recording, as it is
  /// written at each replay. Throws CudaError where the work waits, copies from or to the host, or captures itself, and
  /// what the work throws.
  virtual std::unique_ptr<Replay> capture(const std::function<void()>& work);
  virtual std::string description() const = 0;

  /// One object of type T for this context, made by T(*this) on first use. T's constructor may ask for other resources;
  /// they outlive it. The object is shared by all threads: it locks what it changes, or lends each call its own.
  template <typename T>
  T& resource() {
    const std::type_index type(typeid(T));
    const std::lock_guard lock(resource_mutex_);
    void* found = find_resource(type);
    return *static_cast<T*>(found != nullptr ? found : keep_resource(type, std::make_shared<T>(*this)));
  }

 protected:
  /// The most bytes that can be had at all.
  virtual std::size_t system_memory() const noexcept = 0;
  virtual void* system_allocate(std::size_t bytes) = 0;  ///< null if there is none
  virtual void system_free(void* pointer) noexcept = 0;
  /// Derived destructors call this while their system_free still exists.
  void release_all() noexcept;
  void count_wait() noexcept;

  /// From the first to the second of these calls, blocks that this thread takes and returns go to no other; end_keeping
  /// gives those that it has returned, which still count as in use, to the caller. One thread at a time.
  void begin_keeping();
  std::vector<void*> end_keeping() noexcept;
  bool keeping_here() const noexcept {
    const std::thread::id keeper = keeper_.load(std::memory_order_relaxed);
    return keeper != std::thread::id() && keeper == std::this_thread::get_id();
  }

 private:
  struct Block;
  /// Returned blocks by size; those of one size, the last returned first.
  using Cache = std::multimap<std::size_t, Block*>;
  /// A piece of what the system gave at once.
  struct Block {
    Cache::node_type node;  ///< its own of the cache while it is handed out, so that returning it does not allocate
    void* address = nullptr;
    void* origin = nullptr;  ///< where the system's memory begins
  };

  void* take_block(std::size_t wanted, std::size_t& capacity);
  void* take_kept(std::size_t wanted, std::size_t& capacity);
  void* take_cached(std::size_t wanted, std::size_t& capacity);
  void* take_new(std::size_t wanted, std::size_t& capacity);
  void split(Cache::node_type& node, std::size_t wanted);
  bool join_neighbours() noexcept;
  void release_whole(std::size_t below, std::size_t keep) noexcept;
  void trim_locked() noexcept;
  void* find_resource(std::type_index type) const noexcept;
  void* keep_resource(std::type_index type, std::shared_ptr<void> resource);

  DeviceKind kind_;
  int index_;
  int threads_;
  mutable std::mutex pool_mutex_;
  MemoryStatistics statistics_;
  Cache cached_;
  std::unordered_map<void*, Block> blocks_;         ///< all of the pool, by address
  std::unordered_map<void*, std::size_t> origins_;  ///< what the system gave
  std::atomic<std::thread::id> keeper_;
  std::vector<void*> taken_;             ///< by the keeper, returned or not
  Cache kept_;                           ///< those that it has returned
  std::recursive_mutex resource_mutex_;  ///< recursive: a resource's constructor asks for others
  std::vector<std::pair<std::type_index, std::shared_ptr<void>>> resources_;
};

}  // namespace detail
}  // namespace rtl
