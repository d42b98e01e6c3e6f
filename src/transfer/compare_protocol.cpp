#include "transfer/compare_protocol.hpp"

#include <fmt/format.h>

#include "rtl/io/hash.hpp"
#include "transfer/option_facts.hpp"
#include "transfer/place.hpp"
#include "transfer/run_store.hpp"

namespace rtl::transfer::detail {
namespace {

Fact data_fact(const std::string& name, const data::Dataset& part) {
  io::Hash64 hash;
  hash.add(part.input_hash()).add(static_cast<std::uint64_t>(part.classes));
  hash.add(HostBytes(part.is_regression() ? part.targets : part.labels).bytes());
  if (part.weights.defined()) hash.add(HostBytes(part.weights).bytes());
  return content_fact(name, hash.value(), fmt::format("{} ({} samples)", part.name, part.size()));
}

}  // namespace

Facts comparison_protocol(const std::vector<FrozenSource>& sources, const data::TrainTest& target,
                          const CompareOptions& options, DeviceKind kind, int threads) {
  Facts facts = machine_facts(kind, threads);
  facts.push_back(data_fact("target's training data", target.train));
  facts.push_back(data_fact("target's test data", target.test));
  facts.push_back({"training samples of a run",
                   options.train_samples > 0 ? fmt::format("{}, drawn by the seed", options.train_samples) : "all"});
  for (std::size_t k = 0; k < sources.size(); ++k) {
    const FrozenSource& source = sources[k];
    const data::InputNormalization& normalization = source.normalization();
    const std::uint64_t hash = io::Hash64().add(source.fingerprint()).add(normalization.hash()).value();
    facts.push_back(content_fact(source_fact(k + 1), hash,
                                 fmt::format("{} (inputs '{}')", source.name(), data::to_string(normalization))));
    if (source.precision() == Precision::f32) continue;
    facts.push_back({source_fact(k + 1) + "'s precision", to_string(source.precision())});
  }
  for (const Facts& more : {facts_of(options.training), facts_of(options.strategy)}) {
    facts.insert(facts.end(), more.begin(), more.end());
  }
  return facts;
}

}  // namespace rtl::transfer::detail
