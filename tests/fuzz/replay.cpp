// Gives every file of a folder of seeds to a target: replay TARGET FOLDER. For machines without libFuzzer, where tests
// keep old findings mended.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

#include "fuzz_targets.hpp"

namespace {

std::vector<char> content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    std::fputs("usage: rtl_fuzz_replay TARGET FOLDER\n", stderr);
    return 2;
  }
  for (const FuzzTarget& target : fuzz_targets) {
    if (std::strcmp(target.name, arguments[1]) != 0) continue;
    std::vector<std::filesystem::path> seeds;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(arguments[2], error)) {
      if (entry.is_regular_file()) seeds.push_back(entry.path());
    }
    if (error) std::fprintf(stderr, "rtl_fuzz_replay: %s: %s\n", arguments[2], error.message().c_str());
    std::sort(seeds.begin(), seeds.end());
    for (const std::filesystem::path& seed : seeds) {
      std::printf("%s\n", seed.filename().c_str());
      std::fflush(stdout);
      const std::vector<char> content = content_of(seed);
      target.run(reinterpret_cast<const unsigned char*>(content.data()), content.size());
      // As libFuzzer does: cut anywhere, too.
      for (std::size_t size = 0; size < content.size(); size += 1 + content.size() / 64) {
        const std::vector<char> cut(content.begin(), content.begin() + static_cast<std::ptrdiff_t>(size));
        target.run(reinterpret_cast<const unsigned char*>(cut.data()), cut.size());
      }
    }
    std::printf("%zu seeds\n", seeds.size());
    return seeds.empty() ? 1 : 0;
  }
  std::fprintf(stderr, "rtl_fuzz_replay: no target '%s'\n", arguments[1]);
  return 2;
}
