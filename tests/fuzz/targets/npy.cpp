// A .npy file in memory.
#include "rtl/io/npy.hpp"
#include "fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rtl;
  fuzz::read([&] { (void)io::parse_npy(std::as_bytes(std::span(data, size)), "a.npy", Device::cpu(1)); });
  return 0;
}
