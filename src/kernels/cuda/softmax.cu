#include "kernels/backend/softmax.hpp"

#include <limits>

#include "kernels/cuda/launch.cuh"
#include "kernels/functors.hpp"
#include "kernels/label_source.hpp"

namespace rtl::kernels::cuda {
namespace {

/// a * b, which a subtraction behind it does not take in: the gradient has the bits that stored probabilities give.
__device__ inline float rounded_product(float a, float b) { return __fmul_rn(a, b); }
__device__ inline double rounded_product(double a, double b) { return __dmul_rn(a, b); }

// The threads that share a row: one warp (blockDim.y rows a block), or the whole block for long rows.
template <bool whole_block, typename T, typename Combine>
__device__ T combine_row(T value, const Combine& combine, T* partial) {
  for (int bits = warp_size / 2; bits > 0; bits /= 2) value = combine(value, __shfl_xor_sync(all_lanes, value, bits));
  if constexpr (whole_block) {
    const unsigned warps = blockDim.x / warp_size;
    __syncthreads();  // the array may still be read from the call before
    if (threadIdx.x % warp_size == 0) partial[threadIdx.x / warp_size] = value;
    __syncthreads();
    value = partial[0];
    for (unsigned warp = 1; warp < warps; ++warp) value = combine(value, partial[warp]);
  }
  return value;
}

/// Softmax of every row; with labels also losses[row] = -log probability of the label. With a gradient_scale other than
/// 0 the result is the loss's gradient instead, gradient_scale * (softmax - onehot). It may be the logits.
template <bool whole_block, typename T>
__global__ void __launch_bounds__(block_size)
    softmax_rows(std::int64_t rows, std::int64_t classes, const T* logits, const LabelSource labels, T gradient_scale,
                 T* result, double* losses) {
  RTL_SHARED(T, partial, [block_size / warp_size]);
  const std::int64_t row = std::int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  if (row >= rows) return;  // whole warps, and never part of a block that has barriers
  const T* in = logits + row * classes;
  T* out = result + row * classes;
  T largest = -std::numeric_limits<T>::infinity();
  for (std::int64_t i = threadIdx.x; i < classes; i += blockDim.x) largest = functors::Maximum()(largest, in[i]);
  largest = combine_row<whole_block>(largest, functors::Maximum(), partial);
  T sum = 0;
  for (std::int64_t i = threadIdx.x; i < classes; i += blockDim.x) sum += std::exp(in[i] - largest);
  sum = combine_row<whole_block>(sum, functors::Add(), partial);
  const std::int64_t label = labels.given() ? labels[row] : -1;
  if (losses != nullptr && threadIdx.x == 0) {
    losses[row] = std::log(static_cast<double>(sum)) - static_cast<double>(in[label] - largest);
  }
  if constexpr (whole_block) {
    __syncthreads();  // the label's logit has been read before it can be overwritten
  } else {
    __syncwarp();
  }
  const T scale = T{1} / sum;
  for (std::int64_t i = threadIdx.x; i < classes; i += blockDim.x) {
    const T probability = rounded_product(std::exp(in[i] - largest), scale);
    out[i] = gradient_scale == T{0} ? probability : gradient_scale * (probability - (i == label ? T{1} : T{0}));
  }
}

/// Rows of all replicas.
template <typename T>
void softmax_of(const Device& device, const ConstView& logits, const LabelSource& labels, T gradient_scale,
                const View& result, double* losses) {
  constexpr std::int64_t long_row = 2048;
  const std::int64_t classes = logits.extent(-1), rows = logits.count() / classes;
  const cudaStream_t stream = activate(device);
  if (classes >= long_row) {
    launch(softmax_rows<true, T>, static_cast<unsigned>(rows), block_size, 0, stream, rows, classes,
           logits.data_as<T>(), labels, gradient_scale, result.data_as<T>(), losses);
  } else {
    constexpr int rows_per_block = block_size / warp_size;
    launch(softmax_rows<false, T>, static_cast<unsigned>(ceil_divide(rows, rows_per_block)),
           dim3(warp_size, rows_per_block), 0, stream, rows, classes, logits.data_as<T>(), labels, gradient_scale,
           result.data_as<T>(), losses);
  }
}

/// The sum over a block's threads, in a fixed order, for thread 0.
__device__ double sum_of_block(double value) {
  RTL_SHARED(double, partial, [block_size]);
  partial[threadIdx.x] = value;
  for (unsigned half = block_size / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
  }
  return partial[0];
}

/// A block for the mean of each replica, so that its order of additions does not depend on how many there are.
template <typename T>
__global__ void __launch_bounds__(block_size) mean_losses(std::int64_t rows, const double* losses, T* loss) {
  double sum = 0;
  for (std::int64_t row = threadIdx.x; row < rows; row += block_size) sum += losses[blockIdx.x * rows + row];
  sum = sum_of_block(sum);
  if (threadIdx.x == 0) loss[blockIdx.x] = static_cast<T>(sum / static_cast<double>(rows));
}

/// The loss of one replica, and its softmax or the loss's gradient, by one block, a row a thread.
template <bool gradient, typename T>
__global__ void __launch_bounds__(block_size)
    loss_in_one_block(std::int64_t rows, std::int64_t classes, const T* logits, const LabelSource labels, T* result,
                      T* loss) {
  const T gradient_scale = T{1} / static_cast<T>(rows);
  double total = 0;
  for (std::int64_t own = threadIdx.x; own < rows; own += block_size) {
    const std::int64_t row = blockIdx.x * rows + own, label = labels[row];
    const T* in = logits + row * classes;
    T* out = result + row * classes;
    T largest = -std::numeric_limits<T>::infinity(), sum = 0;
    for (std::int64_t i = 0; i < classes; ++i) largest = functors::Maximum()(largest, in[i]);
    for (std::int64_t i = 0; i < classes; ++i) sum += std::exp(in[i] - largest);
    total += std::log(static_cast<double>(sum)) - static_cast<double>(in[label] - largest);
    const T scale = T{1} / sum;
    for (std::int64_t i = 0; i < classes; ++i) {
      T value = rounded_product(std::exp(in[i] - largest), scale);
      if constexpr (gradient) value = gradient_scale * (value - (i == label ? T{1} : T{0}));
      out[i] = value;
    }
  }
  total = sum_of_block(total);
  if (threadIdx.x == 0) loss[blockIdx.x] = static_cast<T>(total / static_cast<double>(rows));
}

/// dloss_step is 0 where replicas share dloss.
template <typename T>
__global__ void cross_entropy_gradient(std::int64_t count, std::int64_t rows, std::int64_t classes,
                                       const T* probabilities, const LabelSource labels, const T* dloss,
                                       std::int64_t dloss_step, T* dlogits) {
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const std::int64_t row = i / classes;
    const T scale = dloss[dloss_step == 0 ? 0 : row / rows] / static_cast<T>(rows);
    const T target = i - row * classes == labels[row] ? T{1} : T{0};
    dlogits[i] = scale * (probabilities[i] - target);
  }
}

/// Softmax, or its gradient, of all replicas, and their losses.
template <typename T>
void rows_and_losses(const Device& device, const ConstView& logits, const LabelSource& labels, T gradient_scale,
                     const View& result, const View& loss) {
  // Up to here one block, with a row a thread, is faster than a second launch.
  constexpr std::int64_t most_classes = 64, most_logits = 8192;
  const std::int64_t rows = logits.extent(-2), classes = logits.extent(-1);
  const auto replicas = static_cast<unsigned>(loss.count());
  if (classes <= most_classes && rows * classes <= most_logits) {
    const auto kernel = gradient_scale == T{0} ? loss_in_one_block<false, T> : loss_in_one_block<true, T>;
    launch(kernel, replicas, block_size, 0, activate(device), rows, classes, logits.data_as<T>(), labels,
           result.data_as<T>(), loss.data_as<T>());
    return;
  }
  const Scratch<double> losses(device, logits.count() / classes);
  softmax_of<T>(device, logits, labels, gradient_scale, result, losses.get());
  launch(mean_losses<T>, replicas, block_size, 0, activate(device), rows, losses.get(), loss.data_as<T>());
}

LabelSource source_of(const Labels& labels, std::int64_t rows) {
  return {labels.labels, labels.rows, labels.counters, rows};
}

}  // namespace

