// HDF5 files: as arrays, as AnnData, and each path that the seeds have. Damage that libhdf5 itself does not survive is
// no finding here.
#include "fuzz.hpp"
#include "rtl/data/load.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rtl;
  const std::string path = fuzz::folder().write("a.h5", fuzz::text_of(data, size));
  for (const char* options :
       {"", "?targets=&test_fraction=0", "?targets=obs/kind", "?inputs=X,obsm/spatial&targets=y",
        "?inputs=packed&targets=text", "?inputs=images&targets=real&target=real", "?targets=&sparse=yes"}) {
    fuzz::read([&] { (void)data::load("hdf5:" + path + options, Device::cpu(1)); });
  }
  return 0;
}
