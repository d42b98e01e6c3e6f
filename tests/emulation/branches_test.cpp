// Captures with branches: another stream that waits for the captured one is captured with it, and replays do the work
// of both in every order that the waits allow, so that a wait that is missing shows.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/branch.hpp"
#include "core/cuda/context.hpp"
#include "kernels/cuda/launch.cuh"
#include "support/emulation_order.hpp"

namespace rtl::kernels::cuda {
namespace {

using rtl::test::emulation_orders;
using rtl::test::EmulationOrder;

__global__ void fill(int count, int value, std::int32_t* values) {
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) values[i] = value;
}

__global__ void add_to(int count, const std::int32_t* summands, std::int32_t* values) {
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) values[i] += summands[i];
}

/// Which wait of a step that fetches ahead is wrong.
enum class Fault : std::uint8_t { none, fork_too_early, read_too_early };

/// A step takes a batch from a buffer, which a branch fills again with the next one meanwhile, and adds it to a sum.
class Branches : public ::testing::Test {
 protected:
  static constexpr int count = 40;

  Branches()
      : buffer_(Tensor::zeros({count}, DType::i32, device_)),
        batch_(Tensor::zeros({count}, DType::i32, device_)),
        sum_(Tensor::zeros({count}, DType::i32, device_)) {
    for (cudaStream_t* stream : {&main_, &branch_}) cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking);
    for (cudaEvent_t* event : {&forked_, &joined_}) cudaEventCreateWithFlags(event, cudaEventDisableTiming);
  }
  ~Branches() override {
    cudaGetLastError();
    for (cudaEvent_t event : {forked_, joined_}) cudaEventDestroy(event);
    for (cudaStream_t stream : {main_, branch_}) cudaStreamDestroy(stream);
  }

  void queue_fill(int value, Tensor& values, cudaStream_t stream) {
    launch(fill, 2, 32, 0, stream, count, value, values.data_as<std::int32_t>());
  }
  void queue_sum(const Tensor& summands, cudaStream_t stream) {
    launch(add_to, 2, 32, 0, stream, count, summands.data_as<std::int32_t>(), sum_.data_as<std::int32_t>());
  }
  void begin() { ASSERT_EQ(cudaStreamBeginCapture(main_, cudaStreamCaptureModeThreadLocal), cudaSuccess); }
  void fork() {
    ASSERT_EQ(cudaEventRecord(forked_, main_), cudaSuccess);
    ASSERT_EQ(cudaStreamWaitEvent(branch_, forked_, 0), cudaSuccess);
  }
  void join() {
    ASSERT_EQ(cudaEventRecord(joined_, branch_), cudaSuccess);
    ASSERT_EQ(cudaStreamWaitEvent(main_, joined_, 0), cudaSuccess);
  }
  cudaError_t end(cudaStream_t stream) {
    cudaGraph_t graph = nullptr;
    const cudaError_t error = cudaStreamEndCapture(stream, &graph);
    if (graph != nullptr) cudaGraphDestroy(graph);
    return error;
  }

  /// The sum after one step from a buffer of 1, whose branch fetches 10.
  std::int32_t sum_of_step(Fault fault) {
    queue_fill(1, buffer_, main_);
    queue_fill(0, sum_, main_);
    begin();
    if (fault == Fault::fork_too_early) fork();
    cudaMemcpyAsync(batch_.data_as<std::int32_t>(), buffer_.data_as<std::int32_t>(), count * sizeof(std::int32_t),
                    cudaMemcpyDeviceToDevice, main_);
    if (fault != Fault::fork_too_early) fork();
    queue_fill(10, buffer_, branch_);
    queue_sum(batch_, main_);
    if (fault == Fault::read_too_early) queue_sum(buffer_, main_);
    join();
    if (fault != Fault::read_too_early) queue_sum(buffer_, main_);
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(main_, &graph), cudaSuccess);
    cudaGraphExec_t executable = nullptr;
    EXPECT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
    cudaGraphDestroy(graph);
    EXPECT_EQ(cudaGraphLaunch(executable, main_), cudaSuccess);
    cudaGraphExecDestroy(executable);
    EXPECT_EQ(buffer_.to_vector<std::int32_t>(), std::vector<std::int32_t>(count, 10));
    const std::vector<std::int32_t> sums = sum_.to_vector<std::int32_t>();
    EXPECT_EQ(sums, std::vector<std::int32_t>(count, sums[0]));
    return sums[0];
  }

  Device device_ = Device::cuda(0);
  Tensor buffer_, batch_, sum_;
  cudaStream_t main_ = nullptr, branch_ = nullptr;
  cudaEvent_t forked_ = nullptr, joined_ = nullptr;
};

