// Convolutions by cuDNN. Only algorithms that say of themselves that they are deterministic, that multiply f32 in full
// precision (unless TF32 is allowed), and that sum the products themselves (no Winograd or FFT, which lose digits).
// bf16 runs on the tensor cores and is added in f32. No f64: the library has next to nothing for f64 images whose
// channels lie together.
#include <cudnn.h>
#include <fmt/format.h>

#include <array>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <type_traits>

#include "kernels/cuda/stream.hpp"
#include "kernels/cuda/vendor/dnn.hpp"
#include "rtl/core/tf32.hpp"

#define RTL_CUDNN_CHECK(call) check((call), #call)

// cuDNN 9 marks the calls for single operations as deprecated in favour of its graphs, which have no interface for C++
// without another library. They work, and what one needs of them is all in this file.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace rtl::kernels::cuda::vendor {
namespace {

void check(cudnnStatus_t status, const char* call) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  throw CudaError(fmt::format("{} failed with {}", call, cudnnGetErrorString(status)));
}

template <auto destroy>
struct Destroy {
  template <typename T>
  void operator()(T* object) const {
    destroy(object);
  }
};

/// A cuDNN object that owns itself.
template <typename Handle, auto create, auto destroy>
class Owned {
 public:
  Owned() {
    Handle made = nullptr;
    check(create(&made), "creating a cuDNN object");
    object_.reset(made);
  }
  Handle get() const { return object_.get(); }

 private:
  std::unique_ptr<std::remove_pointer_t<Handle>, Destroy<destroy>> object_;
};

using Library = Owned<cudnnHandle_t, cudnnCreate, cudnnDestroy>;
using Images = Owned<cudnnTensorDescriptor_t, cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor>;
using Filter = Owned<cudnnFilterDescriptor_t, cudnnCreateFilterDescriptor, cudnnDestroyFilterDescriptor>;
using Convolution =
    Owned<cudnnConvolutionDescriptor_t, cudnnCreateConvolutionDescriptor, cudnnDestroyConvolutionDescriptor>;

enum class Direction : std::uint8_t { forward, backward_data, backward_weights };

/// Everything that the choice of an algorithm depends on: x [N, H, W, C], w [out, height, width, in / groups], y's
/// extents.
struct Problem {
  Direction direction;
  DType dtype;
  bool tf32;
  std::array<int, 4> x, w, y;
  int stride, dilation, groups;
  std::array<int, 2> padding;  ///< rows, columns; the same on both sides
  auto operator<=>(const Problem&) const = default;
};

bool may_use(cudnnConvolutionFwdAlgo_t algorithm) {
  return algorithm == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM ||
         algorithm == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM || algorithm == CUDNN_CONVOLUTION_FWD_ALGO_GEMM;
}
bool may_use(cudnnConvolutionBwdDataAlgo_t algorithm) { return algorithm == CUDNN_CONVOLUTION_BWD_DATA_ALGO_1; }
bool may_use(cudnnConvolutionBwdFilterAlgo_t algorithm) { return algorithm == CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1; }

