#include "kernels/backend/optimizer_step.hpp"

#include <cmath>

#include "kernels/cuda/launch.cuh"
#include "kernels/functors.hpp"

namespace rtl::kernels::cuda {
namespace {

/// The tensors of a launch, handed to the kernel as a parameter: no copy to the device, nothing to keep in step.
/// chunk_begin counts the chunks of the tensors before.
template <typename T, int capacity>
struct Table {
  int slots = 0;
  T* weight[capacity];
  const T* gradient[capacity];
  T* first[capacity];
  T* second[capacity];
  const T* start[capacity];
  std::int64_t count[capacity];
  std::int64_t chunk_begin[capacity + 1];
};

constexpr std::int64_t chunk = 4 * block_size;
// Two sizes of table: most networks fit the first, and a large parameter makes every launch a little slower.
constexpr int small_capacity = 64;
constexpr int large_capacity = 512;

template <typename T>
struct SgdElement {
  functors::SgdUpdate<T> update;
  template <typename Slots>
  __device__ void operator()(const Slots& slots, int slot, std::int64_t i) const {
    T w = slots.weight[slot][i];
    const T start = slots.start[slot] == nullptr ? w : slots.start[slot][i];
    T* momentum = slots.first[slot];
    T v = momentum == nullptr || update.first_step ? T{0} : momentum[i];
    update(w, slots.gradient[slot][i], v, start);
    slots.weight[slot][i] = w;
    if (momentum != nullptr) momentum[i] = v;
  }
};

template <typename T>
struct AdamElement {
  functors::AdamUpdate<T> update;
  template <typename Slots>
  __device__ void operator()(const Slots& slots, int slot, std::int64_t i) const {
    T w = slots.weight[slot][i];
    const T start = slots.start[slot] == nullptr ? w : slots.start[slot][i];
    T m = slots.first[slot][i], v = slots.second[slot][i];
    update(w, slots.gradient[slot][i], m, v, start);
    slots.weight[slot][i] = w;
    slots.first[slot][i] = m;
    slots.second[slot][i] = v;
  }
};

/// A block works on one chunk of one tensor, found by bisection.
template <typename T, int capacity, typename Element>
__global__ void __launch_bounds__(block_size)
    step_all(const __grid_constant__ Table<T, capacity> slots, const __grid_constant__ Element element) {
  int low = 0, high = slots.slots;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (slots.chunk_begin[middle] <= blockIdx.x) {
      low = middle;
    } else {
      high = middle;
    }
  }
  const std::int64_t begin = (blockIdx.x - slots.chunk_begin[low]) * chunk;
  const std::int64_t end = begin + chunk < slots.count[low] ? begin + chunk : slots.count[low];
  for (std::int64_t i = begin + threadIdx.x; i < end; i += block_size) element(slots, low, i);
}

template <typename T>
T* pointer_of(const View& view) {
  return view.given() ? view.data_as<T>() : nullptr;
}

template <typename T, int capacity, typename Element>
void step_some(const Device& device, std::span<const OptimizerSlot> slots, const Element& element) {
  Table<T, capacity> table;
  std::int64_t chunks = 0;
  for (const OptimizerSlot& slot : slots) {
    const int i = table.slots;
    if (slot.weight.count() == 0) continue;
    table.weight[i] = slot.weight.data_as<T>();
    table.gradient[i] = slot.gradient.data_as<T>();
    table.first[i] = pointer_of<T>(slot.first);
    table.second[i] = pointer_of<T>(slot.second);
    table.start[i] = slot.start.given() ? slot.start.data_as<T>() : nullptr;
    table.count[i] = slot.weight.count();
    table.chunk_begin[i] = chunks;
    chunks += ceil_divide(slot.weight.count(), chunk);
    ++table.slots;
  }
  launch(step_all<T, capacity, Element>, static_cast<unsigned>(chunks), block_size, 0, activate(device), table,
         element);
}

template <typename T, typename Element>
void step_slots(const Device& device, std::span<const OptimizerSlot> slots, const Element& element) {
  if (slots.size() <= small_capacity) return step_some<T, small_capacity>(device, slots, element);
  while (!slots.empty()) {
    const std::size_t now = std::min<std::size_t>(slots.size(), large_capacity);
    step_some<T, large_capacity>(device, slots.first(now), element);
    slots = slots.subspan(now);
  }
}

/// One launch for the tensors of each dtype.
template <typename F>
void for_each_dtype(std::span<const OptimizerSlot> slots, const F& f) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    std::vector<OptimizerSlot> chosen;
    std::ranges::copy_if(slots, std::back_inserter(chosen),
                         [&](const OptimizerSlot& slot) { return slot.weight.dtype() == dtype; });
    if (!chosen.empty()) functors::visit_floating(dtype, [&](auto element) { f(element, chosen); });
  }
}

}  // namespace

void sgd_step(const Device& device, std::span<const OptimizerSlot> slots, const SgdOptions& options, bool first_step) {
  for_each_dtype(slots, [&](auto element, const std::vector<OptimizerSlot>& chosen) {
    using T = decltype(element);
    step_slots<T>(device, chosen, SgdElement<T>{functors::sgd_update<T>(options, first_step)});
  });
}

void adam_step(const Device& device, std::span<const OptimizerSlot> slots, const AdamOptions& options,
               std::int64_t step) {
  for_each_dtype(slots, [&](auto element, const std::vector<OptimizerSlot>& chosen) {
    using T = decltype(element);
    step_slots<T>(device, chosen, AdamElement<T>{functors::adam_update<T>(options, step)});
  });
}

}  // namespace rtl::kernels::cuda
