#include "emulation/runtime.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "memory.hpp"
#include "recording.hpp"

namespace emulation {

/// The capture of a stream, and of those that wait for its events.
struct Capture {
  bool spoiled = false;
  Recording work;
  std::vector<cudaStream_t> streams;  ///< the first is where it began; none when it has ended
};

}  // namespace emulation

using emulation::Capture;
using emulation::device_memory;
using emulation::late_copies;
using emulation::Recording;

struct CUstream_st {
  std::shared_ptr<Capture> capture;
  std::size_t number = 0;   ///< among those of the capture
  Recording::Nodes behind;  ///< what its next work waits for
};
struct CUgraph_st {
  Recording work;
};
struct CUevent_st {
  cudaStream_t stream = nullptr;
  std::size_t last = 0;  ///< the number of the last copy that the event is behind
  std::shared_ptr<Capture> capture;
  Recording::Nodes behind;
};
struct CUgraphExec_st {
  Recording work;
};

namespace {

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
    {cudaErrorStreamCaptureMerge, "cudaErrorStreamCaptureMerge", "operation would merge two independent captures"},
    {cudaErrorStreamCaptureUnmatched, "cudaErrorStreamCaptureUnmatched", "capture was not initiated in this stream"},
    {cudaErrorStreamCaptureUnjoined, "cudaErrorStreamCaptureUnjoined", "capturing stream has unjoined work"},
    {cudaErrorCapturedEvent, "cudaErrorCapturedEvent",
     "operation not permitted on an event last recorded in a capturing stream"},
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
  if (captured_here != nullptr) captured_here->capture->spoiled = true;
  return remember(error);
}

bool memory_refused() { return captured_here != nullptr && capture_mode != cudaStreamCaptureModeRelaxed; }

bool is_capturing(cudaStream_t stream) { return stream != nullptr && stream->capture != nullptr; }

/// Takes all streams out of a capture.
std::shared_ptr<Capture> end(std::shared_ptr<Capture> capture) {
  for (cudaStream_t stream : std::exchange(capture->streams, {})) *stream = {};
  return capture;
}

/// Whether all that other streams did is waited for in the first.
bool is_joined(const Capture& capture) {
  const Recording::Nodes& ends = capture.streams.front()->behind;
  return std::ranges::all_of(capture.streams,
                             [&](cudaStream_t stream) { return capture.work.are_behind(ends, stream->behind); });
}

/// What makes `stream` wait for an event that a capture has recorded; it becomes one of the capture's.
cudaError_t wait_in_capture(cudaStream_t stream, const CUevent_st& event) {
  if (event.capture->streams.empty()) return spoil(cudaErrorCapturedEvent);
  if (event.capture->spoiled) return remember(cudaErrorStreamCaptureInvalidated);
  if (!is_capturing(stream)) {
    *stream = {event.capture, event.capture->streams.size(), {}};
    event.capture->streams.push_back(stream);
  }
  if (stream->capture != event.capture) return spoil(cudaErrorStreamCaptureMerge);
  for (const std::size_t node : event.behind) {
    if (std::ranges::find(stream->behind, node) == stream->behind.end()) stream->behind.push_back(node);
  }
  return cudaSuccess;
}

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
  stream->capture->spoiled = true;
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
  if (is_capturing(stream) || captured_here != nullptr) return remember(cudaErrorIllegalState);
  *stream = {std::make_shared<Capture>(), 0, {}};
  stream->capture->streams = {stream};
  captured_here = stream;
  ++captures;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  if (!is_capturing(stream)) return remember(cudaErrorIllegalState);
  if (stream->number != 0) return spoil(cudaErrorStreamCaptureUnmatched);
  if (captured_here != stream) return remember(cudaErrorStreamCaptureWrongThread);
  const bool joined = is_joined(*stream->capture);
  const std::shared_ptr<Capture> ended = end(stream->capture);
  captured_here = nullptr;
  --captures;
  if (ended->spoiled) return remember(cudaErrorStreamCaptureInvalidated);
  if (!joined) return remember(cudaErrorStreamCaptureUnjoined);
  *graph = new CUgraph_st{std::move(ended->work)};
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  *executable = new CUgraphExec_st{graph->work};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  const Recording& work = executable->work;
  return emulation::submit(stream, [&work] {
    work.run();
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

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  *attributes = {late_copies().is_locked(pointer)    ? cudaMemoryTypeHost
                 : device_memory().contains(pointer) ? cudaMemoryTypeDevice
                                                     : cudaMemoryTypeUnregistered};
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new CUevent_st;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (is_capturing(stream)) {
    if (stream->capture->spoiled) return remember(cudaErrorStreamCaptureInvalidated);
    *event = {stream, 0, stream->capture, stream->behind};
  } else {
    *event = {stream, late_copies().last(), nullptr, {}};
  }
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  if (stream == nullptr)
    return captured_here != nullptr ? spoil(cudaErrorStreamCaptureImplicit) : cudaEventSynchronize(event);
  if (event->capture != nullptr) return wait_in_capture(stream, *event);
  if (is_capturing(stream)) return spoil(cudaErrorStreamCaptureIsolation);
  if (event->stream != nullptr) late_copies().make_until(event->stream, event->last);
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (captured_here != nullptr) return spoil(cudaErrorStreamCaptureUnsupported);
  if (event->capture != nullptr) return remember(cudaErrorCapturedEvent);
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
    if (!stream->capture->spoiled) return Admission::recorded;
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

void record(cudaStream_t stream, std::function<void()> work) {
  stream->behind = {stream->capture->work.add(stream->number, std::move(work), std::move(stream->behind))};
}

DeviceAccess::DeviceAccess() { device_memory().open(); }
DeviceAccess::~DeviceAccess() { device_memory().close(); }

}  // namespace emulation
