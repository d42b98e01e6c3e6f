#include "kernels/backend/step_state.hpp"

#include "kernels/advance_replica.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/functors.hpp"

namespace rtl::kernels::cuda {
namespace {

template <typename Loss, typename Stored>
__global__ void advance_all(std::int64_t replicas, std::int64_t* counters, Stored* losses, std::int64_t batches,
                            const Loss* loss, std::int64_t batch_size) {
  const std::int64_t replica = grid_thread();
  if (replica < replicas) advance_replica(replica, counters, losses, batches, loss, batch_size);
}

}  // namespace

void advance(const Device& device, View counters, View losses, ConstView loss, std::int64_t batch_size) {
  functors::visit_floating(losses.dtype(), [&](auto stored) {
    functors::visit_floating(loss.dtype(), [&](auto given) {
      using Stored = decltype(stored);
      using Loss = decltype(given);
      const std::int64_t replicas = loss.count();
      launch(advance_all<Loss, Stored>, static_cast<unsigned>(ceil_divide(replicas, warp_size)), warp_size, 0,
             activate(device), replicas, counters.data_as<std::int64_t>(), losses.data_as<Stored>(), losses.extent(-1),
             loss.data_as<Loss>(), batch_size);
    });
  });
}

}  // namespace rtl::kernels::cuda
