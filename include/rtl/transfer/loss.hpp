// The losses that trainings minimise.
#pragma once

#include <cstdint>
#include <string>

namespace rtl::transfer {

/// What predictions of a sample cost: cross_entropy and bce are for classes, squared and huber for real targets;
/// automatic: cross_entropy or squared.
enum class LossKind : std::uint8_t { automatic, cross_entropy, bce, squared, huber };
std::string to_string(LossKind kind);
LossKind parse_loss(const std::string& text);  ///< Throws ValueError, listing the names.

struct Loss {
  LossKind kind = LossKind::automatic;
  double huber_delta = 1;  ///< of huber, in deviations of the targets, which are standardised

  bool operator==(const Loss&) const = default;
  /// That of real targets, or of classes, automatic replaced.
  Loss of(bool real) const;
  /// Whether it is for real targets; of automatic it may be for either.
  bool suits(bool real) const;
};

}  // namespace rtl::transfer
