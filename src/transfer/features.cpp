#include "transfer/features.hpp"

namespace rtl::transfer::detail {

Tables find_tables(const std::vector<FrozenSource>& sources, const data::Dataset& dataset, FeatureCache* cache) {
  FeatureCache own;
  Tables tables;
  for (const FrozenSource& source : sources) tables.push_back((cache ? *cache : own).get(source, dataset));
  return tables;
}

FeatureLookup features_of(const data::Dataset& dataset, FeatureCache* cache) {
  std::shared_ptr<FeatureCache> own;
  if (cache == nullptr) own = std::make_shared<FeatureCache>();
  return [&dataset, cache, own](const FrozenSource& source) { return (own ? *own : *cache).get(source, dataset); };
}

FeatureLookup features_of(const data::Dataset& dataset, const std::vector<FrozenSource>& sources,
                          const Tables& tables) {
  return [&sources, &tables, rest = features_of(dataset, nullptr)](const FrozenSource& source) {
    for (std::size_t k = 0; k < tables.size(); ++k) {
      if (sources[k] == source) return tables[k];
    }
    return rest(source);
  };
}

}  // namespace rtl::transfer::detail
