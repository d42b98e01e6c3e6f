#include "kernels/backend/softmax.hpp"

#include "core/cuda/context.hpp"
#include "kernels/cuda/softmax_rows.cuh"

namespace rtl::kernels::cuda {
namespace {

/// Where the losses of rows go, and their mean over the rows of each replica; nothing for softmax alone.
template <typename T>
struct LossTarget {
  double* of_rows = nullptr;
  unsigned* tickets = nullptr;  // of each replica
  T* mean = nullptr;
};

/// Rows of all replicas, counted from `first`: those of each belong to blocks of their own, the last of which takes the
/// mean of the losses.
template <bool whole_block, typename T>
__global__ void __launch_bounds__(block_size)
    softmax_rows(std::int64_t first, std::int64_t rows, std::int64_t classes, const T* logits, const LabelSource labels,
                 T gradient_scale, T* result, const LossTarget<T> loss) {
  RTL_SHARED(T, partial, [block_size / warp_size]);
  const std::int64_t replica = first + blockIdx.y;
  const std::int64_t own = std::int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  if (own < rows) {
    softmax_row<whole_block>(replica * rows + own, classes, logits, labels, gradient_scale, result, loss.of_rows,
                             &partial[0]);
  }
  if (loss.mean == nullptr) return;
  RTL_SHARED(double, sums, [block_size]);
  const auto thread = static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x);
  if (!is_last_block(loss.tickets + blockIdx.y, gridDim.x, thread)) return;
  mean_of_losses(rows, loss.of_rows + replica * rows, loss.mean + replica, &sums[0]);
}

/// `rows` of each of so many replicas.
template <typename T>
void softmax_of(const Device& device, std::int64_t rows, std::int64_t replicas, const ConstView& logits,
                const LabelSource& labels, T gradient_scale, const View& result, const LossTarget<T>& loss) {
  constexpr std::int64_t long_row = 2048;
  const std::int64_t classes = logits.extent(-1);
  const bool whole_block = classes >= long_row;
  constexpr int rows_per_block = block_size / warp_size;
  const auto blocks = static_cast<unsigned>(whole_block ? rows : ceil_divide(rows, rows_per_block));
  for (std::int64_t first = 0; first < replicas; first += detail::ticket_count) {
    const auto some = static_cast<unsigned>(std::min(replicas - first, detail::ticket_count));
    launch(whole_block ? softmax_rows<true, T> : softmax_rows<false, T>, dim3(blocks, some),
           whole_block ? dim3(block_size) : dim3(warp_size, rows_per_block), 0, activate(device), first, rows, classes,
           logits.data_as<T>(), labels, gradient_scale, result.data_as<T>(), loss);
  }
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
void rows_and_losses(const Device& device, const ConstView& logits, const Labels& labels, T gradient_scale,
                     const View& result, const View& loss) {
  const std::int64_t rows = logits.extent(-2), replicas = loss.count();
  const Scratch<double> losses(device, rows * replicas);
  softmax_of<T>(device, rows, replicas, logits, LabelSource(labels, rows), gradient_scale, result,
                {losses.get(), detail::tickets(device.context()), loss.data_as<T>()});
}

}  // namespace

void softmax(const Device& device, ConstView logits, View probabilities) {
  functors::visit_floating(logits.dtype(), [&](auto element) {
    softmax_of<decltype(element)>(device, logits.count() / logits.extent(-1), 1, logits, LabelSource(), 0,
                                  probabilities, {});
  });
}

void cross_entropy_forward(const Device& device, ConstView logits, const Labels& labels, View probabilities,
                           View loss) {
  functors::visit_floating(logits.dtype(), [&](auto element) {
    rows_and_losses<decltype(element)>(device, logits, labels, 0, probabilities, loss);
  });
}

void cross_entropy_backward(const Device& device, ConstView probabilities, const Labels& labels, ConstView dloss,
                            View dlogits) {
  functors::visit_floating(dlogits.dtype(), [&](auto element) {
    using T = decltype(element);
    const std::int64_t rows = dlogits.extent(-2), classes = dlogits.extent(-1), count = dlogits.count();
    launch(cross_entropy_gradient<T>, blocks_for(count), block_size, 0, activate(device), count, rows, classes,
           probabilities.data_as<T>(), LabelSource(labels, rows), dloss.data_as<T>(),
           std::int64_t{dloss.count() > 1 ? 1 : 0}, dlogits.data_as<T>());
  });
}

void cross_entropy_with_gradient(const Device& device, ConstView logits, const Labels& labels, View dlogits,
                                 View loss) {
  functors::visit_floating(logits.dtype(), [&](auto element) {
    using T = decltype(element);
    rows_and_losses<T>(device, logits, labels, T{1} / static_cast<T>(logits.extent(-2)), dlogits, loss);
  });
}

}  // namespace rtl::kernels::cuda
