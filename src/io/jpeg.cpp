#include <fmt/format.h>

#include "io/image_size.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/image.hpp"

#if RTL_WITH_JPEG

#include <csetjmp>
#include <cstdio>
// After <cstdio>, which it needs.
#include <jpeglib.h>

namespace rtl::io {
namespace {

/// libjpeg's way to report: it must not return from an error, so it jumps to where the call began. A warning (data that
/// is missing or damaged, which it would make up) is an error too.
struct Faults {
  jpeg_error_mgr manager;
  std::jmp_buf begin;
  char text[JMSG_LENGTH_MAX];

  static void fail(j_common_ptr decoder) {
    auto* faults = reinterpret_cast<Faults*>(decoder->err);
    decoder->err->format_message(decoder, faults->text);
    std::longjmp(faults->begin, 1);
  }
  static void warn(j_common_ptr decoder, int level) {
    if (level < 0) fail(decoder);
  }
};

struct Decoder {
  Decoder() {
    state.err = jpeg_std_error(&faults.manager);
    faults.manager.error_exit = Faults::fail;
    faults.manager.emit_message = Faults::warn;
  }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
  ~Decoder() { jpeg_destroy_decompress(&state); }

  Faults faults{};
  jpeg_decompress_struct state{};
};

// The two functions that are jumped back into have no object with a destructor.

/// Reads the header and chooses the colours; false for a fault, whose text is in `decoder`.
bool read_header(Decoder& decoder, std::span<const std::byte> bytes) {
  if (setjmp(decoder.faults.begin) != 0) return false;
  jpeg_create_decompress(&decoder.state);
  jpeg_mem_src(&decoder.state, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&decoder.state, TRUE);
  decoder.state.out_color_space = decoder.state.num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
  return true;
}

bool read_pixels(Decoder& decoder, std::uint8_t* pixels, std::size_t row_bytes) {
  if (setjmp(decoder.faults.begin) != 0) return false;
  jpeg_start_decompress(&decoder.state);
  while (decoder.state.output_scanline < decoder.state.output_height) {
    JSAMPROW row = pixels + decoder.state.output_scanline * row_bytes;
    jpeg_read_scanlines(&decoder.state, &row, 1);
  }
  jpeg_finish_decompress(&decoder.state);
  return true;
}

[[noreturn]] void fail(const std::string& name, const Decoder& decoder) {
  throw FormatError(name, fmt::format("is no whole JPEG: {}", decoder.faults.text));
}

}  // namespace

Image decode_jpeg(std::span<const std::byte> bytes, const std::string& name) {
  Decoder decoder;
  if (bytes.empty()) throw FormatError(name, "is empty");
  if (!read_header(decoder, bytes)) fail(name, decoder);
  Image found{.height = decoder.state.image_height,
              .width = decoder.state.image_width,
              .channels = decoder.state.out_color_space == JCS_GRAYSCALE ? 1 : 3,
              .pixels = {}};
  // Eight by eight pixels take two bits at least.
  constexpr std::int64_t most_pixels_a_byte = 256;
  found.pixels.resize(
      check_image_size(name, found.width, found.height, found.channels, bytes.size(), most_pixels_a_byte));
  if (!read_pixels(decoder, found.pixels.data(), static_cast<std::size_t>(found.width * found.channels))) {
    fail(name, decoder);
  }
  return found;
}

}  // namespace rtl::io

#else

namespace rtl::io {

Image decode_jpeg(std::span<const std::byte> /*bytes*/, const std::string& name) {
  throw NotCompiled(
      fmt::format("{}: this build reads no JPEG; install libjpeg (Debian: libjpeg62-turbo-dev) and configure again, or "
                  "convert it",
                  name));
}

}  // namespace rtl::io

#endif
