#include <fmt/format.h>

#include "io/image_size.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/image.hpp"

#if RTL_WITH_PNG

#include <png.h>

namespace rtl::io {
namespace {

/// libpng's simplified interface, which reports faults in words instead of jumping.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& name) : name_(name) {
    image_.version = PNG_IMAGE_VERSION;
    check(png_image_begin_read_from_memory(&image_, bytes.data(), bytes.size()));
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { png_image_free(&image_); }

  Image read(std::size_t file_bytes) {
    const bool colour = (image_.format & PNG_FORMAT_FLAG_COLOR) != 0;
    image_.format = colour ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
    Image found{.height = image_.height, .width = image_.width, .channels = colour ? 3 : 1, .pixels = {}};
    // Deflate shrinks 1032 to 1; a byte has the pixels of eight rows at one bit each.
    constexpr std::int64_t most_pixels_a_byte = 8 * 1032;
    found.pixels.resize(
        check_image_size(name_, found.width, found.height, found.channels, file_bytes, most_pixels_a_byte));
    const png_color black{};
    check(png_image_finish_read(&image_, &black, found.pixels.data(), 0, nullptr));
    return found;
  }

 private:
  void check(int done) const {
    // A warning tells of damage that libpng read over.
    if (done != 0 && PNG_IMAGE_FAILED(image_) == 0) return;
    throw FormatError(name_, fmt::format("is no whole PNG: {}", image_.message));
  }

  const std::string& name_;
  png_image image_{};
};

}  // namespace

Image decode_png(std::span<const std::byte> bytes, const std::string& name) {
  return Reader(bytes, name).read(bytes.size());
}

}  // namespace rtl::io

#else

namespace rtl::io {

Image decode_png(std::span<const std::byte> /*bytes*/, const std::string& name) {
  throw NotCompiled(fmt::format(
      "{}: this build reads no PNG; install libpng (Debian: libpng-dev) and configure again, or convert it", name));
}

}  // namespace rtl::io

#endif
