#include "rtl/kernels/step_state.hpp"

#include "kernels/backend/step_state.hpp"
#include "kernels/check.hpp"
#include "kernels/check_advance.hpp"
#include "kernels/dispatch.hpp"

namespace rtl::kernels {

void check_advance(const char* call, const Device& device, const View& counters, const View& losses,
                   const ConstView& loss) {
  check::on_device(call, device, {{"counters", counters}, {"losses", losses}, {"loss", loss}});
  check::same_floating(call, {{"losses", losses}});
  check::same_floating(call, {{"loss", loss}});
  check::contiguous(call, {{"losses", losses}, {"loss", loss}});
  const bool stacked = counters.rank() == 2;
  const std::int64_t replicas = stacked ? counters.extent(0) : 0;
  check::counters(call, device, counters, replicas);
  check::rank(call, {"losses", losses}, stacked ? 2 : 1);
  const Shape own{losses.extent(-1)};
  check::shape(call, {"losses", losses}, stacked ? check::replicated(replicas, own) : own);
  if (loss.count() != (stacked ? replicas : 1)) {
    throw ShapeError(fmt::format("{}: 'loss' is {}; one element a replica is needed", call, loss.shape().to_string()));
  }
}

void advance(const Device& device, View counters, View losses, ConstView loss, std::int64_t batch_size) {
  check_advance("advance", device, counters, losses, loss);
  RTL_DISPATCH(device, advance(device, counters, losses, loss, batch_size));
}

}  // namespace rtl::kernels