TEST_F(Branches, GiveTheSameInEveryOrder) {
  for (const std::string& order : emulation_orders) {
    const EmulationOrder scope(order);
    EXPECT_EQ(sum_of_step(Fault::none), 11) << order;
  }
}

TEST_F(Branches, ThatOverwriteWhatIsStillReadShowWhereTheyRunEarly) {
  const auto sum_in = [&](const char* order) {
    const EmulationOrder scope(order);
    return sum_of_step(Fault::fork_too_early);
  };
  EXPECT_EQ(sum_in("forward"), 11) << "late, they do no harm";
  EXPECT_EQ(sum_in("reverse"), 20);
}

TEST_F(Branches, ThatAreReadTooEarlyShowWhereTheyRunLate) {
  const auto sum_in = [&](const char* order) {
    const EmulationOrder scope(order);
    return sum_of_step(Fault::read_too_early);
  };
  EXPECT_EQ(sum_in("forward"), 2);
  EXPECT_EQ(sum_in("reverse"), 11) << "early, they do no harm";
}

TEST_F(Branches, MustBeJoined) {
  begin();
  fork();
  queue_fill(3, buffer_, branch_);
  EXPECT_EQ(end(main_), cudaErrorStreamCaptureUnjoined);
  queue_fill(4, buffer_, branch_);
  EXPECT_EQ(buffer_.to_vector<std::int32_t>(), std::vector<std::int32_t>(count, 4)) << "it is captured no more";

  begin();
  fork();
  join();
  queue_fill(5, buffer_, branch_);  // behind the event
  EXPECT_EQ(end(main_), cudaErrorStreamCaptureUnjoined);
  EXPECT_EQ(buffer_.to_vector<std::int32_t>(), std::vector<std::int32_t>(count, 4));
  EXPECT_EQ(cudaGetLastError(), cudaErrorStreamCaptureUnjoined);
}

TEST_F(Branches, WaitOnlyForWhatIsCapturedWithThem) {
  ASSERT_EQ(cudaEventRecord(forked_, branch_), cudaSuccess);
  begin();
  EXPECT_EQ(cudaStreamWaitEvent(main_, forked_, 0), cudaErrorStreamCaptureIsolation);
  EXPECT_EQ(end(main_), cudaErrorStreamCaptureInvalidated);

  begin();
  fork();
  join();
  EXPECT_EQ(end(main_), cudaSuccess);
  EXPECT_EQ(cudaStreamWaitEvent(branch_, forked_, 0), cudaErrorCapturedEvent) << "that capture has ended";
  EXPECT_EQ(cudaEventSynchronize(joined_), cudaErrorCapturedEvent);
}

