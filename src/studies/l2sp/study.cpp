// L2-SP transfer between ridge regressions: Hedges, "Source-Optimal Training is Transfer-Suboptimal" (2025; TMLR 2026).
#include "studies/study.hpp"

#include "studies/l2sp/parts.hpp"

namespace rtl::studies::l2sp {

namespace {

class L2SPRun final : public Run {
 public:
  std::vector<Option> options() override {
    return {
        {.name = "--networks", .value = &networks_.wanted, .help = "also fine-tune networks on MNIST and CIFAR-10"},
        {.name = "--datasets",
         .value = &networks_.datasets,
         .help = "of --networks, mnist and cifar10 unless stated",
         .choices = {"mnist", "cifar10"}},
        data_option(networks_.data, "of --networks: folder with images/mnist and images/cifar10"),
        seeds_option(networks_.seeds, "of --networks: 10, with --quick 3, unless stated"),
        {.name = "--target-fractions",
         .value = &networks_.target_fractions,
         .help = "of --networks: also fine-tune on these shares of the target's images, such as "
                 "0.01,0.05,0.1,0.2,0.5",
         .least = 1e-3,
         .most = 1},
        {.name = "--state", .value = &networks_.state, .help = "keep finished trainings of --networks in this folder"},
        {.name = "--resume",
         .value = &networks_.resume,
         .help = "use those that are there (rtl-state unless --state names a folder)"}};
  }

  Reproduction run(const RunOptions& options) override {
    if (networks_.wanted) require_data(networks_.data, "--networks");
    if (networks_.resume && networks_.state.empty()) networks_.state = "rtl-state";
    Reproduction result{.title = "L2-SP transfer: source-optimal training is transfer-suboptimal"};
    result.protocol = {
        {"published curves",
         "p = 500, n1 = 50, source noise 1, target noise 0.1, target penalty 0.1, 50 penalties from 0.01 "
         "to 100, seeds 42 to 51 of NumPy's legacy generator"},
        {"averaged curves", "the same problem with Philox seeds and many draws"},
        {"penalties", "per sample: (1/n) ||y - X w||^2 + penalty ||w - centre||^2"}};
    const bool full = options.full();
    std::vector<Part> parts = {{"published", full ? 7.0 : 1.0, published_curves},
                               {"averaged", full ? 200.0 : 12, averaged_curves},
                               {"risks", full ? 10.0 : 5, risks},
                               {"decision", 4, decision},
                               {"advisor", full ? 30.0 : 8, advisor}};
    if (networks_.wanted) {
      parts.push_back({"networks", full ? 4000.0 : 60,
                       [this](Reproduction& all, const RunOptions& inner) { networks(all, inner, networks_); }});
    }
    run_parts(parts, options, result);
    return result;
  }

 private:
  NetworkOptions networks_;
};

}  // namespace

const Study& study() {
  static const Study one{.name = "l2sp",
                         .summary = "L2-SP transfer between ridge regressions (Hedges 2025)",
                         .parts = {"published", "averaged", "risks", "decision", "advisor", "networks"},
                         .quick = "under a minute on two cores",
                         .full = "every curve, more draws: under 15 minutes on two cores",
                         .begin = [] { return std::make_unique<L2SPRun>(); }};
  return one;
}

}  // namespace rtl::studies::l2sp
