#include "rtl/io/image.hpp"

#include <algorithm>
#include <array>

#include "io/image_size.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/file.hpp"

namespace rtl::io {

std::size_t check_image_size(const std::string& name, std::int64_t width, std::int64_t height, std::int64_t channels,
                             std::size_t file_bytes, std::int64_t most_pixels_a_byte) {
  if (width < 1 || height < 1) throw FormatError(name, fmt::format("a picture of {} by {} pixels", width, height));
  const bool fits = width <= most_image_pixels && height <= most_image_pixels / width;
  if (!fits || width * height / most_pixels_a_byte > static_cast<std::int64_t>(file_bytes)) {
    throw FormatError(name, fmt::format("its header announces {} by {} pixels, {}", width, height,
                                        fits ? fmt::format("which cannot be in {} bytes", file_bytes)
                                             : fmt::format("more than the {} allowed", most_image_pixels)));
  }
  return static_cast<std::size_t>(width * height * channels);
}

Image read_image(const std::string& path) {
  const Bytes content = read_file(path, std::size_t{1} << 30);
  const auto starts_with = [&](auto... first) {
    const std::array expected = {static_cast<std::byte>(first)...};
    return content.size() >= expected.size() && std::equal(expected.begin(), expected.end(), content.begin());
  };
  if (starts_with(0x89, 'P', 'N', 'G')) return decode_png(content, path);
  if (starts_with(0xff, 0xd8)) return decode_jpeg(content, path);
  throw FormatError(path, content.empty() ? "is empty" : "is neither a PNG nor a JPEG, by its first bytes");
}

}  // namespace rtl::io
