// Counter-based random numbers: Philox 4x32 with 10 rounds (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as
// easy as 1, 2, 3", SC 2011). A draw is a pure function of (seed, stream, index), so any device and any number of
// threads gives the same numbers.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

#include "rtl/core/macros.hpp"

namespace rtl {

struct PhiloxBlock {
  std::uint32_t word[4];
};

class Philox {
 public:
  /// `stream` separates uses of one seed (initialisation, shuffling, dropout of one layer at one step, ...).
  RTL_HOST_DEVICE constexpr Philox(std::uint64_t seed, std::uint64_t stream) : seed_(seed), stream_(stream) {}

  /// 128 random bits of counter `index`.
  RTL_HOST_DEVICE constexpr PhiloxBlock block(std::uint64_t index) const {
    std::uint32_t c0 = static_cast<std::uint32_t>(index), c1 = static_cast<std::uint32_t>(index >> 32);
    std::uint32_t c2 = static_cast<std::uint32_t>(stream_), c3 = static_cast<std::uint32_t>(stream_ >> 32);
    std::uint32_t k0 = static_cast<std::uint32_t>(seed_), k1 = static_cast<std::uint32_t>(seed_ >> 32);
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c0;
      const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c2;
      const std::uint32_t n0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
      const std::uint32_t n2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
      c1 = static_cast<std::uint32_t>(p1);
      c3 = static_cast<std::uint32_t>(p0);
      c0 = n0;
      c2 = n2;
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
  }
  /// Draw `index` of the stream: word index % 4 of block index / 4.
  RTL_HOST_DEVICE constexpr std::uint32_t bits(std::uint64_t index) const { return block(index / 4).word[index % 4]; }
  /// Uniform in [0, 1), a multiple of 2^-24: exact in f32.
  RTL_HOST_DEVICE constexpr float uniform(std::uint64_t index) const {
    return static_cast<float>(bits(index) >> 8) * 0x1p-24f;
  }
  /// Uniform in [0, 1), a multiple of 2^-53. Uses words 2 * (index % 2) and the next of block index / 2.
  RTL_HOST_DEVICE constexpr double uniform_double(std::uint64_t index) const {
    const PhiloxBlock b = block(index / 2);
    const std::uint64_t high = b.word[2 * (index % 2)], low = b.word[2 * (index % 2) + 1];
    return static_cast<double>((high << 21) ^ (low >> 11)) * 0x1p-53;
  }

 private:
  std::uint64_t seed_;
  std::uint64_t stream_;
};

/// A sequential generator on one Philox stream, for host-side choices (splits, shuffles, label flips).
class RandomSequence {
 public:
  explicit RandomSequence(std::uint64_t seed, std::uint64_t stream = 0) : philox_(seed, stream) {}
  std::uint32_t bits() { return philox_.bits(next_++); }
  /// Uniform in [0, 1).
  double uniform();
  /// Standard normal, by Box-Muller.
  double normal();
  /// Uniform in [0, bound), without bias. Throws ValueError for bound 0.
  std::uint64_t below(std::uint64_t bound);
  /// 0 .. count-1 in random order (Fisher-Yates).
  std::vector<std::int64_t> permutation(std::int64_t count);

 private:
  Philox philox_;
  std::uint64_t next_ = 0;
};

/// Well-mixed 64-bit hash of two numbers, for deriving stream numbers from names and counters.
RTL_HOST_DEVICE constexpr std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t z = a + 0x9E3779B97F4A7C15u * (b + 1);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

}  // namespace rtl
