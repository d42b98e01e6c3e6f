#include "kernels/backend/dropout.hpp"

#include "kernels/cuda/elementwise.cuh"
#include "kernels/functors.hpp"
#include "rtl/kernels/step_state.hpp"

namespace rtl::kernels::cuda {
namespace {

// A Philox block serves four draws, so a thread makes four neighbours: the compiler sees that they share the block.
constexpr int group = 4;

template <int width, typename T, typename Draw>
__global__ void generate(std::int64_t count, const __grid_constant__ Draw draw, T* y) {
  for (std::int64_t i = grid_thread(); i < ceil_divide(count, group); i += grid_threads()) {
    const auto first = static_cast<std::uint64_t>(i) * group;
    T value[group];
#pragma unroll
    for (int k = 0; k < group; ++k) value[k] = static_cast<T>(draw(first + static_cast<std::uint64_t>(k)));
    if (width == group && static_cast<std::int64_t>(first) + group <= count) {
      store_pack<group>(y, i, Pack<T, group>{{value[0], value[1], value[2], value[3]}});
    } else {
#pragma unroll
      for (int k = 0; k < group; ++k) {
        if (static_cast<std::int64_t>(first) + k < count) y[first + static_cast<std::uint64_t>(k)] = value[k];
      }
    }
  }
}

template <typename T, typename Draw>
void generate_into(const Device& device, const View& y, const Draw& draw) {
  const auto kernel = packs_aligned<group>(y.data_as<T>()) ? generate<group, T, Draw> : generate<1, T, Draw>;
  launch(kernel, blocks_for(ceil_divide(y.count(), group)), block_size, 0, activate(device), y.count(), draw,
         y.data_as<T>());
}

template <typename T>
__device__ inline T drop_element(const functors::Dropout<Arithmetic<T>>& keep, T x, std::uint64_t at) {
  return functors::convert<T>(keep(functors::convert<Arithmetic<T>>(x), at));
}

template <int width, typename T>
__device__ void drop_elements(std::int64_t count, const functors::Dropout<Arithmetic<T>>& keep, const T* x, T* y) {
  for (std::int64_t i = grid_thread(); i < ceil_divide(count, group); i += grid_threads()) {
    const auto first = static_cast<std::uint64_t>(i) * group;
    if (width == group && static_cast<std::int64_t>(first) + group <= count) {
      Pack<T, group> pack = load_pack<group>(x, i);
#pragma unroll
      for (int k = 0; k < group; ++k)
        pack.value[k] = drop_element(keep, pack.value[k], first + static_cast<std::uint64_t>(k));
      store_pack<group>(y, i, pack);
    } else {
#pragma unroll
      for (int k = 0; k < group; ++k) {
        const std::uint64_t at = first + static_cast<std::uint64_t>(k);
        if (static_cast<std::int64_t>(at) < count) y[at] = drop_element(keep, x[at], at);
      }
    }
  }
}

template <int width, typename T>
__global__ void drop(std::int64_t count, const __grid_constant__ functors::Dropout<Arithmetic<T>> keep, const T* x,
                     T* y) {
  drop_elements<width>(count, keep, x, y);
}

/// A row of blocks for each replica, of `count` elements; x_step is 0 where they share x.
template <int width, typename T>
__global__ void drop_replicas(std::int64_t count, functors::Dropout<Arithmetic<T>> keep, std::uint64_t name,
                              const std::int64_t* counters, std::int64_t x_step, const T* x, T* y) {
  const std::int64_t replica = blockIdx.y;
  const std::int64_t* own = counters + replica * Counters::count;
  keep.philox = Philox(static_cast<std::uint64_t>(own[Counters::seed]),
                       mix(name, static_cast<std::uint64_t>(own[Counters::step])));
  drop_elements<width>(count, keep, x + replica * x_step, y + replica * count);
}

}  // namespace

void dropout(const Device& device, ConstView x, double probability, std::uint64_t seed, std::uint64_t stream, View y) {
  functors::visit_activations(y.dtype(), [&](auto element) {
    using T = decltype(element);
    const functors::Dropout<Arithmetic<T>> keep(seed, stream, probability);
    const auto kernel = packs_aligned<group>(x.data_as<T>(), y.data_as<T>()) ? drop<group, T> : drop<1, T>;
    launch(kernel, blocks_for(ceil_divide(y.count(), group)), block_size, 0, activate(device), y.count(), keep,
           x.data_as<T>(), y.data_as<T>());
  });
}

void dropout(const Device& device, ConstView x, double probability, std::uint64_t name, ConstView counters, View y) {
  functors::visit_activations(y.dtype(), [&](auto element) {
    using T = decltype(element);
    const std::int64_t replicas = counters.count() / Counters::count, count = y.count() / replicas;
    const bool packs = (replicas == 1 || count % group == 0) && packs_aligned<group>(x.data_as<T>(), y.data_as<T>());
    const auto kernel = packs ? drop_replicas<group, T> : drop_replicas<1, T>;
    const dim3 grid(blocks_for(ceil_divide(count, group)), static_cast<unsigned>(replicas));
    launch(kernel, grid, block_size, 0, activate(device), count, functors::Dropout<Arithmetic<T>>(0, 0, probability),
           name, counters.data_as<std::int64_t>(), x.count() == y.count() ? count : 0, x.data_as<T>(), y.data_as<T>());
  });
}

void uniform(const Device& device, double low, double high, std::uint64_t seed, std::uint64_t stream, View y) {
  functors::visit_floating(y.dtype(), [&](auto element) {
    using T = decltype(element);
    generate_into<T>(device, y, functors::Uniform<T>{Philox(seed, stream), low, high - low});
  });
}

void normal(const Device& device, double mean, double deviation, std::uint64_t seed, std::uint64_t stream, View y) {
  functors::visit_floating(y.dtype(), [&](auto element) {
    using T = decltype(element);
    generate_into<T>(device, y, functors::Normal{Philox(seed, stream), mean, deviation});
  });
}

}  // namespace rtl::kernels::cuda
