// CIFAR records, plain and gzipped; the first byte says which data set and form the rest is.
#include "fuzz.hpp"
#include "rtl/data/load.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rtl;
  if (size == 0) return 0;
  const std::string_view rest = fuzz::text_of(data + 1, size - 1);
  const bool zipped = data[0] % 2 == 1, hundred = data[0] / 2 % 2 == 1;
  const std::string part = zipped ? "cifar_gz" : "cifar";
  fuzz::folder().write(part + (zipped ? "/a_train_1.bin.gz" : "/a_train_1.bin"), rest);
  const std::string spec = (hundred ? "cifar100:" : "cifar10:") + fuzz::folder().path(part) + "?split=train";
  fuzz::read([&] { (void)data::load(spec, Device::cpu(1)); });
  if (hundred) fuzz::read([&] { (void)data::load(spec + "&labels=coarse", Device::cpu(1)); });
  return 0;
}
