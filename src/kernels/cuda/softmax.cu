#include "kernels/backend/softmax.hpp"

#include <limits>

#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/functors.hpp"

namespace rtl::kernels::cuda {
namespace {

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

/// Softmax of every row; with labels also losses[row] = -log probability of the label. Probabilities may be the logits.
template <bool whole_block, typename T>
__global__ void __launch_bounds__(block_size)
    softmax_rows(std::int64_t rows, std::int64_t classes, const T* logits, const std::int32_t* labels, T* probabilities,
                 double* losses) {
  RTL_SHARED(T, partial, [block_size / warp_size]);
  const std::int64_t row = std::int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  if (row >= rows) return;  // whole warps, and never part of a block that has barriers
  const T* in = logits + row * classes;
  T* out = probabilities + row * classes;
  T largest = -std::numeric_limits<T>::infinity();
  for (std::int64_t i = threadIdx.x; i < classes; i += blockDim.x) largest = functors::Maximum()(largest, in[i]);
  largest = combine_row<whole_block>(largest, functors::Maximum(), partial);
  T sum = 0;
  for (std::int64_t i = threadIdx.x; i < classes; i += blockDim.x) sum += std::exp(in[i] - largest);
  sum = combine_row<whole_block>(sum, functors::Add(), partial);
  if (losses != nullptr && threadIdx.x == 0) {
    losses[row] = std::log(static_cast<double>(sum)) - static_cast<double>(in[labels[row]] - largest);
  }
  if constexpr (whole_block) {
    __syncthreads();  // the label's logit has been read before it can be overwritten
  } else {
    __syncwarp();
  }
  const T scale = T{1} / sum;
  for (std::int64_t i = threadIdx.x; i < classes; i += blockDim.x) out[i] = std::exp(in[i] - largest) * scale;
}

template <typename T>
void softmax_of(const Device& device, const ConstView& logits, const std::int32_t* labels, const View& probabilities,
                double* losses) {
  constexpr std::int64_t long_row = 2048;
  const std::int64_t rows = logits.extent(0), classes = logits.extent(1);
  const cudaStream_t stream = activate(device);
  if (classes >= long_row) {
    launch(softmax_rows<true, T>, static_cast<unsigned>(rows), block_size, 0, stream, rows, classes,
           logits.data_as<T>(), labels, probabilities.data_as<T>(), losses);
  } else {
    constexpr int rows_per_block = block_size / warp_size;
    launch(softmax_rows<false, T>, static_cast<unsigned>(ceil_divide(rows, rows_per_block)),
           dim3(warp_size, rows_per_block), 0, stream, rows, classes, logits.data_as<T>(), labels,
           probabilities.data_as<T>(), losses);
  }
}

struct LossTerm {
  const double* losses;
  __device__ double operator()(std::int64_t row, std::int64_t) const { return losses[row]; }
};

template <typename T>
struct StoreMean {
  T* loss;
  double rows;
  __device__ void operator()(std::int64_t, std::int64_t, double total) const { *loss = static_cast<T>(total / rows); }
};

template <typename T>
__global__ void cross_entropy_gradient(std::int64_t rows, std::int64_t classes, const T* probabilities,
                                       const std::int32_t* labels, const T* dloss, T* dlogits) {
  const T scale = *dloss / static_cast<T>(rows);
  for (std::int64_t i = grid_thread(); i < rows * classes; i += grid_threads()) {
    const std::int64_t row = i / classes;
    const T target = i - row * classes == labels[row] ? T{1} : T{0};
    dlogits[i] = scale * (probabilities[i] - target);
  }
}

}  // namespace

void softmax(const Device& device, ConstView logits, View probabilities) {
  functors::visit_floating(logits.dtype(), [&](auto element) {
    softmax_of<decltype(element)>(device, logits, nullptr, probabilities, nullptr);
  });
}

void cross_entropy_forward(const Device& device, ConstView logits, ConstView labels, View probabilities, View loss) {
  const std::int64_t rows = logits.extent(0);
  const Scratch<double> losses(device, rows);
  functors::visit_floating(logits.dtype(), [&](auto element) {
    using T = decltype(element);
    softmax_of<T>(device, logits, labels.data_as<std::int32_t>(), probabilities, losses.get());
    reduce_columns(device, rows, 1, Neighbours::rows, 0.0, LossTerm{losses.get()}, functors::Add(),
                   StoreMean<T>{loss.data_as<T>(), static_cast<double>(rows)});
  });
}

void cross_entropy_backward(const Device& device, ConstView probabilities, ConstView labels, ConstView dloss,
                            View dlogits) {
  functors::visit_floating(dlogits.dtype(), [&](auto element) {
    using T = decltype(element);
    const std::int64_t rows = dlogits.extent(0), classes = dlogits.extent(1);
    launch(cross_entropy_gradient<T>, blocks_for(rows * classes), block_size, 0, activate(device), rows, classes,
           probabilities.data_as<T>(), labels.data_as<std::int32_t>(), dloss.data_as<T>(), dlogits.data_as<T>());
  });
}

}  // namespace rtl::kernels::cuda
