#include "rtl/transfer/loss.hpp"

#include "transfer/names.hpp"

namespace rtl::transfer {
namespace {

constexpr std::array<std::string_view, 5> loss_names{"auto", "cross-entropy", "bce", "squared", "huber"};

}  // namespace

std::string to_string(LossKind kind) { return detail::name_at(loss_names, kind); }
LossKind parse_loss(const std::string& text) { return detail::parse_name<LossKind>(loss_names, text, "loss"); }

Loss Loss::of(bool real) const {
  if (kind != LossKind::automatic) return *this;
  return {real ? LossKind::squared : LossKind::cross_entropy, huber_delta};
}

bool Loss::suits(bool real) const {
  return kind == LossKind::automatic || real == (kind == LossKind::squared || kind == LossKind::huber);
}

}  // namespace rtl::transfer
