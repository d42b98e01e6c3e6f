// Residual features beside frozen ones: Xu, Nakada, Zhang and Li (2025), arXiv 2505.11771 (REFINE).
#include "studies/study.hpp"

#include "studies/refine/parts.hpp"

namespace rtl::studies::refine {
namespace {

class RefineRun final : public Run {
 public:
  std::vector<Option> options() override {
    return {data_option(runs_.data, "folder of the data sets; the part rate needs none"),
            seeds_option(runs_.seeds, "paired: 5, with --quick 3, unless stated"),
            {.name = "--source-epochs",
             .value = &runs_.source_epochs,
             .help = "of the part big-source, with --full: 60 as in the paper, or what time allows",
             .least = 1,
             .most = 10000,
             .show_default = true},
            state_option(runs_.state, "runs")};
  }

  Reproduction run(const RunOptions& options) override {
    if (options.only != "rate") require_data(runs_.data, "refine", "; --only rate needs none");
    Reproduction result{.title = "Residual features beside frozen ones (REFINE)"};
    result.protocol = {
        {"seeds",
         std::to_string(runs_.seeds_for(options)) +
             ", paired: strategies of one seed have the same rows, source, initial weights and order of batches; "
             "rows and source are drawn anew for each"},
        {"intervals",
         "95 % t-intervals of paired differences over the seeds, on the same test images (other cells and reviews for "
         "each seed)"},
        {"published", "accuracies of the paper's code: one source, five target subsets, deviation over these"},
        {"images", "CIFAR at 16 x 16, each pixel the mean of four; 32 x 32 for the part big-source"}};
    const auto part = [this](void (*run_it)(Reproduction&, const RunOptions&, const Runs&)) {
      return [this, run_it](Reproduction& all, const RunOptions& inner) { run_it(all, inner, runs_); };
    };
    run_parts({{"shift", 25, part(shift)},
               {"noise", 45, part(noise)},
               {"big-source", 600, part(big_source)},
               {"confusion", 10, part(confusion)},
               {"imbalance", 10, part(imbalance)},
               {"encoder", 50, part(encoder)},
               {"head", 25, part(head)},
               {"sources", 50, part(sources)},
               {"rate", 2, part(rate)},
               {"multimodal", 5, part(multimodal)}},
              options, result);
    return result;
  }

 private:
  Runs runs_;
};

}  // namespace

const Study& study() {
  static const Study one{.name = "refine",
                         .summary = "Residual features beside frozen ones, REFINE (Xu et al. 2025)",
                         .parts = {"shift", "noise", "big-source", "confusion", "imbalance", "encoder", "head",
                                   "sources", "rate", "multimodal"},
                         .quick = "small networks, few images, 3 seeds: under 3 minutes on two cores",
                         .full = "5 seeds: about 25 minutes of processor time, and 3 hours for the part big-source",
                         .begin = [] { return std::make_unique<RefineRun>(); }};
  return one;
}

}  // namespace rtl::studies::refine
