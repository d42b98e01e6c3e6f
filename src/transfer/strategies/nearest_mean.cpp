// The class whose mean frozen features are nearest, as a linear head in closed form.
#include <cmath>
#include <limits>

#include "rtl/transfer/strategy.hpp"
#include "transfer/row_targets.hpp"

namespace rtl::transfer::recipes {
namespace {

enum class Distance : std::uint8_t { euclidean, cosine };

struct Options {
  Distance distance = Distance::euclidean;

  void visit(OptionVisitor& option) {
    option("distance", distance, {"euclidean", "cosine"},
           "of standardised features, or the angle between raw features");
  }
};

struct ClassMeans {
  std::vector<double> totals;  ///< of each class, of its samples' weights
  std::vector<double> means;   ///< m_c of each, weighted, one after another
};

ClassMeans class_means(const FitContext& context, const std::vector<kernels::StoredFeatures>& features) {
  const detail::RowTargets targets = detail::RowTargets::of(context);
  const std::vector<std::int32_t>& labels = targets.labels;
  const auto weight = [&](std::size_t i) { return targets.weights.empty() ? 1 : double{targets.weights[i]}; };
  const auto classes = static_cast<std::size_t>(context.task().outputs);
  std::vector<double> totals(classes);
  for (std::size_t i = 0; i < labels.size(); ++i) totals[static_cast<std::size_t>(labels[i])] += weight(i);
  std::size_t columns = 0, begin = 0;
  for (const auto& block : features) columns += static_cast<std::size_t>(block.columns());
  std::vector<double> means(classes * columns);
  for (const auto& block : features) {
    const auto width = static_cast<std::size_t>(block.columns());
    const std::vector<float> values = context.scaled(block).to_vector<float>();
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const auto c = static_cast<std::size_t>(labels[i]);
      if (weight(i) == 0) continue;  // its class may have no weight at all
      const double share = weight(i) / totals[c];
      for (std::size_t j = 0; j < width; ++j) means[c * columns + begin + j] += share * values[i * width + j];
    }
    begin += width;
  }
  return {std::move(totals), std::move(means)};
}

/// The logit of a class that has no samples of any weight, and so no mean.
constexpr float never = -1e30F;

/// euclidean: -|x - m|^2 / 2 without the part that all classes share; cosine: x m / |m|.
Recipe fit(FitContext& context, Options options) {
  const bool cosine = options.distance == Distance::cosine;
  FitContext::Blocks given = context.blocks(cosine ? FeatureScaling::raw : FeatureScaling::standardize, 1);
  const auto [totals, means] = class_means(context, given.features);
  const std::int64_t classes = context.task().outputs;
  const std::size_t columns = means.size() / static_cast<std::size_t>(classes);
  std::vector<float> weight, bias;
  for (std::size_t begin = 0; begin < means.size(); begin += columns) {
    double squares = 0;
    for (std::size_t j = 0; j < columns; ++j) squares += means[begin + j] * means[begin + j];
    const double factor = !cosine ? 1 : squares > 0 ? 1 / std::sqrt(squares) : 0;
    for (std::size_t j = 0; j < columns; ++j) weight.push_back(static_cast<float>(means[begin + j] * factor));
    bias.push_back(totals[bias.size()] == 0 ? never : cosine ? 0.0F : static_cast<float>(-squares / 2));
  }
  co_return std::make_unique<FusedHead>(
      nullptr, data::InputNormalization(), std::move(given.blocks),
      Tensor::from(weight, {classes, static_cast<std::int64_t>(columns)}, context.device()),
      Tensor::from(bias, {classes}, context.device()));
}

}  // namespace

const Strategy& nearest_mean() {
  static const StrategyOf<Options> strategy(
      {.name = "nearest-mean",
       .summary = "the class whose mean frozen features are nearest, in closed form",
       .reference = "Mensink et al. 2013; Snell, Swersky and Zemel 2017, prototypes",
       .most_sources = std::numeric_limits<std::int64_t>::max(),
       .uses_features = true,
       .trains = false,
       .regression = false},
      fit);
  return strategy;
}

}  // namespace rtl::transfer::recipes
