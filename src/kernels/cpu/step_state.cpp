#include "kernels/backend/step_state.hpp"
#include "kernels/advance_replica.hpp"
#include "kernels/functors.hpp"

namespace rtl::kernels::cpu {

void advance(const Device&, View counters, View losses, ConstView loss, std::int64_t batch_size) {
  functors::visit_floating(losses.dtype(), [&](auto stored) {
    functors::visit_floating(loss.dtype(), [&](auto given) {
      using Stored = decltype(stored);
      using Loss = decltype(given);
      for (std::int64_t replica = 0; replica < loss.count(); ++replica) {
        advance_replica(replica, counters.data_as<std::int64_t>(), losses.data_as<Stored>(), losses.extent(-1),
                        loss.data_as<Loss>(), batch_size);
      }
    });
  });
}

}  // namespace rtl::kernels::cpu
