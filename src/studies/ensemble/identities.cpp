// What can be enumerated: features that compete on a mixture, features that are kept at random, and budgets.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "studies/ensemble/budget.hpp"
#include "studies/ensemble/parts.hpp"

namespace rtl::studies::ensemble {
namespace {

constexpr double rounding = 1e-12;

/// Accuracy of every feature, of three, on the two components: y and all features enumerated. On component i feature i
/// is y, the other of the first two a coin; the third is y with probability 0.9.
std::array<std::array<double, 3>, 2> component_accuracies() {
  std::array<std::array<double, 3>, 2> accuracies{};
  for (std::size_t component = 0; component < 2; ++component) {
    for (const int y : {-1, 1}) {
      for (const int coin : {-1, 1}) {
        for (const int third : {-1, 1}) {
          const double probability = .5 * .5 * (third == y ? .9 : .1);
          const int features[] = {component == 0 ? y : coin, component == 1 ? y : coin, third};
          for (std::size_t j = 0; j < 3; ++j) accuracies[component][j] += features[j] == y ? probability : 0;
        }
      }
    }
  }
  return accuracies;
}

void transfer_bias(Reproduction& result) {
  const auto accuracies = component_accuracies();
  std::array<double, 3> mixture{};
  for (std::size_t j = 0; j < 3; ++j) mixture[j] = (accuracies[0][j] + accuracies[1][j]) / 2;
  const double expected[] = {.75, .75, .9};
  for (std::size_t j = 0; j < 3; ++j) {
    result.claims.push_back(
        {fmt::format("one feature on the mixture: accuracy of feature {}", j + 1), expected[j], mixture[j], rounding});
  }
  const auto kept = static_cast<std::size_t>(std::max_element(mixture.begin(), mixture.end()) - mixture.begin());
  for (std::size_t component = 0; component < 2; ++component) {
    const auto& own = accuracies[component];
    // A probe on one feature of two values can use it as it is or turned round.
    const double probed = std::max(own[kept], 1 - own[kept]), direct = *std::max_element(own.begin(), own.end());
    result.claims.push_back(
        {fmt::format("component {}: accuracy trained directly", component + 1), 1, direct, rounding});
    result.claims.push_back({fmt::format("component {}: transfer bias of the mixture's feature", component + 1), .1,
                             direct - probed, rounding});
  }
}

/// Mean accuracy on component 0 over all choices that `members` runs can make among `features`.
double enumerated(int features, int members) {
  double choices = 1, total = 0;
  for (int k = 0; k < members; ++k) choices *= features;
  for (std::int64_t choice = 0; choice < static_cast<std::int64_t>(choices); ++choice) {
    bool found = false;
    for (std::int64_t rest = choice, k = 0; k < members; ++k, rest /= features) found |= rest % features == 0;
    total += found ? 1 : .5;
  }
  return total / choices;
}

void coupon_collector(Reproduction& result) {
  Figure figure{.name = "coupons",
                .title = "Probing what independent runs have kept",
                .caption =
                    "Each run keeps one of K features at random; one of them is what the target needs. Lines: "
                    "1 - (1 - 1/K)^n / 2. Points: all choices enumerated.",
                .x_label = "members n",
                .y_label = "expected accuracy"};
  const double reference[][2] = {{1, .6}, {2, .68}, {4, .7952}, {5, .83616}};
  for (const int features : {2, 5, 8}) {
    Series line = Series::line(fmt::format("K = {}", features)),
           points = Series::points(fmt::format("K = {}: enumerated", features));
    double deviation = 0;
    for (int members = 1; members <= 6; ++members) {
      const double formula = 1 - .5 * std::pow(1 - 1.0 / features, members), exact = enumerated(features, members);
      deviation = std::max(deviation, std::abs(formula - exact));
      line.add(members, formula);
      points.add(members, exact);
      for (const auto& [at, value] : reference) {
        if (features != 5 || at != members) continue;
        result.claims.push_back(
            {fmt::format("K = 5, {} members: expected accuracy, enumerated", members), value, exact, rounding});
      }
    }
    result.claims.push_back(
        {fmt::format("K = {}, 1 to 6 members: largest deviation of the formula from enumeration", features), 0,
         deviation, rounding});
    figure.series.push_back(line);
    figure.series.push_back(points);
  }
  result.figures.push_back(figure);
}

}  // namespace

void identities(Reproduction& result, const RunOptions& /*options*/) {
  transfer_bias(result);
  coupon_collector(result);
  for (const int total : {400'000, 3000, 6000, 1001}) {
    for (const int members : {1, 2, 4, 5, 7}) {
      result.claims.push_back({fmt::format("budget {}, {} members: steps of all members", total, members),
                               static_cast<double>(total - total % members),
                               static_cast<double>(members) * member_steps(total, members), 0});
    }
  }
}

}  // namespace rtl::studies::ensemble
