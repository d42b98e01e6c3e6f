#include "rtl/kernels/optimizer_step.hpp"

#include "kernels/backend/optimizer_step.hpp"
#include "kernels/check.hpp"
#include "kernels/check_advance.hpp"
#include "kernels/dispatch.hpp"

namespace rtl::kernels {
namespace {

void check_end(const char* call, const Device& device, const OptimizerState& state) {
  const StepEnd& end = state.end;
  check::value(end.counters.data() == state.counters.data(), call, "the counters that are to move on are others");
  check::shape(call, {"counters", end.counters}, state.counters.shape());
  check_advance(call, device, end.counters, end.losses, end.loss);
}

void check_state(const char* call, const Device& device, const OptimizerState& state) {
  check::value(state.replicas >= 1, call,
               [&] { return fmt::format("there are {} replicas; at least one is needed", state.replicas); });
  check::value(state.average_decay >= 0 && state.average_decay < 1, call, [&] {
    return fmt::format("the decay of the average is {}; it must be in [0, 1)", state.average_decay);
  });
  check::on_device(call, device, {{"counters", state.counters}, {"rates", state.rates}});
  check::counters(call, device, state.counters, state.replicas);
  check::dtype(call, {"rates", state.rates}, DType::f64);
  check::contiguous(call, {{"rates", state.rates}});
  const Shape one{Rates::count};
  check::shape(call, {"rates", state.rates}, state.rates.rank() == 2 ? check::replicated(state.replicas, one) : one);
  if (state.end.counters.given()) check_end(call, device, state);
}

void check_slots(const char* call, const Device& device, std::span<const OptimizerSlot> slots,
                 const OptimizerState& state, bool first, bool second) {
  const std::int64_t replicas = state.replicas;
  const auto presence = [](bool needed) { return needed ? check::Presence::required : check::optional; };
  for (const OptimizerSlot& slot : slots) {
    check::dense_operands(call, device,
                          {{"weight", slot.weight},
                           {"gradient", slot.gradient},
                           {"first", slot.first, presence(first)},
                           {"second", slot.second, presence(second)},
                           {"average", slot.average, presence(state.average_decay > 0)},
                           {"start", slot.start, check::optional}});
    const Shape& shape = slot.weight.shape();
    check::shapes(
        call, {{"gradient", slot.gradient}, {"first", slot.first}, {"second", slot.second}, {"average", slot.average}},
        shape);
    if (replicas > 1 && (shape.rank() == 0 || shape[0] != replicas)) {
      throw ShapeError(fmt::format("{}: 'weight' is {}; it needs a leading axis of the {} replicas", call,
                                   shape.to_string(), replicas));
    }
    const bool shared = replicas > 1 && slot.start.given() && slot.start.rank() == shape.rank() - 1;
    check::shape(call, {"start", slot.start}, shared ? Shape(shape.extents().subspan(1)) : shape);
  }
}

}  // namespace

void sgd_step(const Device& device, std::span<const OptimizerSlot> slots, const SgdRule& rule,
              const OptimizerState& state) {
  check::value(!rule.nesterov || rule.momentum != 0, "sgd_step", "Nesterov needs a momentum other than 0");
  check_state("sgd_step", device, state);
  check_slots("sgd_step", device, slots, state, rule.momentum != 0, false);
  RTL_DISPATCH(device, sgd_step(device, slots, rule, state));
}

void adam_step(const Device& device, std::span<const OptimizerSlot> slots, const AdamRule& rule,
               const OptimizerState& state) {
  check_state("adam_step", device, state);
  check_slots("adam_step", device, slots, state, true, true);
  RTL_DISPATCH(device, adam_step(device, slots, rule, state));
}

void schedule_free_step(const Device& device, std::span<const OptimizerSlot> slots, const ScheduleFreeRule& rule,
                        const OptimizerState& state) {
  check::value(rule.beta1 > 0 && rule.beta1 <= 1, "schedule_free_step",
               [&] { return fmt::format("beta1 is {}; it must be in (0, 1]", rule.beta1); });
  check::value(state.average_decay == 0, "schedule_free_step", "it has an average of its own, x, and takes no other");
  check_state("schedule_free_step", device, state);
  check_slots("schedule_free_step", device, slots, state, true, true);
  RTL_DISPATCH(device, schedule_free_step(device, slots, rule, state));
}

}  // namespace rtl::kernels
