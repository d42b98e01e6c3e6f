#include "core/cuda/context.hpp"

#include <fmt/format.h>

#include <mutex>
#include <utility>
#include <vector>

#include "core/branch.hpp"
#include "core/cuda/error.hpp"
#include "rtl/core/error.hpp"

namespace rtl::detail {
namespace {

cudaMemcpyKind runtime_kind(CopyKind kind) {
  switch (kind) {
    case CopyKind::within:
      return cudaMemcpyDeviceToDevice;
    case CopyKind::from_host:
      return cudaMemcpyHostToDevice;
    case CopyKind::to_host:
      break;
  }
  return cudaMemcpyDeviceToHost;
}

/// Lets a thread that captures get and return memory: what the recorded work uses is kept apart.
class MemoryAllowed {
 public:
  MemoryAllowed() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  ~MemoryAllowed() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  MemoryAllowed(const MemoryAllowed&) = delete;
  MemoryAllowed& operator=(const MemoryAllowed&) = delete;

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

/// One stream. Freed blocks go back to the base class's cache at once: whoever gets them next works on the same
/// stream, behind the work that still uses them.
class CudaContext final : public Context {
 public:
  explicit CudaContext(int index) : Context(DeviceKind::cuda, index, 1) {
    RTL_CUDA_CHECK(cudaSetDevice(index));
    cudaDeviceProp properties{};
    RTL_CUDA_CHECK(cudaGetDeviceProperties(&properties, index));
    memory_ = properties.totalGlobalMem;
    RTL_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    constexpr std::size_t bytes = ticket_count * sizeof(unsigned);
    void* memory = nullptr;
    RTL_CUDA_CHECK(cudaMalloc(&memory, bytes));
    tickets_ = static_cast<unsigned*>(memory);
    RTL_CUDA_CHECK(cudaMemsetAsync(tickets_, 0, bytes, stream_));
  }
  ~CudaContext() override {
    cudaSetDevice(index());
    cudaStreamSynchronize(stream_);
    release_all();
    cudaFree(tickets_);
    cudaStreamDestroy(stream_);
    for (cudaStream_t stream : {recorder_, branch_}) {
      if (stream != nullptr) cudaStreamDestroy(stream);
    }
    for (cudaEvent_t event : {forked_, joined_}) {
      if (event != nullptr) cudaEventDestroy(event);
    }
  }

  void copy(void* to, const void* from, std::size_t bytes, CopyKind kind) override {
    if (bytes == 0) return;
    RTL_CUDA_CHECK(cudaSetDevice(index()));
    RTL_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, runtime_kind(kind), current()));
    if (kind != CopyKind::within) synchronize();
  }
  void set(void* to, std::uint8_t value, std::size_t bytes) override {
    if (bytes == 0) return;
    RTL_CUDA_CHECK(cudaSetDevice(index()));
    RTL_CUDA_CHECK(cudaMemsetAsync(to, value, bytes, current()));
  }
  void synchronize() override {
    RTL_CUDA_CHECK(cudaSetDevice(index()));
    RTL_CUDA_CHECK(cudaStreamSynchronize(current()));
    count_wait();
  }
  void* stream() noexcept override { return current(); }
  unsigned* tickets() const {
    if (in_branch()) throw CudaError("blocks count themselves in work that is recorded beside other work");
    return tickets_;
  }
  std::unique_ptr<Replay> capture(const std::function<void()>& work) override;
  void beside(const std::function<void()>& work);
  void join();
  std::string description() const override {
    cudaDeviceProp properties{};
    RTL_CUDA_CHECK(cudaGetDeviceProperties(&properties, index()));
    return fmt::format("{}, {:.1f} GiB, compute capability {}.{}", properties.name,
                       static_cast<double>(properties.totalGlobalMem) / (std::size_t{1} << 30), properties.major,
                       properties.minor);
  }

 private:
  std::size_t system_memory() const noexcept override { return memory_; }
  void* system_allocate(std::size_t bytes) override {
    RTL_CUDA_CHECK(cudaSetDevice(index()));
    const MemoryAllowed allowed;
    void* pointer = nullptr;
    const cudaError_t status = cudaMalloc(&pointer, bytes);
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      return nullptr;
    }
    RTL_CUDA_CHECK(status);
    return pointer;
  }
  void system_free(void* pointer) noexcept override {
    cudaSetDevice(index());
    const MemoryAllowed allowed;
    cudaFree(pointer);
  }

  friend class GraphReplay;

  cudaStream_t current() const noexcept {
    if (!keeping_here()) return stream_;
    return in_branch() ? branch_ : recorder_;
  }
  void make_recorders();
  cudaGraph_t record(const std::function<void()>& work);

  std::size_t memory_ = 0;
  cudaStream_t stream_ = nullptr;
  unsigned* tickets_ = nullptr;
  std::mutex capture_turn_;
  cudaStream_t recorder_ = nullptr;  ///< what a capturing thread queues in, so that it does not record other threads
  cudaStream_t branch_ = nullptr;    ///< and what it queues the work of branches in
  cudaEvent_t forked_ = nullptr, joined_ = nullptr;
  bool branched_ = false;  ///< the recording has branches that are not joined yet
};

