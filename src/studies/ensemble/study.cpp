// Richer features from several short pretrainings: Yang, Zhang and Bottou (2025), arXiv 2506.18221.
#include "studies/study.hpp"

#include "studies/ensemble/parts.hpp"

namespace rtl::studies::ensemble {

namespace {

class EnsembleRun final : public Run {
 public:
  std::vector<Option> options() override {
    return {seeds_option(runs_.seeds, "of the multi-view problem"),
            {.name = "--networks",
             .value = &runs_.networks,
             .help = "also pretrain networks on CIFAR-10 and probe them on CIFAR-100"},
            {.name = "--sources",
             .value = &runs_.sources,
             .help = "what --networks pretrains on",
             .choices = {"cifar10", "cifar100"},
             .show_default = true},
            data_option(runs_.data, "of --networks: folder with images/cifar10 and images/cifar100"),
            state_option(runs_.state, "runs")};
  }

  Reproduction run(const RunOptions& options) override {
    if (runs_.networks) require_data(runs_.data, "--networks");
    Reproduction result{.title = "Richer features from several short pretrainings"};
    result.protocol = {
        {"CAT-n",
         "n networks of different seeds, each with its share of the steps of pretraining, frozen; a linear "
         "probe on their features side by side"},
        {"multi-view",
         "4 classes of 4 views in 8 patches of 128; targets show one view, 20 samples a class; batches "
         "of 32, rate 0.2, T = 3000; " +
             std::to_string(runs_.seeds) + " seeds"},
        {"reference", "an independent simulation of the multi-view problem, 10 seeds (6 with single views)"}};
    const bool full = options.full();
    std::vector<Part> parts = {{"identities", 1, identities},
                               {"multi-view", full ? 300.0 : 60.0,
                                [this](Reproduction& all, const RunOptions& inner) { multi_view(all, inner, runs_); }}};
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
  return {state,  DeviceKind::cpu,
          1,      [](const std::string& name) { return name.starts_with("views_") || name.starts_with("networks_"); },
          "runs", options};
}

const Study& study() {
  static const Study one{.name = "ensemble",
                         .summary = "Richer features from several short pretrainings (Yang et al. 2025)",
                         .parts = {"identities", "multi-view", "networks"},
                         .quick = "under a minute on two cores",
                         .full = "more settings: under 5 minutes on two cores",
                         .begin = [] { return std::make_unique<EnsembleRun>(); }};
  return one;
}

}  // namespace rtl::studies::ensemble
