#include "emulation/runtime.hpp"

#include <sys/mman.h>
#if RTL_EMULATION_ASAN
#include <sanitizer/asan_interface.h>
#endif

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

using Recording = std::vector<std::function<void()>>;

struct CUstream_st {
  bool capturing = false;
  bool spoiled = false;
  Recording work;
};
struct CUgraph_st {
  Recording work;
};
struct CUevent_st {
  cudaStream_t stream = nullptr;
  std::size_t last = 0;  ///< the number of the last copy that the event is behind
};
struct CUgraphExec_st {
  Recording work;
};

namespace {

/// One range of addresses, of which blocks are taken; page by page, so that all of it can be locked with one call.
/// AddressSanitizer sees a block's exact size.
class DeviceMemory {
 public:
  void* allocate(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (base_ == nullptr && !reserve()) return nullptr;
    const std::size_t size = (bytes / page + 2) * page;  // with a gap behind it
    std::byte* block = nullptr;
    if (const auto found = free_.find(size); found != free_.end()) {
      block = found->second;
      free_.erase(found);
    } else if (size <= reserved - used_) {
      block = base_ + used_;
      used_ += size;
      if (open_ > 0) protect(PROT_READ | PROT_WRITE);
    } else {
      return nullptr;
    }
    blocks_[block] = size;
#if RTL_EMULATION_ASAN
    __asan_unpoison_memory_region(block, bytes);
    __asan_poison_memory_region(block + bytes, size - bytes);
#endif
    return block;
  }
  void deallocate(void* pointer) {
    const std::lock_guard lock(mutex_);
    const auto found = blocks_.find(static_cast<std::byte*>(pointer));
    if (found == blocks_.end()) return;
#if RTL_EMULATION_ASAN
    __asan_poison_memory_region(found->first, found->second);
#endif
    if (found->second >= large) give_back(found->first, found->second);
    free_.emplace(found->second, found->first);
    blocks_.erase(found);
  }
  void open() {
    const std::lock_guard lock(mutex_);
    if (open_++ == 0) protect(PROT_READ | PROT_WRITE);
  }
  void close() {
    const std::lock_guard lock(mutex_);
    if (--open_ == 0) protect(PROT_NONE);
  }

 private:
  static constexpr std::size_t page = 4096, huge_page = std::size_t{2} << 20, large = 2 * huge_page,
                               reserved = std::size_t{1} << 38;

  static std::size_t rounded_up(std::size_t bytes) { return (bytes + huge_page - 1) / huge_page * huge_page; }

  // Locking takes its time for each page: all calls are about whole huge pages, since others would split them.
  bool reserve() {
    const std::size_t size = reserved + huge_page;
    void* range = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) return false;
    base_ = static_cast<std::byte*>(range) + (rounded_up(address(range)) - address(range));
    madvise(base_, reserved, MADV_HUGEPAGE);
    return true;
  }
  void protect(int protection) {
    if (used_ > 0) mprotect(base_, rounded_up(used_), protection);
  }
  static void give_back(std::byte* block, std::size_t size) {
    const std::size_t before = rounded_up(address(block)) - address(block);
    madvise(block + before, (size - before) / huge_page * huge_page, MADV_DONTNEED);
  }
  static std::size_t address(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

  std::mutex mutex_;
  std::byte* base_ = nullptr;
  std::size_t used_ = 0;
  int open_ = 0;
  std::map<std::byte*, std::size_t> blocks_;
  std::multimap<std::size_t, std::byte*> free_;
};

/// Never ends: tensors of static storage duration may be returned to it.
DeviceMemory& device_memory() {
  static DeviceMemory& instance = *new DeviceMemory;
  return instance;
}

/// Page-locked memory, and the copies from it that are still to be made, in the order in which they were queued.
class LateCopies {
 public:
  void* allocate(std::size_t bytes) {
    void* memory = std::malloc(bytes);
    const std::lock_guard lock(mutex_);
    if (memory != nullptr) locked_[static_cast<const std::byte*>(memory)] = bytes;
    return memory;
  }
  bool deallocate(void* memory) {
    make_until(nullptr, last());
    const std::lock_guard lock(mutex_);
    if (locked_.erase(static_cast<const std::byte*>(memory)) == 0) return false;
    std::free(memory);
    return true;
  }
  bool is_locked(const void* at) const {
    const std::lock_guard lock(mutex_);
    const auto* byte = static_cast<const std::byte*>(at);
    auto found = locked_.upper_bound(byte);
    if (found == locked_.begin()) return false;
    --found;
    return byte < found->first + found->second;
  }
  void queue(cudaStream_t stream, void* to, const void* from, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    copies_.push_back({stream, ++last_, to, from, bytes});
    waiting_ = copies_.size();
  }
  std::size_t last() const {
    const std::lock_guard lock(mutex_);
    return last_;
  }
  /// Makes those of the stream, or of all streams, up to number `last`.
  void make_until(cudaStream_t stream, std::size_t last) {
    if (waiting_ == 0) return;
    const std::lock_guard lock(mutex_);
    const emulation::DeviceAccess access;
    std::erase_if(copies_, [&](const Copy& copy) {
      if ((stream != nullptr && copy.stream != stream) || copy.number > last) return false;
      std::memcpy(copy.to, copy.from, copy.bytes);
      return true;
    });
    waiting_ = copies_.size();
  }
  void make_all(cudaStream_t stream) {
    if (waiting_ > 0) make_until(stream, last());
  }

