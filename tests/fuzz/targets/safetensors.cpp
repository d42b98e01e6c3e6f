// A safetensors file of anybody: opening, every tensor, the architecture.
#include "rtl/io/safetensors.hpp"
#include "fuzz.hpp"
#include "rtl/layers/checkpoint.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rtl;
  const std::string path = fuzz::folder().write("a.safetensors", fuzz::text_of(data, size));
  const Device device = Device::cpu(1);
  fuzz::read([&] {
    const io::SafetensorsFile file(path);
    for (const io::TensorEntry& entry : file.tensors()) (void)file.load(entry.name, device);
    fuzz::read([&] { (void)layers::recognise(file.tensors()); });
  });
  fuzz::read([&] { (void)layers::load_network(path, device); });
  return 0;
}
