#include "studies/partial/setting.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "studies/draws.hpp"

namespace rtl::studies::partial {
namespace {

constexpr double start_deviation = .01;
constexpr std::int64_t test_samples = 1500;

/// Streams of a seed.
enum : std::uint64_t { upstream_samples, downstream_samples, test_noise, upstream_filters, downstream_filters };

double square(double value) { return value * value; }

double mean(const std::vector<double>& values) { return transfer::summarize(values).mean; }

/// Accuracies of one seed: scratch, then each alpha.
std::vector<double> run_seed(const Setting& setting, std::uint64_t seed) {
  const Device device = Device::cpu(1).separate();
  const std::int64_t d = setting.dimension, m = filters_per_sign;
  Tensor inherited = draw_filters<float>(m, d, start_deviation, seed, upstream_filters, device);
  if (setting.upstream != Upstream::nothing) {
    const Task task = setting.first();
    descend<float>(inherited, task, draw_samples<float>(task, setting.n1, d, seed, upstream_samples, device), {});
  }
  const Task task = setting.second();
  const Samples training = draw_samples<float>(task, setting.n2, d, seed, downstream_samples, device);
  const Samples test = draw_samples<float>(task, test_samples, d, seed, test_noise, device);
  const Tensor fresh = draw_filters<float>(m, d, start_deviation, seed, downstream_filters, device);
  std::vector<double> alphas = {0};
  alphas.insert(alphas.end(), setting.alphas.begin(), setting.alphas.end());
  std::vector<double> accuracies;
  for (const double alpha : alphas) {
    Inheritance start = inherit(inherited, fresh, alpha, seed);
    Descent descent;
    if (setting.frozen) descent.frozen = start.inherited;
    descend<float>(start.filters, task, training, descent);
    accuracies.push_back(accuracy<float>(start.filters, task, test));
  }
  return accuracies;
}

using BySeed = std::vector<std::vector<double>>;

Outcome outcome_of(const Setting& setting, const BySeed& by_seed) {
  Outcome outcome{setting, {}, std::vector<std::vector<double>>(setting.alphas.size())};
  for (const std::vector<double>& one : by_seed) {
    outcome.scratch.push_back(one.at(0));
    for (std::size_t a = 0; a < setting.alphas.size(); ++a) outcome.transfer[a].push_back(one.at(a + 1));
  }
  return outcome;
}

/// All seeds of a setting, now or earlier.
BySeed kept_or_run(const Setting& setting, int seeds, const Store& store, const RunOptions& options) {
  const std::string name = fmt::format("{}_{}_seeds.json", setting.name(), seeds);
  const auto decode = [&](const Json& found) {
    const auto by_seed = found.get<BySeed>();
    const auto complete = [&](const std::vector<double>& one) { return one.size() == setting.alphas.size() + 1; };
    if (by_seed.size() != static_cast<std::size_t>(seeds) || !std::all_of(by_seed.begin(), by_seed.end(), complete)) {
      throw FormatError(store.path(name), "lacks seeds or shares");
    }
    return by_seed;
  };
  return store.find_or_run(
      name, {{"seed", std::to_string(options.seed)}}, decode, [](const BySeed& by_seed) -> Json { return by_seed; },
      [&] {
        return simulate_draws(
            seeds,
            [&](std::int64_t i) { return run_seed(setting, options.seed * 1'000'000 + static_cast<std::uint64_t>(i)); },
            [](double) {}, seeds);
      });
}

}  // namespace

Task Setting::first() const {
  return {.shared = u,
          .own = v1,
          .axis = 1,
          .deviation = deviation1,
          .flips = flips,
          .random_labels = upstream == Upstream::random_labels};
}

Task Setting::second() const { return {.shared = u, .own = v2, .axis = 2, .deviation = deviation2, .flips = flips}; }

std::string Setting::name() const {
  const char* upstreams[] = {"", "_untrained", "_random_labels"};
  return fmt::format("u{}_v{}_{}_N{}_{}_s{}_{}_d{}_p{}_a{}{}{}", u, v1, v2, n1, n2, deviation1, deviation2, dimension,
                     flips, fmt::join(alphas, "_"), upstreams[static_cast<std::size_t>(upstream)],
                     frozen ? "_frozen" : "");
}

double gamma(const Setting& setting, double alpha) {
  const double q1 = square(setting.deviation1), q2 = square(setting.deviation2), shared = square(setting.u),
               both = shared + square(setting.v2), n1 = static_cast<double>(setting.n1),
               n2 = static_cast<double>(setting.n2), d = static_cast<double>(setting.dimension);
  return square(alpha * n1 * shared / q1 + n2 * both / q2) / (d * (square(alpha) * n1 * q2 / q1 + n2));
}

double refined(const Setting& setting, double alpha) {
  const double q1 = square(setting.deviation1), q2 = square(setting.deviation2), shared = square(setting.u),
               own = square(setting.v1), both = shared + square(setting.v2), d = static_cast<double>(setting.dimension);
  const double a1 = static_cast<double>(setting.n1) / (q1 * d), a2 = static_cast<double>(setting.n2) / (q2 * d);
  const double fitted1 = 1 + a1 * (shared + own), fitted2 = 1 + a2 * both;
  const double k1 = a1 / fitted1, k2 = a2 / fitted2;
  return square(alpha * k1 * shared + k2 * both) /
         (q2 * (square(alpha) * (a1 / square(fitted1) + square(k1) * own) + a2 / square(fitted2)));
}

double best_alpha(const Setting& setting) {
  const double shared = square(setting.u);
  return shared / (shared + square(setting.v2));
}

double accuracy_of(double ratio, double factor) { return .5 * std::erfc(-factor * std::sqrt(ratio) / std::sqrt(2.0)); }

double boundary(Setting setting, double alpha, double (*criterion)(const Setting&, double)) {
  double low = 0, high = 10;
  for (int i = 0; i < 60; ++i) {
    setting.u = (low + high) / 2;
    (criterion(setting, alpha) > criterion(setting, 0) ? high : low) = setting.u;
  }
  return high;
}

double Outcome::mean_scratch() const { return mean(scratch); }
double Outcome::mean_transfer(std::size_t alpha) const { return mean(transfer[alpha]); }

std::vector<double> Outcome::differences(std::size_t alpha) const {
  std::vector<double> values = transfer[alpha];
  for (std::size_t i = 0; i < values.size(); ++i) values[i] -= scratch[i];
  return values;
}

transfer::Interval Outcome::difference(std::size_t alpha) const { return transfer::t_interval(differences(alpha)); }

std::vector<Outcome> run_settings(const std::vector<Setting>& settings, int seeds, const Store& store,
                                  const RunOptions& options) {
  std::vector<Outcome> outcomes;
  for (const Setting& setting : settings) {
    options.check_stop();
    outcomes.push_back(outcome_of(setting, kept_or_run(setting, seeds, store, options)));
    options.progress(static_cast<double>(outcomes.size()) / static_cast<double>(settings.size()), setting.name());
  }
  return outcomes;
}

}  // namespace rtl::studies::partial
