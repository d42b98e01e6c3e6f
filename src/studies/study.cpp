#include "studies/study.hpp"

#include <fmt/core.h>

#include <utility>

namespace rtl::studies {

Option data_option(std::string& folder, std::string help) {
  return {.name = "--data", .value = &folder, .help = std::move(help), .environment = "RTL_DATA"};
}

Option seeds_option(int& seeds, std::string help) {
  return {.name = "--seeds",
          .value = &seeds,
          .help = std::move(help),
          .least = 2,
          .most = 1000,
          .show_default = seeds != 0};
}

Option state_option(std::string& folder, const std::string& results) {
  return {.name = "--state",
          .value = &folder,
          .help = fmt::format("keep finished {} in this folder, and go on from those that are there", results)};
}

void require_data(const std::string& folder, const std::string& what, const std::string& advice) {
  if (!folder.empty()) return;
  throw OptionError(fmt::format("{} needs --data DIR, or RTL_DATA in the environment{}", what, advice));
}

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
