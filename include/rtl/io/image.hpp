// Pictures: PNG by libpng, JPEG by libjpeg. Builds without one of them throw NotCompiled for its files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace rtl::io {

/// Eight bits a channel, [height, width, channels] row after row; one channel (grey) or three (red, green, blue).
struct Image {
  std::int64_t height = 0, width = 0, channels = 0;
  std::vector<std::uint8_t> pixels;
};

/// Largest number of pixels that a picture may have: 64 Mi. Their memory is also bounded by the bytes of the file, as
/// far as either format can shrink pixels, so that a header alone cannot ask for much.
inline constexpr std::int64_t most_image_pixels = std::int64_t{1} << 26;

/// Of palettes and 16 bits too; transparent pixels are laid on black. `name` is what error texts call the bytes. Throws
/// FormatError for what is no PNG, is cut short, damaged or too large; NotCompiled in a build without libpng.
Image decode_png(std::span<const std::byte> bytes, const std::string& name);

/// Grey and colour (YCbCr, RGB), baseline and progressive. Throws FormatError for what is no JPEG, has other colours
/// (CMYK), is cut short, damaged or too large; NotCompiled in a build without libjpeg.
Image decode_jpeg(std::span<const std::byte> bytes, const std::string& name);

/// A file of either format, told by its first bytes. Throws as these, FormatError for any other file, IoError.
Image read_image(const std::string& path);

}  // namespace rtl::io