/// An instantiated graph, and the scratch memory that its kernels write to.
class GraphReplay final : public Replay {
 public:
  explicit GraphReplay(CudaContext& context) : context_(context) {}
  ~GraphReplay() override {
    cudaSetDevice(context_.index());
    if (graph_ != nullptr) cudaGraphExecDestroy(graph_);
    for (void* block : scratch_) context_.deallocate(block);
  }
  void run() override {
    RTL_CUDA_CHECK(cudaSetDevice(context_.index()));
    RTL_CUDA_CHECK(cudaGraphLaunch(graph_, context_.stream_));
  }
  void take(std::vector<void*> scratch) noexcept { scratch_ = std::move(scratch); }
  void instantiate(cudaGraph_t recorded) {
    const cudaError_t status = cudaGraphInstantiate(&graph_, recorded, 0);
    cudaGraphDestroy(recorded);
    RTL_CUDA_CHECK(status);
  }

 private:
  CudaContext& context_;
  cudaGraphExec_t graph_ = nullptr;
  std::vector<void*> scratch_;
};

void CudaContext::make_recorders() {
  if (joined_ != nullptr) return;
  if (recorder_ == nullptr) RTL_CUDA_CHECK(cudaStreamCreateWithFlags(&recorder_, cudaStreamNonBlocking));
  if (branch_ == nullptr) RTL_CUDA_CHECK(cudaStreamCreateWithFlags(&branch_, cudaStreamNonBlocking));
  if (forked_ == nullptr) RTL_CUDA_CHECK(cudaEventCreateWithFlags(&forked_, cudaEventDisableTiming));
  RTL_CUDA_CHECK(cudaEventCreateWithFlags(&joined_, cudaEventDisableTiming));
}

void CudaContext::beside(const std::function<void()>& work) {
  if (!keeping_here() || in_branch()) return work();
  RTL_CUDA_CHECK(cudaEventRecord(forked_, recorder_));
  RTL_CUDA_CHECK(cudaStreamWaitEvent(branch_, forked_, 0));
  branched_ = true;
  const BranchScope scope;
  work();
}

void CudaContext::join() {
  if (!keeping_here() || !std::exchange(branched_, false)) return;
  RTL_CUDA_CHECK(cudaEventRecord(joined_, branch_));
  RTL_CUDA_CHECK(cudaStreamWaitEvent(recorder_, joined_, 0));
}

/// The recording of `work`; the stream captures no more when this returns or throws.
cudaGraph_t CudaContext::record(const std::function<void()>& work) {
  RTL_CUDA_CHECK(cudaStreamBeginCapture(recorder_, cudaStreamCaptureModeThreadLocal));
  cudaGraph_t graph = nullptr;
  branched_ = false;
  try {
    work();
    join();
  } catch (...) {
    cudaStreamEndCapture(recorder_, &graph);
    if (graph != nullptr) cudaGraphDestroy(graph);
    cudaGetLastError();
    throw;
  }
  RTL_CUDA_CHECK(cudaStreamEndCapture(recorder_, &graph));
  return graph;
}

std::unique_ptr<Replay> CudaContext::capture(const std::function<void()>& work) {
  if (keeping_here()) throw CudaError("capture: this thread is capturing already");
  const std::lock_guard turn(capture_turn_);
  RTL_CUDA_CHECK(cudaSetDevice(index()));
  make_recorders();
  auto replay = std::make_unique<GraphReplay>(*this);
  begin_keeping();
  cudaGraph_t graph = nullptr;
  try {
    graph = record(work);
  } catch (...) {
    replay->take(end_keeping());
    throw;
  }
  replay->take(end_keeping());
  replay->instantiate(graph);
  return replay;
}

}  // namespace

void throw_cuda_error(cudaError_t error, const char* call, const char* file, int line) {
  const char* remedy = "";
#if !RTL_CUDA_EMULATED
  if (error == cudaErrorInsufficientDriver) remedy = "; install a driver as new as the CUDA toolkit of this build";
  if (error == cudaErrorNoDevice) remedy = "; no GPU is visible: see CUDA_VISIBLE_DEVICES, or use Device::cpu()";
  if (error == cudaErrorNoKernelImageForDevice || error == cudaErrorUnsupportedPtxVersion) {
    remedy = "; build with this GPU's compute capability in CMAKE_CUDA_ARCHITECTURES";
  }
  if (error == cudaErrorIllegalAddress || error == cudaErrorLaunchFailure) {
    remedy = "; an earlier kernel failed: run under compute-sanitizer to find it";
  }
#endif
  const std::string text = fmt::format("{} failed with {} ({}) at {}:{}{}", call, cudaGetErrorName(error),
                                       cudaGetErrorString(error), file, line, remedy);
  cudaGetLastError();
  throw CudaError(text);
}

void record_beside(Context& context, const std::function<void()>& work) {
  static_cast<CudaContext&>(context).beside(work);
}
void record_join(Context& context) { static_cast<CudaContext&>(context).join(); }

unsigned* tickets(Context& context) { return static_cast<CudaContext&>(context).tickets(); }

int cuda_device_count() noexcept {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  return count;
}

std::shared_ptr<Context> make_cuda_context(int index) {
  const int count = cuda_device_count();
  if (index < 0 || index >= count) {
    throw DeviceError(fmt::format(
        "Device::cuda({}): this machine has {} usable CUDA device{}{}", index, count, count == 1 ? "" : "s",
        count == 0 ? "; is the driver installed? Device::cpu() always works" : "; device numbers start at 0"));
  }
  return std::make_shared<CudaContext>(index);
}

}  // namespace rtl::detail
