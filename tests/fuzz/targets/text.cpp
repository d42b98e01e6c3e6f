// Files of texts as data sets, and the encoders that models keep.
#include "fuzz.hpp"
#include "rtl/data/load.hpp"
#include "rtl/data/text_encoder.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rtl;
  const std::string text(fuzz::text_of(data, size));
  const std::string path = fuzz::folder().write("a.txt", text), table = fuzz::folder().write("a.csv", text);
  for (const std::string& spec :
       {"text:" + path, "text:" + path + "?label=last&encode=bag&ngrams=2&target=class", "text:" + path + "?label=none",
        "text:" + path + "?label=first&separator=blank&encode=tfidf&split=train", "text:" + path + "," + path,
        "text:" + path + "?vectors=" + path + "&split=train", "text:" + table + "?text=text&label=label&target=real"}) {
    fuzz::read([&] { (void)data::load(spec, Device::cpu(1)); });
  }
  fuzz::read([&] { (void)data::TextEncoder::parse("the model", text); });
  return 0;
}
