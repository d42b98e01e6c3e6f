// Content hashes, for cache keys and damage detection. Not for adversaries.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace rtl::io {

/// XXH64 (Y. Collet's specification, by the xxHash library), streamed: the same value however the bytes are split over
/// calls, on every machine. About one byte a third of a cycle.
class Hash64 {
 public:
  explicit Hash64(std::uint64_t seed = 0) noexcept;
  Hash64& add(std::span<const std::byte> bytes) noexcept;
  /// Length first, then the characters, so that neighbouring texts cannot run into each other.
  Hash64& add(std::string_view text) noexcept;
  /// Eight bytes, little-endian.
  Hash64& add(std::uint64_t number) noexcept;
  /// Of everything added so far; more may be added afterwards.
  std::uint64_t value() const noexcept;

 private:
  alignas(std::uint64_t) std::array<std::byte, 88> state_;  ///< xxHash's
};

/// XXH64 of a block of bytes.
std::uint64_t hash64(std::span<const std::byte> bytes, std::uint64_t seed = 0) noexcept;

/// 16 hexadecimal digits, for file names and metadata.
std::string to_hex(std::uint64_t value);

}  // namespace rtl::io