 private:
  struct Copy {
    cudaStream_t stream;
    std::size_t number;
    void* to;
    const void* from;
    std::size_t bytes;
  };

  mutable std::mutex mutex_;
  std::map<const std::byte*, std::size_t> locked_;
  std::vector<Copy> copies_;
  std::size_t last_ = 0;
  std::atomic<std::size_t> waiting_ = 0;
};

LateCopies& late_copies() {
  static LateCopies& instance = *new LateCopies;
  return instance;
}

struct ErrorText {
  cudaError_t error;
  const char* name;
  const char* text;
};

constexpr ErrorText error_texts[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorIllegalState, "cudaErrorIllegalState", "the operation cannot be performed in the present state"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {cudaErrorStreamCaptureIsolation, "cudaErrorStreamCaptureIsolation",
     "dependency created on uncaptured work in another stream"},
    {cudaErrorStreamCaptureImplicit, "cudaErrorStreamCaptureImplicit",
     "operation would make the legacy stream depend on a capturing blocking stream"},
    {cudaErrorStreamCaptureWrongThread, "cudaErrorStreamCaptureWrongThread",
     "attempt to terminate a thread-local capture sequence from another thread"},
};

const ErrorText& text_of(cudaError_t error) {
  static constexpr ErrorText unknown{cudaSuccess, "unknown error", "unknown error"};
  const auto found = std::ranges::find(error_texts, error, &ErrorText::error);
  return found == std::end(error_texts) ? unknown : *found;
}

thread_local cudaError_t last_error = cudaSuccess;

cudaError_t remember(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

/// The stream that this thread captures.
thread_local cudaStream_t captured_here = nullptr;
thread_local cudaStreamCaptureMode capture_mode = cudaStreamCaptureModeThreadLocal;
std::atomic<int> captures = 0;
std::atomic<std::size_t> starts = 0;

cudaError_t spoil(cudaError_t error) {
  if (captured_here != nullptr) captured_here->spoiled = true;
  return remember(error);
}

bool memory_refused() { return captured_here != nullptr && capture_mode != cudaStreamCaptureModeRelaxed; }

bool is_capturing(cudaStream_t stream) { return stream != nullptr && stream->capturing; }

}  // namespace

const char* cudaGetErrorName(cudaError_t error) { return text_of(error).name; }
const char* cudaGetErrorString(cudaError_t error) { return text_of(error).text; }

cudaError_t cudaGetLastError() {
  const cudaError_t error = last_error;
  last_error = cudaSuccess;
  return error;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int index) { return remember(index == 0 ? cudaSuccess : cudaErrorInvalidDevice); }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int index) {
  if (index != 0) return remember(cudaErrorInvalidDevice);
  const char* limit = std::getenv("RTL_EMULATED_MEMORY");
  const std::size_t bytes = limit != nullptr ? std::strtoull(limit, nullptr, 10) : std::size_t{4} << 30;
  *properties = {"emulator (kernels run on the host)", bytes, 0, 0};
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int index) {
  if (index != 0 || attribute != cudaDevAttrMultiProcessorCount) return remember(cudaErrorInvalidValue);
  *value = emulation::multiprocessors;
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new CUstream_st;
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  late_copies().make_all(stream);
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (stream == nullptr && captured_here != nullptr) return spoil(cudaErrorStreamCaptureImplicit);
  if (!is_capturing(stream)) {
    late_copies().make_all(stream);
    return cudaSuccess;
  }
  stream->spoiled = true;
  return remember(cudaErrorStreamCaptureUnsupported);
}

