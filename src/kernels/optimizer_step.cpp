#include "rtl/kernels/optimizer_step.hpp"

#include "kernels/backend/optimizer_step.hpp"
#include "kernels/check.hpp"
#include "kernels/dispatch.hpp"

namespace rtl::kernels {
namespace {

void check_slots(const char* call, const Device& device, std::span<const OptimizerSlot> slots, bool first,
                 bool second) {
  const auto presence = [](bool needed) { return needed ? check::Presence::required : check::optional; };
  for (const OptimizerSlot& slot : slots) {
    check::dense_operands(call, device,
                          {{"weight", slot.weight},
                           {"gradient", slot.gradient},
                           {"first", slot.first, presence(first)},
                           {"second", slot.second, presence(second)},
                           {"start", slot.start, check::optional}});
    check::shapes(call,
                  {{"gradient", slot.gradient}, {"first", slot.first}, {"second", slot.second}, {"start", slot.start}},
                  slot.weight.shape());
  }
}

}  // namespace

void sgd_step(const Device& device, std::span<const OptimizerSlot> slots, const SgdOptions& options, bool first_step) {
  check::value(!options.nesterov || options.momentum != 0, "sgd_step", "Nesterov needs a momentum other than 0");
  check_slots("sgd_step", device, slots, options.momentum != 0, false);
  if (slots.empty()) return;
  RTL_DISPATCH(device, sgd_step(device, slots, options, first_step));
}

void adam_step(const Device& device, std::span<const OptimizerSlot> slots, const AdamOptions& options,
               std::int64_t step) {
  check::value(step >= 1, "adam_step", [&] { return fmt::format("steps count from 1, not {}", step); });
  check_slots("adam_step", device, slots, true, true);
  if (slots.empty()) return;
  RTL_DISPATCH(device, adam_step(device, slots, options, step));
}

}  // namespace rtl::kernels
