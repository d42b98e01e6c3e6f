// Stream capture of the emulator: what is recorded and replayed, and what is refused with CUDA's own errors.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "kernels/cuda/launch.cuh"

namespace rtl::kernels::cuda {
namespace {

__global__ void add(int count, int summand, std::int32_t* values) {
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) values[i] += summand;
}

class Capture : public ::testing::Test {
 protected:
  static constexpr int count = 100;

  Capture() : a_(Tensor::zeros({count}, DType::i32, device_)), b_(Tensor::zeros({count}, DType::i32, device_)) {
    cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking);
  }
  ~Capture() override {
    cudaGetLastError();
    cudaStreamDestroy(stream_);
  }

  void queue_addition(int summand, Tensor& values) {
    launch(add, 2, 32, 0, stream_, count, summand, values.data_as<std::int32_t>());
  }
  static std::vector<std::int32_t> all(std::int32_t value) { return std::vector<std::int32_t>(count, value); }

  /// `call`, made while the stream is captured, gives `error` and spoils the capture.
  void expect_refused(cudaError_t error, const std::function<cudaError_t()>& call) {
    ASSERT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    EXPECT_EQ(call(), error) << cudaGetErrorName(error);
    EXPECT_EQ(cudaMemsetAsync(a_.data_as<std::int32_t>(), 1, 4, stream_), cudaErrorStreamCaptureInvalidated);
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(graph, nullptr);
    EXPECT_EQ(cudaGetLastError(), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(a_.to_vector<std::int32_t>(), all(0));
    EXPECT_EQ(cudaStreamSynchronize(stream_), cudaSuccess) << "the stream must be usable again";
  }

  Device device_ = Device::cuda(0);
  Tensor a_, b_;
  cudaStream_t stream_ = nullptr;
};

TEST_F(Capture, RecordsLaunchesCopiesAndMemsetsAndReplaysThem) {
  auto* a = a_.data_as<std::int32_t>();
  auto* b = b_.data_as<std::int32_t>();
  ASSERT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  queue_addition(2, a_);
  EXPECT_EQ(cudaMemcpyAsync(b, a, count * sizeof *a, cudaMemcpyDeviceToDevice, stream_), cudaSuccess);
  queue_addition(1, b_);
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(stream_, &graph), cudaSuccess);
  EXPECT_EQ(a_.to_vector<std::int32_t>(), all(0)) << "recorded work must not be done";
  cudaGraphExec_t executable = nullptr;
  ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
  cudaGraphDestroy(graph);
  for (int run = 1; run <= 3; ++run) {
    ASSERT_EQ(cudaGraphLaunch(executable, stream_), cudaSuccess);
    EXPECT_EQ(a_.to_vector<std::int32_t>(), all(2 * run));
    EXPECT_EQ(b_.to_vector<std::int32_t>(), all(2 * run + 1));
  }
  cudaGraphExecDestroy(executable);
}

TEST_F(Capture, RecordsMemsets) {
  queue_addition(5, a_);
  ASSERT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  EXPECT_EQ(cudaMemsetAsync(a_.data_as<std::int32_t>(), 0, count * sizeof(std::int32_t), stream_), cudaSuccess);
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(stream_, &graph), cudaSuccess);
  EXPECT_EQ(a_.to_vector<std::int32_t>(), all(5));
  cudaGraphExec_t executable = nullptr;
  ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
  cudaGraphDestroy(graph);
  ASSERT_EQ(cudaGraphLaunch(executable, stream_), cudaSuccess);
  EXPECT_EQ(a_.to_vector<std::int32_t>(), all(0));
  cudaGraphExecDestroy(executable);
}

TEST_F(Capture, RefusesMemoryFromTheSystem) {
  void* pointer = nullptr;
  expect_refused(cudaErrorStreamCaptureUnsupported, [&] { return cudaMalloc(&pointer, 100); });
  EXPECT_EQ(pointer, nullptr);
  ASSERT_EQ(cudaMalloc(&pointer, 100), cudaSuccess);
  expect_refused(cudaErrorStreamCaptureUnsupported, [&] { return cudaFree(pointer); });
  EXPECT_EQ(cudaFree(pointer), cudaSuccess);
}

TEST_F(Capture, GrantsMemoryInRelaxedMode) {
  ASSERT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  cudaThreadExchangeStreamCaptureMode(&mode);
  EXPECT_EQ(mode, cudaStreamCaptureModeThreadLocal);
  void* pointer = nullptr;
  EXPECT_EQ(cudaMalloc(&pointer, 100), cudaSuccess);
  EXPECT_EQ(cudaFree(pointer), cudaSuccess);
  cudaThreadExchangeStreamCaptureMode(&mode);
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaSuccess);
  cudaGraphDestroy(graph);
}

TEST_F(Capture, RefusesWaiting) {
  expect_refused(cudaErrorStreamCaptureUnsupported, [&] { return cudaStreamSynchronize(stream_); });
  expect_refused(cudaErrorStreamCaptureUnsupported, [] { return cudaDeviceSynchronize(); });
  expect_refused(cudaErrorStreamCaptureImplicit, [] { return cudaStreamSynchronize(nullptr); });
}

