// PNG files.
#include "fuzz.hpp"
#include "rtl/io/image.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rtl;
  fuzz::read([&] { (void)io::decode_png(std::as_bytes(std::span(data, size)), "input"); });
  return 0;
}
