// The text of a data SPEC: parsed, written again, and loaded with its paths led to small files.
#include <algorithm>
#include <cctype>

#include "fuzz.hpp"
#include "rtl/data/load.hpp"
#include "rtl/io/npy.hpp"

namespace {

using namespace rtl;

std::string small_table() {
  return fuzz::folder().write("spec.csv", "a,b,kind\n1,2,x\n3,4,y\n5,6,x\n7,8,y\n9,1,x\n2,3,y\n");
}

std::string small_arrays() {
  const Device device = Device::cpu(1);
  const std::string x = fuzz::folder().path("x.npy"), y = fuzz::folder().path("y.npy");
  io::write_npy(x, Tensor::from(std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8}, {4, 2}, device));
  io::write_npy(y, Tensor::from(std::vector<std::int32_t>{0, 1, 0, 1}, {4}, device));
  return x + "," + y;
}

/// Files that a SPEC of this kind can read, as many as were `written`; made once.
std::string path_of(const std::string& kind, const std::string& written) {
  static const std::string table = small_table(), arrays = small_arrays(),
                           fixed = fuzz::folder().write("spec.txt", "1 2 x\n3 4 y\n5 6 x\n7 8 y\n"),
                           sparse = fuzz::folder().write("spec.svmlight", "1 1:2 3:4\n-1 2:1\n1 1:1\n-1 3:2\n"),
                           empty = fuzz::folder().write("spec/empty", "");
  if (kind == "csv") return table;
  if (kind == "fixed") return fixed;
  if (kind == "npy") return written.find(',') == std::string::npos ? arrays.substr(0, arrays.find(',')) : arrays;
  if (kind == "svmlight") return sparse;
  return fuzz::folder().path("spec");
}

/// No option asks for much work: glyphs of a thousand pixels are legal.
bool is_small(const data::Spec& spec) {
  return std::all_of(spec.options.begin(), spec.options.end(), [](const auto& option) {
    return std::count_if(option.second.begin(), option.second.end(),
                         [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }) < 3;
  });
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(fuzz::text_of(data, size));
  fuzz::read([&] {
    data::Spec spec = data::Spec::parse(text);
    (void)data::Spec::parse(spec.to_string());
    if (!is_small(spec)) return;
    if (spec.kind == "glyphs") {
      for (const char* part : {"train", "test"}) spec.options.try_emplace(part, "9");
    } else {
      spec.path = path_of(spec.kind, spec.path);
    }
    if (spec.kind != "glyphs" && spec.options.contains("test")) {
      spec.options["test"] = path_of(spec.kind, spec.options["test"]);
    }
    (void)data::load(spec.to_string(), Device::cpu(1));
  });
  return 0;
}
