#include <fmt/format.h>

#include <array>
#include <string_view>

#include "rtl/io/hash.hpp"
#include "rtl/transfer/strategies.hpp"
#include "transfer/names.hpp"

namespace rtl::transfer {
namespace {

constexpr std::array<std::string_view, 3> scaling_names{"raw", "standardize", "balance"};

}  // namespace

std::string to_string(FeatureScaling scaling) { return detail::name_at(scaling_names, scaling); }

FeatureScaling parse_feature_scaling(const std::string& text) {
  return detail::parse_name<FeatureScaling>(scaling_names, text, "feature scaling");
}

std::uint64_t StrategyOptions::hash() const {
  const std::string text =
      fmt::format("model {} normalization {} scaling {} {} head {} dropout {}", model, data::to_string(normalization),
                  to_string(feature_scaling), feature_scale, static_cast<int>(head_start), probe_dropout);
  return io::Hash64().add(text).add(cache ? name_of(cache->storage()) : name_of(DType::f32)).value();
}

const std::vector<StrategyInfo>& strategies() {
  static const std::vector<StrategyInfo> all{
      {"scratch", "a network trained on the target alone, from random weights", "Xu et al. 2025, NoTrans", false,
       false},
      {"probe", "a linear head on the source's frozen features", "Alain and Bengio 2016; Xu et al. 2025, LinearProbe",
       true, false},
      {"fine-tune", "all of the source's parameters go on training on the target",
       "Yosinski et al. 2014; Xu et al. 2025, full fine-tuning", true, false},
      {"refine", "a trainable residual encoder beside the frozen sources, one linear head on all features",
       "Xu, Nakada, Zhang and Li 2025, arXiv 2505.11771 (REFINE)", true, true},
  };
  return all;
}

const StrategyInfo& strategy(const std::string& name) {
  std::string known;
  for (const StrategyInfo& info : strategies()) {
    if (info.name == name) return info;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", info.name);
  }
  throw ValueError(fmt::format("there is no strategy \"{}\"; use one of {}", name, known));
}

}  // namespace rtl::transfer
