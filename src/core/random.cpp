#include "rtl/core/random.hpp"

#include <numeric>
#include <utility>

#include "rtl/core/error.hpp"

namespace rtl {

double RandomSequence::uniform() {
  const std::uint64_t high = bits();
  const std::uint64_t low = bits();
  return static_cast<double>((high << 21) ^ (low >> 11)) * 0x1p-53;
}

double RandomSequence::normal() {
  const double radius = std::sqrt(-2.0 * std::log1p(-uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

std::uint64_t RandomSequence::below(std::uint64_t bound) {
  if (bound == 0) throw ValueError("RandomSequence::below: the bound is 0; give a positive bound");
  while (true) {
    const std::uint64_t high = bits();
    const std::uint64_t draw = (high << 32) | bits();
    // The least (2^64 mod bound) draws are rejected, which only draws below the bound can be: a division less.
    if (draw >= bound || draw >= (0 - bound) % bound) return draw % bound;
  }
}

std::vector<std::int64_t> RandomSequence::permutation(std::int64_t count) {
  if (count < 0) throw ValueError("RandomSequence::permutation: the count is negative");
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[below(i)]);
  return order;
}

}  // namespace rtl