void softmax(const Device& device, ConstView logits, View probabilities) {
  functors::visit_floating(logits.dtype(), [&](auto element) {
    softmax_of<decltype(element)>(device, logits, LabelSource(), 0, probabilities, nullptr);
  });
}

void cross_entropy_forward(const Device& device, ConstView logits, const Labels& labels, View probabilities,
                           View loss) {
  functors::visit_floating(logits.dtype(), [&](auto element) {
    rows_and_losses<decltype(element)>(device, logits, source_of(labels, logits.extent(-2)), 0, probabilities, loss);
  });
}

void cross_entropy_backward(const Device& device, ConstView probabilities, const Labels& labels, ConstView dloss,
                            View dlogits) {
  functors::visit_floating(dlogits.dtype(), [&](auto element) {
    using T = decltype(element);
    const std::int64_t rows = dlogits.extent(-2), classes = dlogits.extent(-1), count = dlogits.count();
    launch(cross_entropy_gradient<T>, blocks_for(count), block_size, 0, activate(device), count, rows, classes,
           probabilities.data_as<T>(), source_of(labels, rows), dloss.data_as<T>(),
           std::int64_t{dloss.count() > 1 ? 1 : 0}, dlogits.data_as<T>());
  });
}

void cross_entropy_with_gradient(const Device& device, ConstView logits, const Labels& labels, View dlogits,
                                 View loss) {
  functors::visit_floating(logits.dtype(), [&](auto element) {
    using T = decltype(element);
    const std::int64_t rows = logits.extent(-2);
    rows_and_losses<T>(device, logits, source_of(labels, rows), T{1} / static_cast<T>(rows), dlogits, loss);
  });
}

}  // namespace rtl::kernels::cuda
