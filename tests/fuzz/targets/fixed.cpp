// A table with columns at fixed places, as features and as a data set with classes.
#include <algorithm>

#include "fuzz.hpp"
#include "rtl/data/csv.hpp"
#include "rtl/data/load.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rtl;
  // The first line is the value of fields=, what stands behind it the file.
  const std::string_view text = fuzz::text_of(data, size);
  const std::string_view fields = text.substr(0, text.find('\n'));
  const std::string path = fuzz::folder().write("a.txt", text.substr(std::min(text.size(), fields.size() + 1)));
  fuzz::read([&] { (void)data::read_csv(path, {.fields = {{"", 1, 4}, {"x", 5, 6}, {"", 9, 9}}}); });
  for (const char* options :
       {"label=kind&missing=drop", "label=1&test_fraction=0&split=train", "label=2&header=yes&labels=text",
        "label=1,2&target=real&missing=drop", "label=", "label=1&missing=impute&indicators=yes&levels=5",
        "label=2&decimal=comma&categories=1&prepare=standardize", "label=kind&weights=2&missing=impute"}) {
    const std::string spec = "fixed:" + path + "?" + options + "&fields=";
    fuzz::read([&] { (void)data::load(spec + "1-4,kind:5-6,9", Device::cpu(1)); });
    // Few characters are few fields, each of which takes memory in every line.
    if (fields.size() <= 60) fuzz::read([&] { (void)data::load(spec + std::string(fields), Device::cpu(1)); });
  }
  return 0;
}
