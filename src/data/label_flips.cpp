#include "rtl/data/label_flips.hpp"

#include <fmt/format.h>

#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"

namespace rtl::data {
namespace {

constexpr std::uint64_t flip_stream = 0x666c6970;

}  // namespace

std::int32_t flipped_label(std::int32_t label, std::int64_t classes, const LabelFlips& flips, std::int64_t sample,
                           std::int64_t epoch) {
  // Stream 0 of the fixed flips is no epoch's stream.
  const std::uint64_t drawing = flips.each_epoch ? static_cast<std::uint64_t>(epoch) + 1 : 0;
  const PhiloxBlock draw = Philox(flips.seed, mix(flip_stream, drawing)).block(static_cast<std::uint64_t>(sample));
  const double chance = static_cast<double>((std::uint64_t{draw.word[0]} << 21) ^ (draw.word[1] >> 11)) * 0x1p-53;
  if (chance >= flips.probability) return label;
  // Which of the classes - 1 others; the bias of the multiplication is below classes / 2^32.
  const auto other =
      static_cast<std::int32_t>((std::uint64_t{draw.word[2]} * static_cast<std::uint64_t>(classes - 1)) >> 32);
  return other < label ? other : other + 1;
}

std::vector<std::int32_t> flipped_labels(std::span<const std::int32_t> labels, std::int64_t classes,
                                         const LabelFlips& flips, std::int64_t epoch) {
  if (!(flips.probability >= 0 && flips.probability <= 1) || (flips.probability > 0 && classes < 2)) {
    throw ValueError(
        fmt::format("flipped_labels: probability {} with {} classes; the probability is in [0, 1], and flips need "
                    "two classes",
                    flips.probability, classes));
  }
  std::vector<std::int32_t> flipped;
  flipped.reserve(labels.size());
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0 || labels[i] >= classes) {
      throw ValueError(fmt::format("flipped_labels: sample {}: label {} out of range [0, {})", i, labels[i], classes));
    }
    flipped.push_back(flipped_label(labels[i], classes, flips, static_cast<std::int64_t>(i), epoch));
  }
  return flipped;
}

}  // namespace rtl::data
