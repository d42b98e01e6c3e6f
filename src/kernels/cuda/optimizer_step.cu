#include "kernels/backend/optimizer_step.hpp"
#include "kernels/backend/step_state.hpp"

#include <algorithm>
#include <cmath>

#include "core/cuda/context.hpp"
#include "kernels/advance_replica.hpp"
#include "kernels/cuda/chunks.cuh"
#include "kernels/optimizer_functors.hpp"

namespace rtl::kernels::cuda {
namespace {

/// The tensors of a launch, handed to the kernel as a parameter: no copy to the device, nothing to keep in step.
/// The chunks are those of one replica.
template <typename T, int capacity>
struct Table {
  Chunks<capacity> chunks;
  T* weight[capacity];
  const T* gradient[capacity];
  T* first[capacity];
  T* second[capacity];
  T* average[capacity];
  const T* start[capacity];
  bool start_is_shared[capacity];
};

// Two sizes of table: most networks fit the first, and a large parameter makes every launch a little slower. The larger
// one stays below the 32,764 bytes that the parameters of a kernel may have.
constexpr int small_capacity = 64;
constexpr int large_capacity = 448;

/// Where a replica finds its numbers: steps are 0 where replicas share them.
struct Numbers {
  const std::int64_t* counters;
  const double* rates;
  std::int64_t counters_step, rates_step;
  __device__ functors::StepNumbers of(std::int64_t replica) const {
    return {counters + replica * counters_step, rates + replica * rates_step};
  }
};

/// What is done behind all blocks of a replica, which count themselves in `tickets`; nothing where these are null.
template <typename T>
struct Ending {
  unsigned* tickets = nullptr;
  std::int64_t* counters = nullptr;
  T* losses = nullptr;
  std::int64_t batches = 0;
  const T* loss = nullptr;
  std::int64_t batch_size = 0;
};

template <typename T, typename Slots>
__device__ void update_element(const functors::SgdUpdate<T>& update, const Slots& slots, int slot, std::int64_t at,
                               std::int64_t start_at) {
  T w = slots.weight[slot][at];
  const T start = slots.start[slot] == nullptr ? w : slots.start[slot][start_at];
  T* momentum = slots.first[slot];
  T v = momentum == nullptr ? T{0} : momentum[at];
  update(w, slots.gradient[slot][at], v, start);
  slots.weight[slot][at] = w;
  if (momentum != nullptr) momentum[at] = v;
}

/// Of rules with two moments.
template <template <typename> typename Update, typename T, typename Slots>
__device__ void update_element(const Update<T>& update, const Slots& slots, int slot, std::int64_t at,
                               std::int64_t start_at) {
  T w = slots.weight[slot][at];
  const T start = slots.start[slot] == nullptr ? w : slots.start[slot][start_at];
  T m = slots.first[slot][at], v = slots.second[slot][at];
  update(w, slots.gradient[slot][at], m, v, start);
  slots.weight[slot][at] = w;
  slots.first[slot][at] = m;
  slots.second[slot][at] = v;
}

/// A block works on one chunk of one tensor, found by bisection, of replica blockIdx.y. Its first thread derives the
/// factors from the step's numbers, in f64; that of the last block moves the numbers on.
template <typename T, int capacity, typename Rule>
__global__ void __launch_bounds__(block_size, 2) step_all(const __grid_constant__ Table<T, capacity> slots, Rule rule,
                                                          Numbers numbers, double average_decay, Ending<T> ending) {
  using Update = decltype(functors::update_of<T>(rule, functors::StepNumbers()));
  RTL_SHARED(Update, shared, [1]);
  RTL_SHARED(functors::AverageUpdate<T>, shared_average, [1]);
  const std::int64_t replica = blockIdx.y;
  if (threadIdx.x == 0) {
    shared[0] = functors::update_of<T>(rule, numbers.of(replica));
    shared_average[0] = functors::average_of<T>(average_decay, numbers.of(replica));
  }
  __syncthreads();
  const Update update = shared[0];
  const functors::AverageUpdate<T> average_update = shared_average[0];
  const auto [slot, begin, end] = slots.chunks[blockIdx.x];
  const std::int64_t before = replica * slots.chunks.count[slot];
  const std::int64_t start_before = slots.start_is_shared[slot] ? 0 : before;
  for (std::int64_t i = begin + threadIdx.x; i < end; i += block_size) {
    update_element(update, slots, slot, before + i, start_before + i);
    if (T* average = slots.average[slot]; average != nullptr) {
      average_update(average[before + i], slots.weight[slot][before + i]);
    }
  }
  if (ending.tickets == nullptr) return;
  const auto thread = static_cast<int>(threadIdx.x);
  if (!is_last_block(ending.tickets + replica, gridDim.x, thread) || thread != 0) return;
  advance_replica(replica, ending.counters, ending.losses, ending.batches, ending.loss, ending.batch_size);
}

template <typename T>
T* pointer_of(const View& view) {
  return view.given() ? view.data_as<T>() : nullptr;
}

/// One launch for the tensors of dtype T among `slots`, at most `capacity`.
template <typename T, int capacity, typename Rule>
void step_some(const Device& device, std::span<const OptimizerSlot> slots, const Rule& rule,
               const OptimizerState& state, const Ending<T>& ending) {
  Table<T, capacity> table;
  for (const OptimizerSlot& slot : slots) {
    const std::int64_t count = slot.weight.count() / state.replicas;
    if (count == 0 || slot.weight.dtype() != dtype_of<T>()) continue;
    const int i = table.chunks.add(count);
    table.weight[i] = slot.weight.data_as<T>();
    table.gradient[i] = slot.gradient.data_as<T>();
    table.first[i] = pointer_of<T>(slot.first);
    table.second[i] = pointer_of<T>(slot.second);
    table.average[i] = state.average_decay > 0 ? slot.average.data_as<T>() : nullptr;
    table.start[i] = slot.start.given() ? slot.start.data_as<T>() : nullptr;
    table.start_is_shared[i] = slot.start.given() && slot.start.rank() != slot.weight.rank();
  }
  const Numbers numbers{state.counters.data_as<std::int64_t>(), state.rates.data_as<double>(),
                        state.counters.rank() == 2 ? Counters::count : 0, state.rates.rank() == 2 ? Rates::count : 0};
  launch(step_all<T, capacity, Rule>,
         dim3(static_cast<unsigned>(table.chunks.total), static_cast<unsigned>(state.replicas)), block_size, 0,
         activate(device), table, rule, numbers, state.average_decay, ending);
}

template <typename T, typename Rule>
void step_slots(const Device& device, std::span<const OptimizerSlot> slots, const Rule& rule,
                const OptimizerState& state, const Ending<T>& ending) {
  if (slots.size() <= small_capacity) return step_some<T, small_capacity>(device, slots, rule, state, ending);
  while (!slots.empty()) {
    const std::size_t now = std::min<std::size_t>(slots.size(), large_capacity);
    step_some<T, large_capacity>(device, slots.first(now), rule, state, ending);
    slots = slots.subspan(now);
  }
}

/// True if one launch for elements of T does all, and can end the step.
template <typename T>
bool ends_with_parameters(std::span<const OptimizerSlot> slots, const OptimizerState& state) {
  const auto fits = [](const ConstView& view) { return view.dtype() == dtype_of<T>(); };
  return state.end.counters.given() && fits(state.end.losses) && fits(state.end.loss) &&
         slots.size() <= large_capacity && state.replicas <= detail::ticket_count &&
         std::all_of(slots.begin(), slots.end(), [&](const OptimizerSlot& slot) { return fits(slot.weight); }) &&
         std::any_of(slots.begin(), slots.end(), [](const OptimizerSlot& slot) { return slot.weight.count() > 0; });
}

template <typename T, typename Rule>
bool step_dtype(const Device& device, std::span<const OptimizerSlot> slots, const Rule& rule,
                const OptimizerState& state) {
  Ending<T> ending;
  const bool ends = ends_with_parameters<T>(slots, state);
  if (ends) {
    const StepEnd& end = state.end;
    ending = {detail::tickets(device.context()),
              end.counters.data_as<std::int64_t>(),
              end.losses.data_as<T>(),
              end.losses.extent(-1),
              end.loss.data_as<T>(),
              end.batch_size};
  }
  step_slots<T>(device, slots, rule, state, ending);
  return ends;
}

template <typename Rule>
void step_all_dtypes(const Device& device, std::span<const OptimizerSlot> slots, const Rule& rule,
                     const OptimizerState& state) {
  const bool ended = step_dtype<float>(device, slots, rule, state);
  if (step_dtype<double>(device, slots, rule, state) || ended || !state.end.counters.given()) return;
  cuda::advance(device, state.end.counters, state.end.losses, state.end.loss, state.end.batch_size);
}

}  // namespace

void sgd_step(const Device& device, std::span<const OptimizerSlot> slots, const SgdRule& rule,
              const OptimizerState& state) {
  step_all_dtypes(device, slots, rule, state);
}

void adam_step(const Device& device, std::span<const OptimizerSlot> slots, const AdamRule& rule,
               const OptimizerState& state) {
  step_all_dtypes(device, slots, rule, state);
}

void schedule_free_step(const Device& device, std::span<const OptimizerSlot> slots, const ScheduleFreeRule& rule,
                        const OptimizerState& state) {
  step_all_dtypes(device, slots, rule, state);
}

}  // namespace rtl::kernels::cuda
