// A fitted model's archive: what loads must predict.
#include "fuzz.hpp"
#include "rtl/transfer/strategies.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rtl;
  const std::string path = fuzz::folder().write("a.safetensors", fuzz::text_of(data, size));
  const Device device = Device::cpu(1);
  fuzz::read([&] {
    const transfer::Fitted fitted = transfer::Fitted::load(path, device);
    data::Dataset two;
    two.inputs = Tensor::zeros({2, 5}, DType::f32, device);
    two.labels = Tensor::zeros({2}, DType::i32, device);
    two.classes = fitted.classes();
    (void)fitted.outputs(two);
  });
  return 0;
}
