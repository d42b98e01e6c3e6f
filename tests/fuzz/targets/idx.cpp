// The images and the labels of an idx folder; the first byte says which of them the rest is.
#include "fuzz.hpp"
#include "rtl/data/load.hpp"

namespace {

constexpr std::string_view two_images("\0\0\10\3\0\0\0\2\0\0\0\2\0\0\0\1\1\2\3\4", 20);
constexpr std::string_view two_labels("\0\0\10\1\0\0\0\2\0\1", 10);

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rtl;
  if (size == 0) return 0;
  const std::string_view rest = fuzz::text_of(data + 1, size - 1);
  const bool images = data[0] % 2 == 0;
  fuzz::folder().write("idx/train-images-idx3-ubyte", images ? rest : two_images);
  fuzz::folder().write("idx/train-labels-idx1-ubyte", images ? two_labels : rest);
  fuzz::read([&] { (void)data::load("idx:" + fuzz::folder().path("idx") + "?split=train", Device::cpu(1)); });
  return 0;
}
