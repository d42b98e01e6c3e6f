#include "job_data.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

namespace rtl::bench {
namespace {

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

std::string missing(const std::string& file, const char* remedy) {
  return std::filesystem::exists(file) ? std::string() : fmt::format("{} is not there; {}", file, remedy);
}

constexpr const char* set_data = "RTL_DATA names the folder of data";

}  // namespace

std::string lite0_file() { return variable("RTL_DATA") + "/models/efficientnet_lite0_imagenet.safetensors"; }
std::string sentences_file() { return variable("RTL_DATA") + "/text/sst2/stsa.binary.train.gz"; }

std::string minilm_folder() {
  if (const std::string folder = variable("RTL_MINILM"); !folder.empty()) return folder;
  const std::string cache = variable("XDG_CACHE_HOME");
  return (cache.empty() ? variable("HOME") + "/.cache" : cache) + "/rtl/minilm";
}

std::string lite0_missing() { return missing(lite0_file(), set_data); }
std::string minilm_missing() {
  const std::string model = missing(minilm_folder() + "/model.safetensors", "scripts/fetch-minilm fetches it");
  return model.empty() ? missing(sentences_file(), set_data) : model;
}

std::string first_numbers(const Tensor& matrix) {
  const std::vector<float> values = matrix.to_vector<float>();
  return fmt::format("{:.4f} {:.4f} {:.4f}", values.at(0), values.at(1), values.at(2));
}

}  // namespace rtl::bench
