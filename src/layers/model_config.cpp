#include "layers/model_config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <vector>

#include "core/joined.hpp"
#include "io/json.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/file.hpp"

namespace rtl::layers {
namespace {

/// What an architecture computes with, where a config.json may say otherwise.
struct Setting {
  std::string_view architecture, name;
  std::vector<std::string> values;
};

const std::vector<Setting>& checked_settings() {
  static const std::vector<Setting> all{{"bert", "hidden_act", {"gelu"}},
                                        {"bert", "position_embedding_type", {"absolute"}},
                                        {"vit", "hidden_act", {"gelu"}},
                                        {"llama", "hidden_act", {"silu"}},
                                        {"llama", "rope_type", {"default"}}};
  return all;
}

std::string text_of(const io::Json& value) {
  if (value.is_string()) return value.get<std::string>();
  return value.is_number() ? fmt::format("{}", value.get<double>()) : value.dump();
}

/// Rotary positions have an object of their own since transformers 5, and one of their scaling before.
void read_settings(const io::Json& object, ModelConfig& config) {
  for (const Setting& setting : checked_settings()) {
    const auto found = object.find(setting.name);
    if (found != object.end() && !found->is_null()) config.settings[std::string(setting.name)] = text_of(*found);
  }
  const auto read_number = [&](const char* name, double& value) {
    const auto found = object.find(name);
    if (found != object.end() && found->is_number()) value = found->get<double>();
  };
  read_number("rope_theta", config.rotary_theta);
  read_number("rms_norm_eps", config.norm_epsilon);
  for (const char* name : {"rope_parameters", "rope_scaling"}) {
    const auto found = object.find(name);
    if (found != object.end() && found->is_object()) read_settings(*found, config);
  }
}

}  // namespace

void ModelConfig::check(const std::string& architecture) const {
  for (const Setting& setting : checked_settings()) {
    const auto said = settings.find(std::string(setting.name));
    if (setting.architecture != architecture || said == settings.end()) continue;
    if (std::find(setting.values.begin(), setting.values.end(), said->second) != setting.values.end()) continue;
    throw ValueError(fmt::format("{} beside it says {} = {}, but {} has {} alone", path, setting.name, said->second,
                                 architecture, joined(setting.values, " or ")));
  }
}

ModelConfig model_config_beside(const std::string& checkpoint) {
  constexpr std::size_t most_bytes = 10'000'000;
  const std::string path = (std::filesystem::path(checkpoint).parent_path() / "config.json").string();
  if (!io::file_exists(path)) return {};
  const io::Bytes content = io::read_file(path, most_bytes);
  const io::Json object = io::parse_json(
      path, std::string_view(reinterpret_cast<const char*>(content.data()), content.size()), "the configuration");
  if (!object.is_object()) return {};
  return io::decode_json(path, [&] {
    ModelConfig config{.path = path};
    if (const auto heads = object.find("num_attention_heads"); heads != object.end() && heads->is_number_integer()) {
      config.heads = std::clamp<std::int64_t>(heads->get<std::int64_t>(), 0, 65536);
    }
    read_settings(object, config);
    return config;
  });
}

}  // namespace rtl::layers
