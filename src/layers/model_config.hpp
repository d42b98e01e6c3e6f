// The `config.json` that Hugging Face's libraries write beside the weights: what no tensor shows.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace rtl::layers {

struct ModelConfig {
  std::string path = {};
  std::int64_t heads = 0;                            ///< num_attention_heads; 0 if it does not say
  double rotary_theta = 0;                           ///< rope_theta, likewise
  double norm_epsilon = 0;                           ///< rms_norm_eps, likewise
  std::map<std::string, std::string> settings = {};  ///< "hidden_act" and others that change what a network computes

  /// Throws ValueError where a setting is not the one that the architecture has.
  void check(const std::string& architecture) const;
};

/// Empty if there is no such file. Throws IoError and FormatError.
ModelConfig model_config_beside(const std::string& checkpoint);

}  // namespace rtl::layers
