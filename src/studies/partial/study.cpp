// Inheriting a part of the parameters: Yuan, Meng, Wang, Xia, Xu, Yang, Wang, Geng and Rui (2025), arXiv 2509.22056.
#include "studies/study.hpp"

#include "studies/partial/parts.hpp"

namespace rtl::studies::partial {

namespace {

class PartialRun final : public Run {
 public:
  std::vector<Option> options() override {
    return {seeds_option(runs_.seeds, "of the simulations: 20, with --quick 10, unless stated"),
            {.name = "--networks",
             .value = &runs_.networks,
             .help = "also train networks on one half of CIFAR-100 and transfer channels to the other"},
            {.name = "--architectures",
             .value = &runs_.architectures,
             .help = "what --networks trains",
             .choices = {"resnet", "vgg"},
             .show_default = true},
            data_option(runs_.data, "of --networks: folder with images/cifar100"),
            state_option(runs_.state, "settings and runs")};
  }

  Reproduction run(const RunOptions& options) override {
    if (runs_.networks) require_data(runs_.data, "--networks");
    Reproduction result{.title = "Inheriting a part of the parameters"};
    result.protocol = {
        {"model",
         "two patches, y (u + v) and noise orthogonal to u and v; two-layer ReLU network, 10 filters of each sign; "
         "full-batch gradient descent, rate 0.2, at most 200 steps or a loss below 0.01 for each task"},
        {"transfer",
         "a random share alpha of the filters of each sign starts as upstream has trained them; all are "
         "trained downstream; scratch is alpha = 0 with the same data and fresh weights"},
        {"seeds", std::to_string(runs_.seeds_for(options)) + ", the same draws in every setting; 1500 test samples"},
        {"reference", "an independent simulation of the same model, 5 seeds; the paper's own numbers are not at hand"}};
    const bool full = options.full();
    std::vector<Part> parts = {{"identities", 1, identities},
                               {"tables", full ? 400.0 : 100.0,
                                [this](Reproduction& all, const RunOptions& inner) { tables(all, inner, runs_); }},
                               {"decomposition", 3, decomposition},
                               {"controls", full ? 40.0 : 10.0,
                                [this](Reproduction& all, const RunOptions& inner) { controls(all, inner, runs_); }}};
    if (runs_.networks) {
      parts.push_back({"networks", full ? 1500.0 : 60.0,
                       [this](Reproduction& all, const RunOptions& inner) { networks(all, inner, runs_); }});
    }
    run_parts(parts, options, result);
    return result;
  }

 private:
  Runs runs_;
};

}  // namespace

Store Runs::store(const RunOptions& options) const {
  return {state,
          DeviceKind::cpu,
          1,
          [](const std::string& name) { return name.ends_with("_seeds.json") || name.starts_with("networks_"); },
          "settings and runs",
          options};
}

const Study& study() {
  static const Study one{.name = "partial",
                         .summary = "Inheriting a part of the parameters (Yuan et al. 2025)",
                         .parts = {"identities", "tables", "decomposition", "controls", "networks"},
                         .quick = "10 seeds: under a minute on two cores",
                         .full = "20 seeds: under 3 minutes on two cores",
                         .begin = [] { return std::make_unique<PartialRun>(); }};
  return one;
}

}  // namespace rtl::studies::partial
