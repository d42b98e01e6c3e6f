#include "transfer/mixup.hpp"

#include <cmath>

#include "rtl/core/random.hpp"

namespace rtl::transfer::detail {
namespace {

constexpr std::uint64_t mixup_stream = 0x6d697875;

/// Logarithm of a draw from the Gamma distribution of this shape and scale 1 (Marsaglia and Tsang 2000), which for
/// small shapes is far below what a double holds.
double log_gamma_draw(RandomSequence& random, double shape) {
  const double d = (shape < 1 ? shape + 1 : shape) - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = random.normal(), root = 1 + c * x;
    const double u = 1 - random.uniform();
    if (root <= 0) continue;
    const double log_v = 3 * std::log(root);
    if (std::log(u) >= x * x / 2 + d * (1 - std::exp(log_v) + log_v)) continue;
    const double log_draw = std::log(d) + log_v;
    return shape < 1 ? log_draw + std::log(1 - random.uniform()) / shape : log_draw;
  }
}

double beta_draw(RandomSequence& random, double alpha) {
  const double own = log_gamma_draw(random, alpha), other = log_gamma_draw(random, alpha);
  return 1 / (1 + std::exp(other - own));
}

}  // namespace

Mixture draw_mixture(const data::BatchSampler& sampler, double alpha, std::uint64_t seed) {
  RandomSequence random(seed, mix(mixup_stream, static_cast<std::uint64_t>(sampler.epoch())));
  Mixture mixture;
  for (std::int64_t i = 0; i < sampler.batches(); ++i) {
    const auto batch = sampler.batch(i);
    const auto share = static_cast<float>(beta_draw(random, alpha));
    for (std::size_t k = 0; k < batch.size(); ++k) {
      mixture.partners.push_back(batch[(k + 1) % batch.size()]);
      mixture.shares.push_back(share);
    }
  }
  return mixture;
}

}  // namespace rtl::transfer::detail
