// Elementwise maps over contiguous and strided views: y[i] = op(x_1[i], x_2[i], ...).
#pragma once

#include <algorithm>
#include <utility>

#include "kernels/cuda/launch.cuh"

namespace rtl::kernels::cuda {

/// Neighbouring elements that move together, in loads and stores of at most 16 bytes.
template <typename T, int width>
struct alignas(std::min(sizeof(T) * width, std::size_t{16})) Pack {
  T value[width];
};

/// Elements of T in a 16-byte load.
template <typename T>
constexpr int pack_width = 16 / static_cast<int>(sizeof(T));

template <int width, typename T>
__device__ inline Pack<T, width> load_pack(const T* data, std::int64_t pack) {
  return reinterpret_cast<const Pack<T, width>*>(data)[pack];
}

template <int width, typename T>
__device__ inline void store_pack(T* data, std::int64_t pack, const Pack<T, width>& value) {
  reinterpret_cast<Pack<T, width>*>(data)[pack] = value;
}

/// True if every pointer (null ones aside) may be read in packs of `width`.
template <int width, typename... T>
bool packs_aligned(const T*... data) {
  return ((reinterpret_cast<std::uintptr_t>(data) % alignof(Pack<T, width>) == 0) && ...);
}

/// The widest pack, of pack_width<T> elements or one, that suits rows of `columns` elements and the pointers; calls
/// f(std::integral_constant<int, width>()).
template <typename T, typename F, typename... U>
void with_pack_width(std::int64_t columns, const F& f, const U*... data) {
  if (columns % pack_width<T> == 0 && packs_aligned<pack_width<T>>(data...)) {
    f(std::integral_constant<int, pack_width<T>>());
  } else {
    f(std::integral_constant<int, 1>());
  }
}

/// Where element i (row-major) of several equally shaped, strided views lies. Index counts the elements.
template <int operands, typename Index>
struct Layout {
  int rank = 0;
  Index extents[Shape::max_rank] = {};
  std::int64_t strides[operands][Shape::max_rank] = {};

  __device__ void locate(Index index, std::int64_t (&offsets)[operands]) const {
    for (int operand = 0; operand < operands; ++operand) offsets[operand] = 0;
    for (int axis = rank - 1; axis >= 0; --axis) {
      const Index above = axis == 0 ? 0 : index / extents[axis];
      const Index along = index - above * extents[axis];
      for (int operand = 0; operand < operands; ++operand) offsets[operand] += along * strides[operand][axis];
      index = above;
    }
  }
};

/// Drops axes of extent 1 and merges axes that all operands run through without a gap.
template <int operands, typename Index>
Layout<operands, Index> make_layout(const Shape& shape, const Strides (&strides)[operands]) {
  Layout<operands, Index> layout;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const auto a = static_cast<std::size_t>(axis);
    const std::int64_t extent = shape.extents()[a];
    if (extent == 1) continue;
    bool merges = layout.rank > 0;
    for (int i = 0; merges && i < operands; ++i) {
      merges = layout.strides[i][layout.rank - 1] == strides[i][a] * extent;
    }
    if (!merges) layout.extents[layout.rank++] = 1;
    layout.extents[layout.rank - 1] *= static_cast<Index>(extent);
    for (int i = 0; i < operands; ++i) layout.strides[i][layout.rank - 1] = strides[i][a];
  }
  return layout;
}

template <int width, typename Op, typename To, typename... From>
__global__ void map_contiguous(std::int64_t count, Op op, To* y, const From*... x) {
  const std::int64_t packs = count / width;
  for (std::int64_t pack = grid_thread(); pack < packs; pack += grid_threads()) {
    const auto apply = [&](const Pack<From, width>&... in) {
      Pack<To, width> out;
      for (int i = 0; i < width; ++i) out.value[i] = op(in.value[i]...);
      return out;
    };
    store_pack<width>(y, pack, apply(load_pack<width>(x, pack)...));
  }
  const std::int64_t rest = packs * width + grid_thread();
  if (rest < count) y[rest] = op(x[rest]...);
}

template <typename Op, typename To, typename... From, std::size_t... operand>
__device__ void map_one(const Op& op, const std::int64_t* offsets, std::index_sequence<operand...>, To* y,
                        const From*... x) {
  y[offsets[0]] = op(x[offsets[operand + 1]]...);
}

template <typename Op, typename To, typename... From>
__global__ void map_strided(std::uint32_t count,
                            const __grid_constant__ Layout<1 + sizeof...(From), std::uint32_t> layout, Op op, To* y,
                            const From*... x) {
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    std::int64_t offsets[1 + sizeof...(From)];
    layout.locate(static_cast<std::uint32_t>(i), offsets);
    map_one(op, offsets, std::index_sequence_for<From...>(), y, x...);
  }
}

/// y = op(x...) elementwise, whatever the strides; the inputs have y's shape and may be the very view y.
template <typename To, typename... From, typename Op, typename... Input>
void map_any(const Device& device, const Op& op, const View& y, const Input&... x) {
  constexpr std::int64_t most = UINT32_MAX;
  const std::int64_t count = y.count();
  if (count <= most) {
    const auto layout = make_layout<1 + sizeof...(From), std::uint32_t>(y.shape(), {y.strides(), x.strides()...});
    launch(map_strided<Op, To, From...>, blocks_for(count), block_size, 0, activate(device),
           static_cast<std::uint32_t>(count), layout, op, y.data_as<To>(), x.template data_as<From>()...);
    return;
  }
  // Cut the longest axis in two.
  const auto extents = y.shape().extents();
  const auto axis = static_cast<int>(std::ranges::max_element(extents) - extents.begin());
  const std::int64_t end = y.extent(axis), half = end / 2;
  map_any<To, From...>(device, op, y.slice(axis, 0, half), x.slice(axis, 0, half)...);
  map_any<To, From...>(device, op, y.slice(axis, half, end), x.slice(axis, half, end)...);
}

/// The same, with wide loads and stores where all views are contiguous and aligned.
template <typename To, typename... From, typename Op, typename... Input>
void map(const Device& device, const Op& op, const View& y, const Input&... x) {
  const std::int64_t count = y.count();
  constexpr int width = std::min({pack_width<To>, pack_width<From>...});
  const bool contiguous = (y.is_contiguous() && ... && x.is_contiguous());
  if (contiguous && packs_aligned<width>(y.data_as<To>()) &&
      (packs_aligned<width>(x.template data_as<From>()) && ...)) {
    launch(map_contiguous<width, Op, To, From...>, blocks_for(ceil_divide(count, width)), block_size, 0,
           activate(device), count, op, y.data_as<To>(), x.template data_as<From>()...);
  } else {
    map_any<To, From...>(device, op, y, x...);
  }
}

}  // namespace rtl::kernels::cuda
