// Sources of which some classes have seen hardly an image: table 2 of the paper.
#include "rtl/data/stress.hpp"
#include "studies/refine/parts.hpp"
#include "studies/refine/stress.hpp"

namespace rtl::studies::refine {
namespace {

constexpr const char* name = "35 % to 1 %";

}  // namespace

void imbalance(Reproduction& result, const RunOptions& options, const Runs& runs) {
  const std::vector<Stressed> sources = {
      {.name = name,
       .images = [](const data::Dataset& images,
                    std::uint64_t seed) { return data::stressed(images, {.imbalance = true, .seed = seed}); },
       .published = {{{56.44, .48}}, {{53.15, 1.04}}, {{51.64, .99}}, {{54.89, .49}}, {}, {{56.54, .73}}}}};
  const Trials trials = run_stressed(result, "imbalance", sources, runs, options);
  const auto difference = [&](const std::string& label, const std::string& other) {
    return trials.difference(score_name(name, label), other == "scratch" ? other : score_name(name, other));
  };
  const std::string probe = methods()[1].label, adapter = methods()[2].label;
  claim_no_worse(result, "class imbalance: REFINE minus NoTrans", difference("refine", "scratch"));
  if (!options.full()) return;
  claim_above(result, "class imbalance: REFINE minus LinearProbe", difference("refine", probe));
  claim_above(result, "class imbalance: REFINE minus Adapter", difference("refine", adapter));
  claim_above(result, "class imbalance: NoTrans minus LinearProbe",
              trials.difference("scratch", score_name(name, probe)));
}

}  // namespace rtl::studies::refine
