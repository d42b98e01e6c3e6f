// A table of text, as features and as a data set with classes.
#include "rtl/data/csv.hpp"
#include "fuzz.hpp"
#include "rtl/data/load.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rtl;
  const std::string path = fuzz::folder().write("a.csv", fuzz::text_of(data, size));
  fuzz::read([&] { (void)data::read_csv(path); });
  fuzz::read([&] { (void)data::read_csv(path, {.header = data::CsvHeader::absent, .label = "1"}); });
  for (const char* options :
       {"?label=kind&missing=drop", "?label=1&test_fraction=0&split=train", "?label=2&header=yes&labels=text",
        "?label=1&delimiter=blank&decimal=comma&labels=number", "?label=kind&decimal=comma&test_fraction=0.5",
        "?label=1,2&target=real&missing=drop", "?label=", "?label=1&missing=impute&indicators=yes&levels=5",
        "?label=2&impute=frequent&categories=1&prepare=standardize,pca:1", "?label=kind&weights=2&missing=impute"}) {
    fuzz::read([&] { (void)data::load("csv:" + path + options, Device::cpu(1)); });
  }
  return 0;
}