TEST_F(Capture, RefusesCopiesFromAndToPageableMemoryAndWaitingCopies) {
  std::vector<std::int32_t> host(count);
  auto* a = a_.data_as<std::int32_t>();
  expect_refused(cudaErrorStreamCaptureUnsupported,
                 [&] { return cudaMemcpyAsync(a, host.data(), 4, cudaMemcpyHostToDevice, stream_); });
  expect_refused(cudaErrorStreamCaptureUnsupported,
                 [&] { return cudaMemcpyAsync(host.data(), a, 4, cudaMemcpyDeviceToHost, stream_); });
  expect_refused(cudaErrorStreamCaptureImplicit, [&] { return cudaMemcpy(host.data(), a, 4, cudaMemcpyDeviceToHost); });
}

/// Copies from page-locked memory wait, so that a host which does not wait before it writes there again is found out.
TEST_F(Capture, CopiesFromPageLockedMemoryAreMadeWhenTheyMustBe) {
  auto* a = a_.data_as<std::int32_t>();
  void* memory = nullptr;
  ASSERT_EQ(cudaHostAlloc(&memory, count * sizeof *a, cudaHostAllocDefault), cudaSuccess);
  auto* const host = static_cast<std::int32_t*>(memory);
  cudaEvent_t copied = nullptr;
  ASSERT_EQ(cudaEventCreateWithFlags(&copied, cudaEventDisableTiming), cudaSuccess);
  const auto copy_of = [&](std::int32_t value) {
    std::fill(host, host + count, value);
    EXPECT_EQ(cudaMemcpyAsync(a, host, count * sizeof *a, cudaMemcpyHostToDevice, stream_), cudaSuccess);
    EXPECT_EQ(cudaEventRecord(copied, stream_), cudaSuccess);
  };
  copy_of(1);
  EXPECT_EQ(a_.to_vector<std::int32_t>(), all(0)) << "nobody has waited yet";
  std::fill(host, host + count, 2);
  EXPECT_EQ(cudaEventSynchronize(copied), cudaSuccess);
  EXPECT_EQ(a_.to_vector<std::int32_t>(), all(2)) << "the host wrote too early";
  copy_of(3);
  queue_addition(1, a_);
  EXPECT_EQ(a_.to_vector<std::int32_t>(), all(4)) << "what is queued behind the copy sees it";
  copy_of(5);
  EXPECT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  EXPECT_EQ(a_.to_vector<std::int32_t>(), all(5));
  copy_of(6);
  EXPECT_EQ(cudaFreeHost(memory), cudaSuccess);
  EXPECT_EQ(a_.to_vector<std::int32_t>(), all(6)) << "memory is freed behind the copy from it";
  EXPECT_EQ(cudaFreeHost(memory), cudaErrorInvalidValue);
  EXPECT_EQ(cudaEventDestroy(copied), cudaSuccess);
}

TEST_F(Capture, RefusesWorkInOtherStreams) {
  auto* a = a_.data_as<std::int32_t>();
  expect_refused(cudaErrorStreamCaptureImplicit, [&] { return cudaMemsetAsync(a, 1, 4, nullptr); });
  cudaStream_t other = nullptr;
  cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking);
  expect_refused(cudaErrorStreamCaptureIsolation, [&] { return cudaMemsetAsync(a, 1, 4, other); });
  cudaStreamDestroy(other);
}

TEST_F(Capture, RefusesToBeginTwiceOrToEndElsewhere) {
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeThreadLocal), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaErrorIllegalState);
  ASSERT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  EXPECT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), cudaErrorIllegalState);
  std::thread([&] { EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaErrorStreamCaptureWrongThread); }).join();
  EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaSuccess);
  cudaGraphDestroy(graph);
}

TEST_F(Capture, LeavesOtherThreadsAlone) {
  ASSERT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  std::thread([&] {
    void* pointer = nullptr;
    EXPECT_EQ(cudaMalloc(&pointer, 100), cudaSuccess);
    EXPECT_EQ(cudaFree(pointer), cudaSuccess);
    EXPECT_EQ(b_.to_vector<std::int32_t>(), all(0));
  }).join();
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaSuccess);
  cudaGraphDestroy(graph);
}

TEST_F(Capture, ContextsRecordKernelsAndGiveTheirFaultsAtTheReplay) {
  detail::Context& context = device_.context();
  const auto replay =
      context.capture([&] { launch(add, 1, 32, 0, activate(device_), count, 4, a_.data_as<std::int32_t>()); });
  EXPECT_EQ(a_.to_vector<std::int32_t>(), all(0));
  replay->run();
  replay->run();
  EXPECT_EQ(a_.to_vector<std::int32_t>(), all(8));
  EXPECT_THROW(context.capture([&] { context.capture([] {}); }), CudaError);
  EXPECT_THROW(context.capture([] { throw ValueError("the work's own"); }), ValueError);
  EXPECT_THROW(context.capture([&] { a_.to_vector<std::int32_t>(); }), CudaError);
  replay->run();
  EXPECT_EQ(a_.to_vector<std::int32_t>(), all(12));
  const auto impossible =
      context.capture([&] { launch(add, 1, 1025, 0, activate(device_), count, 4, a_.data_as<std::int32_t>()); });
  EXPECT_THROW(impossible->run(), CudaError);
}

}  // namespace
}  // namespace rtl::kernels::cuda
