// Classes that are taken for each other in the source's training, and noise on its images: table 2 of the paper.
#include "rtl/core/random.hpp"
#include "rtl/data/stress.hpp"
#include "studies/refine/parts.hpp"
#include "studies/refine/stress.hpp"

namespace rtl::studies::refine {
namespace {

constexpr const char* name = "pairs 0.5, noise 0.2";

/// The published labels and noise are drawn anew whenever an image is looked at; here the images are there ten times,
/// each with draws of its own.
data::Dataset confused(const data::Dataset& images, std::uint64_t seed) {
  std::vector<data::Dataset> copies;
  for (std::uint64_t copy = 0; copy < confusion_copies; ++copy) {
    copies.push_back(data::stressed(images, {.confusion = .5, .input_noise = .2, .seed = mix(seed, copy)}));
  }
  return joined(copies);
}

}  // namespace

void confusion(Reproduction& result, const RunOptions& options, const Runs& runs) {
  const std::vector<Stressed> sources = {
      {.name = name,
       .images = confused,
       .change = [](transfer::TrainingOptions& training) { training.epochs /= confusion_copies; },
       .published = {{{56.53, .77}}, {{48.54, .42}}, {{47.17, .82}}, {{57.80, .44}}, {}, {{58.65, .47}}}}};
  const Trials trials = run_stressed(result, "confusion", sources, runs, options);
  const auto difference = [&](const std::string& label, const std::string& other) {
    return trials.difference(score_name(name, label), other == "scratch" ? other : score_name(name, other));
  };
  const std::string probe = methods()[1].label, adapter = methods()[2].label;
  claim_no_worse(result, "semantic confusion: REFINE minus NoTrans", difference("refine", "scratch"));
  if (!options.full()) return;
  claim_above(result, "semantic confusion: REFINE minus NoTrans", difference("refine", "scratch"));
  claim_above(result, "semantic confusion: REFINE minus LinearProbe", difference("refine", probe));
  claim_above(result, "semantic confusion: REFINE minus Adapter", difference("refine", adapter));
  claim_above(result, "semantic confusion: NoTrans minus LinearProbe",
              trials.difference("scratch", score_name(name, probe)));
}

}  // namespace rtl::studies::refine
