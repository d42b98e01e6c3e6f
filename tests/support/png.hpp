// PNG files made without a library: eight bits a channel, not compressed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace rtl::test {

/// Of pixels [height, width, channels], channels being 1 (grey), 2 (grey, opacity), 3 (colour) or 4 (colour, opacity).
inline std::string png_of(std::uint32_t height, std::uint32_t width, std::uint32_t channels,
                          const std::vector<std::uint8_t>& pixels) {
  const auto big_endian = [](std::uint32_t value) {
    return std::string{static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
                       static_cast<char>(value)};
  };
  const auto chunk = [&](const std::string& kind, const std::string& content) {
    std::uint32_t crc = 0xffffffffu;
    for (const char c : kind + content) {
      crc ^= static_cast<unsigned char>(c);
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320u : 0);
    }
    return big_endian(static_cast<std::uint32_t>(content.size())) + kind + content + big_endian(~crc);
  };
  std::string rows;
  for (std::uint32_t row = 0; row < height; ++row) {
    rows += '\0';  // no filter
    rows.append(pixels.begin() + row * width * channels, pixels.begin() + (row + 1) * width * channels);
  }
  std::uint32_t a = 1, b = 0;
  for (const char c : rows) {
    a = (a + static_cast<unsigned char>(c)) % 65521;
    b = (b + a) % 65521;
  }
  std::string stream = "\x78\x01";
  for (std::size_t at = 0; at < rows.size() || at == 0;) {
    const std::size_t size = std::min<std::size_t>(rows.size() - at, 65535);
    const bool last = at + size == rows.size();
    const auto length = static_cast<std::uint16_t>(size), inverted = static_cast<std::uint16_t>(~length);
    stream += {static_cast<char>(last ? 1 : 0), static_cast<char>(length), static_cast<char>(length >> 8),
               static_cast<char>(inverted), static_cast<char>(inverted >> 8)};
    stream += rows.substr(at, size);
    at += size;
    if (last) break;
  }
  stream += big_endian(b << 16 | a);
  const char kinds[] = {0, 0, 4, 2, 6};
  const std::string header = big_endian(width) + big_endian(height) + std::string{8, kinds[channels], 0, 0, 0};
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR", header) + chunk("IDAT", stream) + chunk("IEND", "");
}

}  // namespace rtl::test
