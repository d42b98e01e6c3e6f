// Sparse text, as features and as a data set with classes.
#include "rtl/data/svmlight.hpp"
#include "fuzz.hpp"
#include "rtl/data/load.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rtl;
  const std::string path = fuzz::folder().write("a.svmlight", fuzz::text_of(data, size));
  fuzz::read([&] { (void)data::read_svmlight(path); });
  for (const char* options :
       {"?test_fraction=0&split=train", "?first_index=0&features=40", "?sparse=yes", "?sparse=yes&features=40"}) {
    fuzz::read([&] { (void)data::load("svmlight:" + path + options, Device::cpu(1)); });
  }
  return 0;
}
