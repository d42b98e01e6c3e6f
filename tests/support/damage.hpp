// What disks, networks and killed copies do to files: random damage, for tests that none of it goes unnoticed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "rtl/core/random.hpp"

namespace rtl::test {

/// How many damaged copies of a file the tests look at.
inline constexpr int damages = 1000;

/// A copy of a file with one of: a flipped bit, one to eight other bytes, a cut end, a range of zeros, two blocks in
/// each other's place, a block over another one, bytes put in, bytes taken out. Never equal to the original.
inline std::string damaged_copy(const std::string& original, RandomSequence& random) {
  const auto below = [&](std::size_t limit) {
    return static_cast<std::size_t>(random.below(std::max<std::size_t>(limit, 1)));
  };
  std::string copy = original;
  while (copy == original) {
    const std::size_t size = copy.size(), at = below(size), length = 1 + below(std::min<std::size_t>(size - at, 64));
    switch (random.below(8)) {
      case 0:
        copy[at] = static_cast<char>(copy[at] ^ (1 << random.below(8)));
        break;
      case 1:
        for (std::size_t left = 1 + below(8); left > 0; --left) copy[below(size)] = static_cast<char>(random.bits());
        break;
      case 2:
        copy.resize(below(size));
        break;
      case 3:
        std::fill_n(copy.begin() + static_cast<std::ptrdiff_t>(at), length, '\0');
        break;
      case 4: {
        const std::size_t other = below(size - length + 1);
        if (std::max(at, other) - std::min(at, other) < length) break;
        std::swap_ranges(copy.begin() + static_cast<std::ptrdiff_t>(at),
                         copy.begin() + static_cast<std::ptrdiff_t>(at + length),
                         copy.begin() + static_cast<std::ptrdiff_t>(other));
        break;
      }
      case 5:
        copy.replace(at, length, original.substr(below(size - length + 1), length));
        break;
      case 6:
        copy.insert(at, std::string(length, static_cast<char>(random.bits())));
        break;
      default:
        copy.erase(at, length);
    }
  }
  return copy;
}

}  // namespace rtl::test
