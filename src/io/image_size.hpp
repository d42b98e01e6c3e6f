// What the decoders of pictures share.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace rtl::io {

/// Bytes of the decoded picture. Throws FormatError for none, for more than most_image_pixels, and for more than
/// `file_bytes` can hold at so many pixels a byte.
std::size_t check_image_size(const std::string& name, std::int64_t width, std::int64_t height, std::int64_t channels,
                             std::size_t file_bytes, std::int64_t most_pixels_a_byte);

}  // namespace rtl::io
