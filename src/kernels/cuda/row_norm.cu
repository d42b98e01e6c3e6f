// Layer norm and RMS norm: a warp a row, which stays in the first cache between its statistics and its values.
#include "kernels/backend/row_norm.hpp"

#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/values.cuh"
#include "kernels/functors.hpp"

namespace rtl::kernels::cuda {
namespace {

constexpr int rows_per_block = block_size / warp_size;

template <typename A>
__device__ inline A sum_of_warp(A value) {
  for (int bits = warp_size / 2; bits > 0; bits /= 2) value += __shfl_xor_sync(all_lanes, value, bits);
  return value;
}

/// mean and beta only of layer norm (`centred`). `packs` are those of a row.
template <bool centred, int width, typename T>
__global__ void __launch_bounds__(block_size)
    normalise_rows(std::int64_t rows, std::int64_t packs, double epsilon, const T* x, const Arithmetic<T>* gamma,
                   const Arithmetic<T>* beta, T* y, Arithmetic<T>* saved_mean, Arithmetic<T>* saved_inverse) {
  using A = Arithmetic<T>;
  const std::int64_t row = std::int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  if (row >= rows) return;  // whole warps
  const std::int64_t begin = row * packs;
  const auto columns = static_cast<A>(packs * width);
  A mean = 0, squares = 0;
  if constexpr (centred) {
    for (std::int64_t i = threadIdx.x; i < packs; i += warp_size) {
      const auto in = load_values<width>(x, begin + i);
      for (int k = 0; k < width; ++k) mean += in.value[k];
    }
    mean = sum_of_warp(mean) / columns;
  }
  for (std::int64_t i = threadIdx.x; i < packs; i += warp_size) {
    const auto in = load_values<width>(x, begin + i);
    for (int k = 0; k < width; ++k) squares += (in.value[k] - mean) * (in.value[k] - mean);
  }
  const double variance = static_cast<double>(sum_of_warp(squares)) / static_cast<double>(columns);
  const A inverse = static_cast<A>(1.0 / std::sqrt(variance + epsilon));
  if (threadIdx.x == 0) {
    if constexpr (centred) saved_mean[row] = mean;
    saved_inverse[row] = inverse;
  }
  for (std::int64_t i = threadIdx.x; i < packs; i += warp_size) {
    auto value = load_values<width>(x, begin + i);
    const auto scale = load_pack<width>(gamma, i);
    Pack<A, width> shift{};
    if constexpr (centred) shift = load_pack<width>(beta, i);
    for (int k = 0; k < width; ++k) {
      value.value[k] = (value.value[k] - mean) * inverse * scale.value[k] + shift.value[k];
    }
    store_values<width>(y, begin + i, value);
  }
}

/// dx may be dy.
template <bool centred, int width, typename T>
__global__ void __launch_bounds__(block_size)
    normalise_rows_gradient(std::int64_t rows, std::int64_t packs, const T* x, const Arithmetic<T>* gamma,
                            const Arithmetic<T>* saved_mean, const Arithmetic<T>* saved_inverse, const T* dy, T* dx) {
  using A = Arithmetic<T>;
  const std::int64_t row = std::int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  if (row >= rows) return;  // whole warps
  const std::int64_t begin = row * packs;
  const auto columns = static_cast<A>(packs * width);
  const A mean = centred ? saved_mean[row] : A{0}, inverse = saved_inverse[row];
  A sum = 0, product = 0;
  for (std::int64_t i = threadIdx.x; i < packs; i += warp_size) {
    const auto in = load_values<width>(x, begin + i), gradient = load_values<width>(dy, begin + i);
    const auto scale = load_pack<width>(gamma, i);
    for (int k = 0; k < width; ++k) {
      const A g = gradient.value[k] * scale.value[k];
      sum += g;
      product += g * ((in.value[k] - mean) * inverse);
    }
  }
  const A mean_gradient = centred ? sum_of_warp(sum) / columns : A{0}, mean_product = sum_of_warp(product) / columns;
  for (std::int64_t i = threadIdx.x; i < packs; i += warp_size) {
    const auto in = load_values<width>(x, begin + i);
    auto gradient = load_values<width>(dy, begin + i);
    const auto scale = load_pack<width>(gamma, i);
    for (int k = 0; k < width; ++k) {
      const A normal = (in.value[k] - mean) * inverse;
      gradient.value[k] = inverse * (gradient.value[k] * scale.value[k] - mean_gradient - normal * mean_product);
    }
    store_values<width>(dx, begin + i, gradient);
  }
}

/// A row's shares of dbeta and dgamma.
template <typename T>
struct ParameterTerm {
  std::int64_t columns;
  const T *x, *dy;
  const Arithmetic<T>*mean, *inverse;
  __device__ Sums<2> operator()(std::int64_t row, std::int64_t column) const {
    const std::int64_t i = row * columns + column;
    const auto g = functors::convert<double>(dy[i]);
    const double centre = mean == nullptr ? 0.0 : static_cast<double>(mean[row]);
    return {{g, g * (functors::convert<double>(x[i]) - centre) * static_cast<double>(inverse[row])}};
  }
};

template <typename A>
struct FinishParameters {
  A *dgamma, *dbeta;
  __device__ void operator()(std::int64_t column, std::int64_t, const Sums<2>& sums) const {
    dgamma[column] = static_cast<A>(sums.value[1]);
    if (dbeta != nullptr) dbeta[column] = static_cast<A>(sums.value[0]);
  }
};

struct RowGrid {
  dim3 blocks, threads{warp_size, rows_per_block};
  explicit RowGrid(std::int64_t rows) : blocks(static_cast<unsigned>(ceil_divide(rows, rows_per_block))) {}
};

template <bool centred>
void forward(const Device& device, const ConstView& x, const ConstView& gamma, const ConstView& beta, double epsilon,
             const View& y, const View& mean, const View& inverse) {
  functors::visit_activations(x.dtype(), [&](auto element) {
    using T = decltype(element);
    using A = Arithmetic<T>;
    const std::int64_t columns = x.extent(-1), rows = x.count() / columns;
    const A* shift = centred ? beta.data_as<A>() : nullptr;
    A* means = centred ? mean.data_as<A>() : nullptr;
    const RowGrid grid(rows);
    const auto start = [&](auto width) {
      launch(normalise_rows<centred, width(), T>, grid.blocks, grid.threads, 0, activate(device), rows, columns / width,
             epsilon, x.data_as<T>(), gamma.data_as<A>(), shift, y.data_as<T>(), means, inverse.data_as<A>());
    };
    with_pack_width<T>(columns, start, x.data_as<T>(), y.data_as<T>(), gamma.data_as<A>(), shift);
  });
}

template <bool centred>
void backward(const Device& device, const ConstView& x, const ConstView& gamma, const ConstView& mean,
              const ConstView& inverse, const ConstView& dy, const View& dx, const View& dgamma, const View& dbeta) {
  functors::visit_activations(x.dtype(), [&](auto element) {
    using T = decltype(element);
    using A = Arithmetic<T>;
    const std::int64_t columns = x.extent(-1), rows = x.count() / columns;
    const A* means = centred ? mean.data_as<A>() : nullptr;
    // Before dx, which may be dy, is written.
    reduce_columns(device, rows, columns, Neighbours::columns, Sums<2>{},
                   ParameterTerm<T>{columns, x.data_as<T>(), dy.data_as<T>(), means, inverse.data_as<A>()}, AddSums(),
                   FinishParameters<A>{dgamma.data_as<A>(), centred ? dbeta.data_as<A>() : nullptr});
    const RowGrid grid(rows);
    const auto start = [&](auto width) {
      launch(normalise_rows_gradient<centred, width(), T>, grid.blocks, grid.threads, 0, activate(device), rows,
             columns / width, x.data_as<T>(), gamma.data_as<A>(), means, inverse.data_as<A>(), dy.data_as<T>(),
             dx.data_as<T>());
    };
    with_pack_width<T>(columns, start, x.data_as<T>(), dy.data_as<T>(), dx.data_as<T>(), gamma.data_as<A>());
  });
}

}  // namespace

void layer_norm_forward(const Device& device, ConstView x, ConstView gamma, ConstView beta, double epsilon, View y,
                        View saved_mean, View saved_inverse_deviation) {
  forward<true>(device, x, gamma, beta, epsilon, y, saved_mean, saved_inverse_deviation);
}

void layer_norm_backward(const Device& device, ConstView x, ConstView gamma, ConstView saved_mean,
                         ConstView saved_inverse_deviation, ConstView dy, View dx, View dgamma, View dbeta) {
  backward<true>(device, x, gamma, saved_mean, saved_inverse_deviation, dy, dx, dgamma, dbeta);
}

void rms_norm_forward(const Device& device, ConstView x, ConstView gamma, double epsilon, View y, View saved_inverse) {
  forward<false>(device, x, gamma, {}, epsilon, y, {}, saved_inverse);
}

void rms_norm_backward(const Device& device, ConstView x, ConstView gamma, ConstView saved_inverse, ConstView dy,
                       View dx, View dgamma) {
  backward<false>(device, x, gamma, {}, saved_inverse, dy, dx, dgamma, {});
}

}  // namespace rtl::kernels::cuda
