// Values that memset can write.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace rtl::kernels {

/// The byte that all bytes of `value` are (zero, NaN of all ones), if they are one.
template <typename T>
std::optional<std::uint8_t> repeated_byte(const T& value) {
  const auto bytes = std::bit_cast<std::array<std::uint8_t, sizeof(T)>>(value);
  for (const std::uint8_t byte : bytes) {
    if (byte != bytes[0]) return std::nullopt;
  }
  return bytes[0];
}

}  // namespace rtl::kernels
