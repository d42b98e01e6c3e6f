// A .npz archive: its directory and every member.
#include "fuzz.hpp"
#include "rtl/io/npy.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rtl;
  const std::string path = fuzz::folder().write("a.npz", fuzz::text_of(data, size));
  fuzz::read([&] {
    const io::NpzFile file(path);
    for (const std::string& name : file.names()) fuzz::read([&] { (void)file.load(name, Device::cpu(1)); });
  });
  return 0;
}
