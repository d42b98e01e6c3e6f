// A finished run of a comparison: the file as it is, the same content with a hash that fits, and a protocol of that
// content.
#include "fuzz.hpp"
#include "io/json.hpp"
#include "transfer/run_store.hpp"

namespace {

using namespace rtl;
using transfer::detail::Facts;
using transfer::detail::RunStore;

const Facts& protocol() {
  static const Facts facts = {{"learning rate", "0.1"}, {"source 1", "0123456789abcdef", "a"}};
  return facts;
}

void find(const RunStore& store) {
  fuzz::read([&] { (void)store.find("probe", 0); });
  fuzz::read([&] { (void)store.find("scratch", 0); });
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto silent = [](const std::string&) {};
  static const RunStore store(fuzz::folder().path("runs"), protocol(), silent);
  const std::string_view text = fuzz::text_of(data, size);
  fuzz::folder().write("runs/probe_seed0.json", text);
  fuzz::folder().write("runs/scratch_seed0.json", text);
  find(store);
  fuzz::read([&] {
    const io::Json content = io::parse_json("a.json", text, "the file");
    const std::string path = fuzz::folder().path("runs/probe_seed0.json");
    io::write_sealed_json(path, content);
    find(store);
    const transfer::detail::StateFolder folder(
        fuzz::folder().path("runs"), protocol(), [](const std::string&) { return true; }, silent);
    folder.store("probe_seed0.json", protocol(), content);
    find(store);
    fuzz::folder().write("protocols/probe_seed0.json", "{}");
    io::write_sealed_json(fuzz::folder().path("protocols/protocol.json"), content);
    const RunStore other(fuzz::folder().path("protocols"), protocol(), silent);
  });
  return 0;
}
