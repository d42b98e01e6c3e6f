#include "studies/study.hpp"

#include <fmt/core.h>

namespace rtl::studies {

void run_parts(const std::vector<Part>& parts, const RunOptions& options, Reproduction& result) {
  double total = 0, done = 0;
  std::string names;
  for (const auto& part : parts) {
    names += (names.empty() ? "" : ", ") + part.name;
    if (options.only.empty() || part.name == options.only) total += part.weight;
  }
  if (total == 0) {
    throw OptionError(fmt::format("--only {}: there is no such part; there are: {}", options.only, names));
  }
  for (const auto& part : parts) {
    if (!options.only.empty() && part.name != options.only) continue;
    RunOptions inner = options;
    inner.progress = [&](double fraction, const std::string& text) {
      options.progress((done + fraction * part.weight) / total, text);
    };
    inner.progress(0, part.name);
    part.run(result, inner);
    done += part.weight;
  }
}

}  // namespace rtl::studies