TEST_F(Branches, AreEndedWhereTheyBegan) {
  begin();
  fork();
  EXPECT_EQ(end(branch_), cudaErrorStreamCaptureUnmatched);
  EXPECT_EQ(end(main_), cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(cudaStreamSynchronize(branch_), cudaSuccess);
}

TEST_F(Branches, OutsideOfCapturesWaitsAreKept) {
  void* memory = nullptr;
  ASSERT_EQ(cudaHostAlloc(&memory, count * sizeof(std::int32_t), cudaHostAllocDefault), cudaSuccess);
  auto* const host = static_cast<std::int32_t*>(memory);
  std::fill(host, host + count, 6);
  EXPECT_EQ(cudaMemcpyAsync(buffer_.data_as<std::int32_t>(), host, count * sizeof(std::int32_t), cudaMemcpyHostToDevice,
                            branch_),
            cudaSuccess);
  queue_sum(buffer_, main_);
  join();
  queue_sum(buffer_, main_);
  EXPECT_EQ(sum_.to_vector<std::int32_t>(), std::vector<std::int32_t>(count, 6)) << "the first did not wait";
  EXPECT_EQ(cudaFreeHost(memory), cudaSuccess);
}

TEST_F(Branches, TellWhereMemoryLies) {
  cudaPointerAttributes attributes{};
  ASSERT_EQ(cudaPointerGetAttributes(&attributes, buffer_.data_as<std::int32_t>()), cudaSuccess);
  EXPECT_EQ(attributes.type, cudaMemoryTypeDevice);
  ASSERT_EQ(cudaPointerGetAttributes(&attributes, &attributes), cudaSuccess);
  EXPECT_EQ(attributes.type, cudaMemoryTypeUnregistered);
  void* memory = nullptr;
  ASSERT_EQ(cudaHostAlloc(&memory, 10, cudaHostAllocDefault), cudaSuccess);
  ASSERT_EQ(cudaPointerGetAttributes(&attributes, static_cast<std::byte*>(memory) + 9), cudaSuccess);
  EXPECT_EQ(attributes.type, cudaMemoryTypeHost);
  EXPECT_EQ(cudaFreeHost(memory), cudaSuccess);
}

/// A context's branches, which executions use.
TEST_F(Branches, OfAContextAreBehindWhatWasRecordedAndJoinedAtTheEnd) {
  const auto step = [&] {
    queue_sum(buffer_, activate(device_));
    rtl::detail::beside(device_, [&] {
      queue_fill(10, buffer_, activate(device_));
      rtl::detail::beside(device_, [&] { queue_fill(20, batch_, activate(device_)); });
    });
    rtl::detail::join(device_);
    queue_sum(batch_, activate(device_));
    rtl::detail::beside(device_, [&] { queue_fill(30, batch_, activate(device_)); });
  };
  const auto replay = device_.context().capture(step);
  for (const std::string& order : emulation_orders) {
    SCOPED_TRACE(order);
    const EmulationOrder scope(order);
    for (const bool captured : {false, true}) {
      queue_fill(1, buffer_, activate(device_));
      queue_fill(0, sum_, activate(device_));
      captured ? replay->run() : step();
      EXPECT_EQ(sum_.to_vector<std::int32_t>(), std::vector<std::int32_t>(count, 21));
      EXPECT_EQ(batch_.to_vector<std::int32_t>(), std::vector<std::int32_t>(count, 30));
    }
  }
}

TEST_F(Branches, OfAContextTakeNoMemoryThatOthersMightTake) {
  const auto in_branch = [&](const std::function<void()>& work) {
    device_.context().capture([&] {
      rtl::detail::beside(device_, work);
      const Scratch<float> beside(device_, 10);  // granted
    });
  };
  EXPECT_NO_THROW(in_branch([] {}));
  EXPECT_THROW(in_branch([&] { const Scratch<float> memory(device_, 10); }), CudaError);
  EXPECT_THROW(in_branch([&] { rtl::detail::tickets(device_.context()); }), CudaError);
  EXPECT_THROW(in_branch([&] { throw ValueError("the work's own"); }), ValueError);
  EXPECT_NO_THROW(in_branch([&] { queue_fill(7, buffer_, activate(device_)); }));
  EXPECT_NO_THROW(rtl::detail::beside(device_, [&] { const Scratch<float> memory(device_, 10); }))
      << "no capture, no branch";
}

}  // namespace
}  // namespace rtl::kernels::cuda
