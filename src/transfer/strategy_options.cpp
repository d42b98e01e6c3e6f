#include <fmt/format.h>

#include <array>
#include <string_view>

#include "rtl/io/hash.hpp"
#include "rtl/transfer/strategies.hpp"
#include "transfer/names.hpp"
#include "transfer/option_facts.hpp"

namespace rtl::transfer {
namespace {

constexpr std::array<std::string_view, 3> scaling_names{"raw", "standardize", "balance"};
constexpr std::array<std::string_view, 3> head_start_names{"fresh", "pretrained", "auto"};

}  // namespace

std::string to_string(FeatureScaling scaling) { return detail::name_at(scaling_names, scaling); }

FeatureScaling parse_feature_scaling(const std::string& text) {
  return detail::parse_name<FeatureScaling>(scaling_names, text, "feature scaling");
}

std::string to_string(HeadStart start) { return detail::name_at(head_start_names, start); }

HeadStart parse_head_start(const std::string& text) {
  return detail::parse_name<HeadStart>(head_start_names, text, "head start");
}

namespace detail {

Facts facts_of(const StrategyOptions& options) {
  return {{"model", options.model.empty() ? "of the data's kind" : options.model},
          {"normalization of scratch and h", data::to_string(options.normalization)},
          {"feature scaling", to_string(options.feature_scaling)},
          {"feature scale", fmt::format("{}", options.feature_scale)},
          {"head", to_string(options.head_start)},
          {"dropout of a probe", fmt::format("{}", options.probe_dropout)},
          {"dtype of stored features",
           std::string(options.cache ? name_of(options.cache->storage()) : name_of(DType::f32))}};
}

}  // namespace detail

std::uint64_t StrategyOptions::hash() const { return detail::hash_of(detail::facts_of(*this)); }

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
