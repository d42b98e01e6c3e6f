#include "kernels/backend/dropout.hpp"

#include "kernels/cuda/elementwise.cuh"
#include "kernels/functors.hpp"

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

template <int width, typename T>
__global__ void drop(std::int64_t count, const __grid_constant__ functors::Dropout<T> keep, const T* x, T* y) {
  for (std::int64_t i = grid_thread(); i < ceil_divide(count, group); i += grid_threads()) {
    const auto first = static_cast<std::uint64_t>(i) * group;
    if (width == group && static_cast<std::int64_t>(first) + group <= count) {
      Pack<T, group> pack = load_pack<group>(x, i);
#pragma unroll
      for (int k = 0; k < group; ++k) pack.value[k] = keep(pack.value[k], first + static_cast<std::uint64_t>(k));
      store_pack<group>(y, i, pack);
    } else {
#pragma unroll
      for (int k = 0; k < group; ++k) {
        const std::uint64_t at = first + static_cast<std::uint64_t>(k);
        if (static_cast<std::int64_t>(at) < count) y[at] = keep(x[at], at);
      }
    }
  }
}

}  // namespace

void dropout(const Device& device, ConstView x, double probability, std::uint64_t seed, std::uint64_t stream, View y) {
  functors::visit_floating(y.dtype(), [&](auto element) {
    using T = decltype(element);
    const functors::Dropout<T> keep(seed, stream, probability);
    const auto kernel = packs_aligned<group>(x.data_as<T>(), y.data_as<T>()) ? drop<group, T> : drop<1, T>;
    launch(kernel, blocks_for(ceil_divide(y.count(), group)), block_size, 0, activate(device), y.count(), keep,
           x.data_as<T>(), y.data_as<T>());
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
