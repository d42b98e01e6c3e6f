#include "cli/reproduce_l2sp.hpp"

#include <CLI/CLI.hpp>
#include <cmath>
#include <memory>

#include "cli/commands.hpp"
#include "cli/number_checks.hpp"

namespace rtl::cli {

namespace l2sp {

std::vector<double> alignments() { return steps(.5, 1.5, .05); }

std::vector<double> penalties() {
  std::vector<double> values(50);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::pow(10.0, -2 + 4.0 * static_cast<double>(i) / 49);
  return values;
}

std::vector<double> with_norm(std::vector<double> values, double norm) {
  double square = 0;
  for (const double value : values) square += value * value;
  for (double& value : values) value *= norm / std::sqrt(square);
  return values;
}

}  // namespace l2sp

namespace {

Reproduction reproduce(const ReproductionOptions& options, const l2sp::NetworkOptions& networks) {
  Reproduction result;
  result.paper = "l2sp";
  result.title = "L2-SP transfer: source-optimal training is transfer-suboptimal";
  result.protocol = {{"published curves",
                      "p = 500, n1 = 50, source noise 1, target noise 0.1, target penalty 0.1, 50 penalties from 0.01 "
                      "to 100, seeds 42 to 51 of NumPy's legacy generator"},
                     {"averaged curves", "the same problem with Philox seeds and many draws"},
                     {"penalties", "per sample: (1/n) ||y - X w||^2 + penalty ||w - centre||^2"}};
  const bool full = options.effort == Effort::full;
  std::vector<ReproductionPart> parts = {{"published", full ? 7.0 : 1.0, l2sp::published_curves},
                                         {"averaged", full ? 200.0 : 12, l2sp::averaged_curves},
                                         {"risks", full ? 10.0 : 5, l2sp::risks},
                                         {"decision", 4, l2sp::decision},
                                         {"advisor", full ? 30.0 : 8, l2sp::advisor}};
  if (networks.wanted) {
    parts.push_back({"networks", full ? 4000.0 : 60, [&](Reproduction& all, const ReproductionOptions& inner) {
                       l2sp::networks(all, inner, networks);
                     }});
  }
  run_parts(parts, options, result);
  return result;
}

}  // namespace

void add_l2sp_study(CLI::App& command) {
  auto networks = std::make_shared<l2sp::NetworkOptions>();
  auto* study = add_study(command, "l2sp", "L2-SP transfer between ridge regressions",
                          [networks](const ReproductionOptions& options) {
                            if (networks->wanted && networks->data.empty()) {
                              throw UsageError("--networks needs --data DIR, or RTL_DATA in the environment");
                            }
                            if (networks->resume && networks->state.empty()) networks->state = "rtl-state";
                            return reproduce(options, *networks);
                          });
  study->add_flag("--networks", networks->wanted, "also fine-tune networks on MNIST and CIFAR-10");
  study->add_option("--datasets", networks->datasets, "of --networks, mnist and cifar10 unless stated")
      ->delimiter(',')
      ->check(CLI::IsMember({"mnist", "cifar10"}));
  study->add_option("--data", networks->data, "folder with images/mnist and images/cifar10")->envname("RTL_DATA");
  study->add_option("--seeds", networks->seeds, "of --networks: 10, with --quick 3, unless stated")
      ->check(CLI::Range(2, 1000));
  study
      ->add_option(
          "--target-fractions", networks->target_fractions,
          "of --networks: also fine-tune on these shares of the target's images, such as 0.01,0.05,0.1,0.2,0.5")
      ->delimiter(',')
      ->check(above_zero() & CLI::Range(1e-3, 1.0));
  study->add_option("--state", networks->state, "keep finished trainings of --networks in this folder");
  study->add_flag("--resume", networks->resume, "use those that are there (rtl-state unless --state names a folder)");
}

}  // namespace rtl::cli
