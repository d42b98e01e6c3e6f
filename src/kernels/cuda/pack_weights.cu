// The weights of many convolutions from one order and dtype to the other, in one launch.
#include "kernels/backend/packed_conv.hpp"
#include "kernels/cuda/chunks.cuh"
#include "kernels/functors.hpp"

namespace rtl::kernels::cuda {
namespace {

constexpr int capacity = 64;

/// The tensors of a launch, handed to the kernel as a parameter.
template <typename To, typename From>
struct Table {
  Chunks<capacity> chunks;
  const From* from[capacity];
  To* to[capacity];
  /// Extents of the last two axes of `to` that change places: it is [.., rows, columns], `from` [.., columns, rows].
  std::int32_t rows[capacity], columns[capacity];
};

template <typename To, typename From>
__global__ void __launch_bounds__(block_size, 2) turn_all(const __grid_constant__ Table<To, From> table) {
  const auto [tensor, begin, end] = table.chunks[blockIdx.x];
  const std::int64_t rows = table.rows[tensor], columns = table.columns[tensor];
  const From* from = table.from[tensor];
  To* to = table.to[tensor];
  for (std::int64_t i = begin + threadIdx.x; i < end; i += block_size) {
    const std::int64_t line = i / columns, column = i - line * columns;
    const std::int64_t matrix = line / rows, row = line - matrix * rows;
    to[i] = functors::convert<To>(from[(matrix * columns + column) * rows + row]);
  }
}

template <typename To, typename From>
void turn_some(const Device& device, std::span<const ConstView> from, std::span<const View> to, bool packs) {
  Table<To, From> table;
  for (std::size_t i = 0; i < from.size(); ++i) {
    const Shape& shape = to[i].shape();
    if (shape.count() == 0) continue;
    const int at = table.chunks.add(shape.count());
    table.from[at] = from[i].data_as<From>();
    table.to[at] = to[i].data_as<To>();
    table.rows[at] = static_cast<std::int32_t>(packs ? shape[1] * shape[2] : shape[1]);
    table.columns[at] = static_cast<std::int32_t>(packs ? shape[3] : shape[2] * shape[3]);
  }
  launch(turn_all<To, From>, static_cast<unsigned>(table.chunks.total), block_size, 0, activate(device), table);
}

template <typename To, typename From>
void turn(const Device& device, std::span<const ConstView> from, std::span<const View> to, bool packs) {
  for (std::size_t first = 0; first < from.size(); first += capacity) {
    const std::size_t count = std::min<std::size_t>(capacity, from.size() - first);
    turn_some<To, From>(device, from.subspan(first, count), to.subspan(first, count), packs);
  }
}

}  // namespace

void pack_weights(const Device& device, std::span<const ConstView> weights, std::span<const View> packed) {
  if (packed.empty()) return;
  functors::visit_activations(packed.front().dtype(), [&](auto element) {
    using T = decltype(element);
    turn<T, Arithmetic<T>>(device, weights, packed, true);
  });
}

void unpack_weights(const Device& device, std::span<const ConstView> packed, std::span<const View> weights) {
  if (packed.empty()) return;
  functors::visit_activations(packed.front().dtype(), [&](auto element) {
    using T = decltype(element);
    turn<Arithmetic<T>, T>(device, packed, weights, false);
  });
}

}  // namespace rtl::kernels::cuda