class Plan {
 public:
  Plan(cudnnHandle_t handle, const Problem& problem) : problem_(problem) {
    describe(x_, problem.x);
    describe(y_, problem.y);
    RTL_CUDNN_CHECK(cudnnSetFilter4dDescriptor(w_.get(), type(), CUDNN_TENSOR_NHWC, problem.w[0], problem.w[3],
                                               problem.w[1], problem.w[2]));
    RTL_CUDNN_CHECK(cudnnSetConvolution2dDescriptor(convolution_.get(), problem.padding[0], problem.padding[1],
                                                    problem.stride, problem.stride, problem.dilation, problem.dilation,
                                                    CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
    RTL_CUDNN_CHECK(cudnnSetConvolutionGroupCount(convolution_.get(), problem.groups));
    RTL_CUDNN_CHECK(cudnnSetConvolutionMathType(convolution_.get(), math()));
    choose(handle);
  }

  /// `from` and `other` are the operands in the order of the direction's call, `to` the result, times beta added to it.
  /// False if the library does not take this problem.
  bool run(cudnnHandle_t handle, const Device& device, const void* from, const void* other, float beta, void* to) {
    if (!usable_) return false;
    const float one = 1;
    const Scratch<std::byte> workspace(device, static_cast<std::int64_t>(workspace_bytes_));
    RTL_CUDNN_CHECK(cudnnSetStream(handle, activate(device)));
    cudnnStatus_t status = CUDNN_STATUS_NOT_SUPPORTED;
    switch (problem_.direction) {
      case Direction::forward:
        status = cudnnConvolutionForward(handle, &one, x_.get(), from, w_.get(), other, convolution_.get(), forward_,
                                         workspace.get(), workspace_bytes_, &beta, y_.get(), to);
        break;
      case Direction::backward_data:
        status = cudnnConvolutionBackwardData(handle, &one, w_.get(), other, y_.get(), from, convolution_.get(), data_,
                                              workspace.get(), workspace_bytes_, &beta, x_.get(), to);
        break;
      case Direction::backward_weights:
        status = cudnnConvolutionBackwardFilter(handle, &one, x_.get(), from, y_.get(), other, convolution_.get(),
                                                weights_, workspace.get(), workspace_bytes_, &beta, w_.get(), to);
        break;
    }
    // Some cases are only refused when they are to run (for one of several reasons, each with a status of its own);
    // then they are not tried again.
    usable_ = CUDNN_STATUS_CATEGORY(status) != CUDNN_STATUS_NOT_SUPPORTED;
    if (usable_) check(status, "cuDNN convolution");
    return usable_;
  }

 private:
  static constexpr std::size_t most_workspace = std::size_t{256} << 20;

  cudnnDataType_t type() const { return problem_.dtype == DType::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT; }
  /// What the library may multiply with. Its default lets f32 be rounded to TF32.
  cudnnMathType_t math() const {
    if (problem_.dtype == DType::bf16) return CUDNN_TENSOR_OP_MATH;
    return problem_.tf32 ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH;
  }
  bool may_multiply(cudnnMathType_t candidate) const {
    return problem_.dtype == DType::bf16 || problem_.tf32 || candidate == CUDNN_FMA_MATH ||
           candidate == CUDNN_DEFAULT_MATH;
  }

  void describe(const Images& images, const std::array<int, 4>& extents) const {
    RTL_CUDNN_CHECK(cudnnSetTensor4dDescriptor(images.get(), CUDNN_TENSOR_NHWC, type(), extents[0], extents[3],
                                               extents[1], extents[2]));
  }

  void choose(cudnnHandle_t handle) {
    switch (problem_.direction) {
      case Direction::forward: {
        std::array<cudnnConvolutionFwdAlgoPerf_t, CUDNN_CONVOLUTION_FWD_ALGO_COUNT> found;
        int count = 0;
        const auto status =
            cudnnGetConvolutionForwardAlgorithm_v7(handle, x_.get(), w_.get(), convolution_.get(), y_.get(),
                                                   static_cast<int>(found.size()), &count, found.data());
        return take_best(status, std::span(found.data(), static_cast<std::size_t>(count)), forward_);
      }
      case Direction::backward_data: {
        std::array<cudnnConvolutionBwdDataAlgoPerf_t, CUDNN_CONVOLUTION_BWD_DATA_ALGO_COUNT> found;
        int count = 0;
        const auto status =
            cudnnGetConvolutionBackwardDataAlgorithm_v7(handle, w_.get(), y_.get(), convolution_.get(), x_.get(),
                                                        static_cast<int>(found.size()), &count, found.data());
        return take_best(status, std::span(found.data(), static_cast<std::size_t>(count)), data_);
      }
      case Direction::backward_weights: {
        std::array<cudnnConvolutionBwdFilterAlgoPerf_t, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_COUNT> found;
        int count = 0;
        const auto status =
            cudnnGetConvolutionBackwardFilterAlgorithm_v7(handle, x_.get(), y_.get(), convolution_.get(), w_.get(),
                                                          static_cast<int>(found.size()), &count, found.data());
        return take_best(status, std::span(found.data(), static_cast<std::size_t>(count)), weights_);
      }
    }
  }

  /// The list is sorted, the expected fastest first.
  template <typename Found, typename Algorithm>
  void take_best(cudnnStatus_t status, std::span<Found> found, Algorithm& algorithm) {
    if (status != CUDNN_STATUS_SUCCESS) return;
    for (const Found& candidate : found) {
      if (candidate.status != CUDNN_STATUS_SUCCESS || candidate.determinism != CUDNN_DETERMINISTIC) continue;
      if (!may_multiply(candidate.mathType)) continue;
      if (candidate.memory > most_workspace || !may_use(candidate.algo)) continue;
      RTL_CUDNN_CHECK(cudnnSetConvolutionMathType(convolution_.get(), candidate.mathType));
      algorithm = candidate.algo;
      workspace_bytes_ = candidate.memory;
      usable_ = true;
      return;
    }
  }

  Problem problem_;
  Images x_, y_;
  Filter w_;
  Convolution convolution_;
  cudnnConvolutionFwdAlgo_t forward_{};
  cudnnConvolutionBwdDataAlgo_t data_{};
  cudnnConvolutionBwdFilterAlgo_t weights_{};
  std::size_t workspace_bytes_ = 0;
  bool usable_ = false;
};

/// A context's handle and the plans made so far, for one call at a time.
class Dnn {
 public:
  explicit Dnn(detail::Context&) {}
  std::mutex& turn() { return turn_; }
  cudnnHandle_t handle() const { return library_.get(); }
  Plan& plan(const Problem& problem) {
    const auto [place, is_new] = plans_.try_emplace(problem);
    if (is_new) place->second = std::make_unique<Plan>(handle(), problem);
    return *place->second;
  }

 private:
  std::mutex turn_;
  Library library_;
  std::map<Problem, std::unique_ptr<Plan>> plans_;
};

/// False if an extent is too large for the library.
bool narrow(const Shape& shape, std::array<int, 4>& out) {
  for (std::size_t i = 0; i < 4; ++i) {
    if (shape.extents()[i] > std::numeric_limits<int>::max()) return false;
    out[i] = static_cast<int>(shape.extents()[i]);
  }
  return shape.count() <= std::numeric_limits<int>::max();
}

bool convolve(const Device& device, Direction direction, const Shape& x, const Shape& w, const Shape& y,
              const Conv2dOptions& options, const ConstView& from, const ConstView& other, const View& to,
              bool accumulate = false) {
  const DType dtype = from.dtype();
  Problem problem{.direction = direction,
                  .dtype = dtype,
                  .tf32 = dtype == DType::f32 && tf32_allowed(device),
                  .x = {},
                  .w = {},
                  .y = {},
                  .stride = options.stride,
                  .dilation = options.dilation,
                  .groups = options.groups,
                  .padding = {static_cast<int>(conv2d_padding(x[1], w[1], options)),
                              static_cast<int>(conv2d_padding(x[2], w[2], options))}};
  if (!narrow(x, problem.x) || !narrow(w, problem.w) || !narrow(y, problem.y)) return false;
  activate(device);
  auto& dnn = device.context().resource<Dnn>();
  const std::lock_guard turn(dnn.turn());
  return dnn.plan(problem).run(dnn.handle(), device, from.data(), other.data(), accumulate ? 1.0F : 0.0F, to.data());
}

}  // namespace

bool conv2d_forward(const Device& device, const ConstView& x, const ConstView& w, const Conv2dOptions& options,
                    const View& y) {
  return convolve(device, Direction::forward, x.shape(), w.shape(), y.shape(), options, x, w, y);
}

bool conv2d_backward_data(const Device& device, const ConstView& dy, const ConstView& w, const Conv2dOptions& options,
                          bool accumulate, const View& dx) {
  return convolve(device, Direction::backward_data, dx.shape(), w.shape(), dy.shape(), options, dy, w, dx, accumulate);
}

bool conv2d_backward_weights(const Device& device, const ConstView& x, const ConstView& dy,
                             const Conv2dOptions& options, const View& dw) {
  return convolve(device, Direction::backward_weights, x.shape(), dw.shape(), dy.shape(), options, x, dy, dw);
}

}  // namespace rtl::kernels::cuda::vendor
