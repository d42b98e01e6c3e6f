// Convolutions by cuDNN's graphs (cudnn_plan.hpp): a plan for each problem, kept with the context. No f64: the library
// has next to nothing for f64 images whose channels lie together.
#include <map>
#include <memory>
#include <mutex>

#include "kernels/cuda/stream.hpp"
#include "kernels/cuda/vendor/cudnn_plan.hpp"
#include "kernels/cuda/vendor/dnn.hpp"
#include "rtl/core/tf32.hpp"

namespace rtl::kernels::cuda::vendor {
namespace {

/// A context's handle and the plans made so far, for one call at a time.
class Dnn {
 public:
  explicit Dnn(detail::Context&) {
    cudnnHandle_t made = nullptr;
    RTL_CUDNN_CHECK(cudnnCreate(&made));
    library_.reset(made);
  }

  /// False if the library does not do it.
  bool run(const Device& device, const Problem& problem, const Operands& operands) {
    const cudaStream_t stream = activate(device);
    const std::lock_guard turn(turn_);
    std::unique_ptr<Plan>& plan = find(problem);
    if (plan == nullptr) return false;
    const Scratch<std::byte> workspace(device, plan->workspace_bytes());
    RTL_CUDNN_CHECK(cudnnSetStream(library_.get(), stream));
    if (plan->run(library_.get(), operands, workspace.get())) return true;
    plan.reset();  // is not tried again
    return false;
  }

 private:
  struct Destroy {
    void operator()(cudnnHandle_t handle) const { cudnnDestroy(handle); }
  };

  std::unique_ptr<Plan>& find(const Problem& problem) {
    auto place = plans_.find(problem);
    if (place == plans_.end()) place = plans_.emplace(problem, make(problem)).first;
    return place->second;
  }

  /// A problem that must have the bits of a simpler one has its engine, too.
  std::unique_ptr<Plan> make(const Problem& problem) {
    const Target target{.handle = library_.get()};
    const Problem simpler = with_the_same_sums(problem);
    if (simpler == problem) return Plan::make(target, problem);
    const std::unique_ptr<Plan>& model = find(simpler);
    return model == nullptr ? nullptr : Plan::make(target, problem, model->engine());
  }

  std::mutex turn_;
  std::unique_ptr<cudnnContext, Destroy> library_;
  std::map<Problem, std::unique_ptr<Plan>> plans_;
};

std::array<std::int64_t, 4> extents(const Shape& shape) { return {shape[0], shape[1], shape[2], shape[3]}; }

Problem describe(const Device& device, Direction direction, DType dtype, const Shape& x, const Shape& w, const Shape& y,
                 const Conv2dOptions& options) {
  return {.direction = direction,
          .dtype = dtype,
          .tf32 = dtype == DType::f32 && tf32_allowed(device),
          .x = extents(x),
          .w = extents(w),
          .y = extents(y),
          .stride = options.stride,
          .dilation = options.dilation,
          .padding = {conv2d_padding(x[1], w[1], options), conv2d_padding(x[2], w[2], options)}};
}

/// The library takes addresses that it only reads like those that it writes to.
void* address(const ConstView& view) { return view.given() ? const_cast<void*>(view.data()) : nullptr; }

bool run(const Device& device, const Problem& problem, const Operands& operands) {
  activate(device);
  return device.context().resource<Dnn>().run(device, problem, operands);
}

}  // namespace

bool conv2d_forward(const Device& device, const ConstView& x, const ConstView& w, const Conv2dOptions& options,
                    const ConvEpilogue& epilogue, const View& y) {
  if (!may_fuse(epilogue, x.dtype())) return false;
  Problem problem = describe(device, Direction::forward, x.dtype(), x.shape(), w.shape(), y.shape(), options);
  problem.bias = epilogue.bias.given();
  problem.relu = epilogue.activation == Activation::relu;
  return run(device, problem, {.x = address(x), .w = address(w), .y = y.data(), .bias = address(epilogue.bias)});
}

bool conv2d_backward_data(const Device& device, const ConstView& dy, const ConstView& w, const Conv2dOptions& options,
                          bool accumulate, const View& dx) {
  Problem problem = describe(device, Direction::backward_data, dy.dtype(), dx.shape(), w.shape(), dy.shape(), options);
  problem.accumulate = accumulate;
  return run(device, problem, {.x = dx.data(), .w = address(w), .y = address(dy)});
}

bool conv2d_backward_weights(const Device& device, const ConstView& x, const ConstView& dy,
                             const Conv2dOptions& options, const View& dw) {
  const Problem problem =
      describe(device, Direction::backward_weights, x.dtype(), x.shape(), dw.shape(), dy.shape(), options);
  return run(device, problem, {.x = address(x), .w = dw.data(), .y = address(dy)});
}

}  // namespace rtl::kernels::cuda::vendor
