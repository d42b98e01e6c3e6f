// Inheriting a part of the parameters: Yuan, Meng, Wang, Xia, Xu, Yang, Wang, Geng and Rui (2025), arXiv 2509.22056.
#include "studies/study.hpp"

#include "studies/partial/parts.hpp"

namespace rtl::studies::partial {

namespace {

class PartialRun final : public Run {
 public:
  std::vector<Option> options() override {
    return {seeds_option(simulations_.seeds, "of the simulations: 20, with --quick 10, unless stated"),
            state_option(simulations_.state, "settings")};
  }

  Reproduction run(const RunOptions& options) override {
    Reproduction result{.title = "Inheriting a part of the parameters"};
    result.protocol = {
        {"model",
         "two patches, y (u + v) and noise orthogonal to u and v; two-layer ReLU network, 10 filters of each sign; "
         "full-batch gradient descent, rate 0.2, at most 200 steps or a loss below 0.01 for each task"},
        {"transfer",
         "a random share alpha of the filters of each sign starts as upstream has trained them; all are "
         "trained downstream; scratch is alpha = 0 with the same data and fresh weights"},
        {"seeds",
         std::to_string(simulations_.seeds_for(options)) + ", the same draws in every setting; 1500 test samples"},
        {"reference", "an independent simulation of the same model, 5 seeds; the paper's own numbers are not at hand"}};
    const bool full = options.full();
    run_parts({{"identities", 1, identities},
               {"tables", full ? 400.0 : 100.0,
                [this](Reproduction& all, const RunOptions& inner) { tables(all, inner, simulations_); }},
               {"decomposition", 3, decomposition},
               {"controls", full ? 40.0 : 10.0,
                [this](Reproduction& all, const RunOptions& inner) { controls(all, inner, simulations_); }}},
              options, result);
    return result;
  }

 private:
  Simulations simulations_;
};

}  // namespace

Store Simulations::store(const RunOptions& options) const {
  return {state,      DeviceKind::cpu, 1, [](const std::string& name) { return name.ends_with("_seeds.json"); },
          "settings", options};
}

const Study& study() {
  static const Study one{.name = "partial",
                         .summary = "Inheriting a part of the parameters (Yuan et al. 2025)",
                         .parts = {"identities", "tables", "decomposition", "controls"},
                         .quick = "10 seeds: under a minute on two cores",
                         .full = "20 seeds: under 3 minutes on two cores",
                         .begin = [] { return std::make_unique<PartialRun>(); }};
  return one;
}

}  // namespace rtl::studies::partial
