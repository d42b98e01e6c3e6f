// Optimal features for scarce downstream data: Li, Sen and Adlam (2024), arXiv 2404.12481.
#include "studies/study.hpp"

#include "studies/optimal_features/parts.hpp"

namespace rtl::studies::optimal_features {

namespace {

class OptimalFeaturesRun final : public Run {
 public:
  Reproduction run(const RunOptions& options) override {
    Reproduction result{.title = "Optimal features for scarce downstream data"};
    result.protocol = {
        {"risk", "expected total squared test error of ridge regression on features, averaged over tasks"},
        {"draws", "Gaussian inputs; a draw averages exactly over tasks and noise, given two independent input samples"},
        {"penalties", "per sample; minimum norm means penalty 0"}};
    const bool full = options.full();
    run_parts({{"divergence", full ? 4.0 : 1.0, divergence},
               {"phases", full ? 4.0 : 1.0, phases},
               {"decomposition", full ? 8.0 : 2.0, decomposition},
               {"descent", 1, descent},
               {"learning", full ? 20.0 : 3.0, learning}},
              options, result);
    return result;
  }
};

}  // namespace

const Study& study() {
  static const Study one{.name = "optimal-features",
                         .summary = "Optimal features for scarce downstream data (Li, Sen and Adlam 2024)",
                         .parts = {"divergence", "phases", "decomposition", "descent", "learning"},
                         .quick = "under a minute on two cores",
                         .full = "every curve, more draws: under 15 minutes on two cores",
                         .begin = [] { return std::make_unique<OptimalFeaturesRun>(); }};
  return one;
}

}  // namespace rtl::studies::optimal_features
