// Rows of a softmax and their losses, for the kernels that make them.
#pragma once

#include <limits>

#include "kernels/cuda/launch.cuh"
#include "kernels/functors.hpp"
#include "kernels/label_source.hpp"

namespace rtl::kernels::cuda {

/// a * b, which a subtraction behind it does not take in: the gradient has the bits that stored probabilities give.
__device__ inline float rounded_product(float a, float b) { return __fmul_rn(a, b); }
__device__ inline double rounded_product(double a, double b) { return __dmul_rn(a, b); }

// The threads that share a row: one warp (blockDim.y rows a block), or the whole block for long rows.
template <bool whole_block, typename T, typename Combine>
__device__ inline T combine_row(T value, const Combine& combine, T* partial) {
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

/// The sum over a block's threads, in a fixed order, for thread 0.
__device__ inline double sum_of_block(int thread, double value, double* partial) {
  partial[thread] = value;
  for (int half = block_size / 2; half > 0; half /= 2) {
    __syncthreads();
    if (thread < half) partial[thread] += partial[thread + half];
  }
  return partial[0];
}

/// Softmax of one row; with labels also its loss, -log probability of the label. With a gradient_scale other than 0 the
/// result is the loss's gradient instead, gradient_scale * (softmax - onehot). It may be the logits. All threads of a
/// warp, or of the block, have the same row.
template <bool whole_block, typename T>
__device__ inline void softmax_row(std::int64_t row, std::int64_t classes, const T* logits, const LabelSource& labels,
                                   T gradient_scale, T* result, double* losses, T* partial) {
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

/// The mean of the losses of a replica's rows, by one block in a fixed order.
template <typename T>
__device__ inline void mean_of_losses(std::int64_t rows, const double* losses, T* mean, double* partial) {
  const auto thread = static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x);
  double sum = 0;
  for (std::int64_t i = thread; i < rows; i += block_size) sum += losses[i];
  sum = sum_of_block(thread, sum, partial);
  if (thread == 0) *mean = static_cast<T>(sum / static_cast<double>(rows));
}

}  // namespace rtl::kernels::cuda
