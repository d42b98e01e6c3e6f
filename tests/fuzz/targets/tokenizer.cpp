// Files of tokenizers, each read as every format, and a text with what was read.
#include "rtl/data/tokenizer.hpp"

#include "fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rtl;
  const std::string content(fuzz::text_of(data, size));
  for (const char* format : {"json", "word pieces", "scored pieces", "words"}) {
    fuzz::read([&] {
      const auto tokenizer = data::parse_tokenizer(format, content, "the tokenizer");
      (void)tokenizer->encode("The [SEP] na\xc3\xafve caf\xc3\xa9's \xe4\xb8\xad\xe6\x96\x87, 3.5%\xff", 64);
      (void)tokenizer->encode(content.substr(0, 1000));
    });
  }
  return 0;
}