cudaError_t cudaDeviceSynchronize() {
  if (captures > 0) return spoil(cudaErrorStreamCaptureUnsupported);
  late_copies().make_all(nullptr);
  return cudaSuccess;
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  std::swap(*mode, capture_mode);
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (stream == nullptr) return remember(cudaErrorStreamCaptureUnsupported);
  if (stream->capturing || captured_here != nullptr) return remember(cudaErrorIllegalState);
  *stream = {.capturing = true, .spoiled = false, .work = {}};
  captured_here = stream;
  ++captures;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  if (!is_capturing(stream)) return remember(cudaErrorIllegalState);
  if (captured_here != stream) return remember(cudaErrorStreamCaptureWrongThread);
  CUstream_st ended = std::exchange(*stream, {});
  captured_here = nullptr;
  --captures;
  if (ended.spoiled) return remember(cudaErrorStreamCaptureInvalidated);
  *graph = new CUgraph_st{std::move(ended.work)};
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  *executable = new CUgraphExec_st{graph->work};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  const Recording& work = executable->work;
  return emulation::submit(stream, [&work] {
    for (const auto& step : work) step();
    starts += work.size();
  });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  *pointer = nullptr;
  if (memory_refused()) return spoil(cudaErrorStreamCaptureUnsupported);
  cudaDeviceProp properties;
  cudaGetDeviceProperties(&properties, 0);
  if (bytes <= properties.totalGlobalMem) *pointer = device_memory().allocate(bytes);
  if (*pointer == nullptr) return remember(cudaErrorMemoryAllocation);
  const emulation::DeviceAccess access;
  std::memset(*pointer, 0xff, bytes);
  return cudaSuccess;
}

cudaError_t cudaFree(void* pointer) {
  if (memory_refused()) return spoil(cudaErrorStreamCaptureUnsupported);
  late_copies().make_all(nullptr);
  device_memory().deallocate(pointer);
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** pointer, std::size_t bytes, unsigned) {
  *pointer = nullptr;
  if (memory_refused()) return spoil(cudaErrorStreamCaptureUnsupported);
  *pointer = late_copies().allocate(bytes);
  return *pointer != nullptr ? cudaSuccess : remember(cudaErrorMemoryAllocation);
}

cudaError_t cudaFreeHost(void* pointer) {
  if (memory_refused()) return spoil(cudaErrorStreamCaptureUnsupported);
  return late_copies().deallocate(pointer) ? cudaSuccess : remember(cudaErrorInvalidValue);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new CUevent_st;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (is_capturing(stream)) return spoil(cudaErrorStreamCaptureUnsupported);
  *event = {stream, late_copies().last()};
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (captured_here != nullptr) return spoil(cudaErrorStreamCaptureUnsupported);
  if (event->stream != nullptr) late_copies().make_until(event->stream, event->last);
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  return captured_here != nullptr ? spoil(cudaErrorStreamCaptureImplicit)
                                  : cudaMemcpyAsync(to, from, bytes, kind, nullptr);
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  if (is_capturing(stream) && kind != cudaMemcpyDeviceToDevice) return spoil(cudaErrorStreamCaptureUnsupported);
  if (kind == cudaMemcpyHostToDevice && stream != nullptr && late_copies().is_locked(from)) {
    cudaError_t error = cudaSuccess;
    if (emulation::admit(stream, error) == emulation::Admission::now) late_copies().queue(stream, to, from, bytes);
    return error;
  }
  return emulation::submit(stream, [=] {
    const emulation::DeviceAccess access;
    if (bytes > 0) std::memmove(to, from, bytes);
  });
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  return emulation::submit(stream, [=] {
    const emulation::DeviceAccess access;
    if (bytes > 0) std::memset(to, value, bytes);
  });
}

namespace emulation {

std::size_t started() noexcept { return starts; }

Admission admit(cudaStream_t stream, cudaError_t& error) {
  if (is_capturing(stream)) {
    if (!stream->spoiled) return Admission::recorded;
    error = remember(cudaErrorStreamCaptureInvalidated);
    return Admission::refused;
  }
  if (captured_here == nullptr) {
    ++starts;
    late_copies().make_all(stream);
    return Admission::now;
  }
  error = spoil(stream == nullptr ? cudaErrorStreamCaptureImplicit : cudaErrorStreamCaptureIsolation);
  return Admission::refused;
}

void record(cudaStream_t stream, std::function<void()> work) { stream->work.push_back(std::move(work)); }

DeviceAccess::DeviceAccess() { device_memory().open(); }
DeviceAccess::~DeviceAccess() { device_memory().close(); }

}  // namespace emulation
