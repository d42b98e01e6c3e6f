// What predictors say of the contribution of their feature blocks, by the definition of BlockInfluence.
#include "transfer/influence.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "rtl/transfer/predictors.hpp"
#include "rtl/transfer/strategies.hpp"
#include "transfer/feature_network.hpp"
#include "transfer/sources.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using testing::quick;

Tensor table(const std::vector<float>& values, std::int64_t columns) {
  return Tensor::from(values, {static_cast<std::int64_t>(values.size()) / columns, columns}, Device::cpu(1));
}

TEST(Influence, AddsWeightedSharesOfRealTargets) {
  detail::InfluenceSum sum(true);
  const std::size_t a = sum.add_block("a"), b = sum.add_block("b"), c = sum.add_block("c");
  sum.add(a, table({3, 4, 0, 5}, 2), table({1, 5}, 1), 0.25, 2);
  sum.add(a, table({6, 8, 0, 10}, 2), table({4, 2}, 1), 0.75, 1);
  sum.add(b, table({1, 7}, 1), table({0, 6}, 1), 0.75, 1);
  sum.add(c, table({1, 1}, 1), table({2, 4}, 1), 0, 1);
  const std::vector<BlockInfluence> found = sum.result();
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].name, "a");
  EXPECT_EQ(found[0].features, 2);
  EXPECT_DOUBLE_EQ(found[0].feature_norm, std::sqrt(0.25 * 25 + 0.75 * 100));
  EXPECT_DOUBLE_EQ(found[0].logit_deviation, 0.25);  // 0.5 (1, 5) + 0.75 (4, 2) = (3.5, 4)
  EXPECT_DOUBLE_EQ(found[1].feature_norm, 5);
  EXPECT_DOUBLE_EQ(found[1].logit_deviation, 2.25);  // 0.75 (0, 6)
  EXPECT_DOUBLE_EQ(found[0].share, 1.0 / 82);
  EXPECT_DOUBLE_EQ(found[1].share, 81.0 / 82);
  EXPECT_EQ(found[2].feature_norm, 0);
  EXPECT_EQ(found[2].share, 0);
}

TEST(Influence, OfClassesLeavesOutWhatAllOutputsShare) {
  for (const bool regression : {false, true}) {
    detail::InfluenceSum sum(regression);
    sum.add(sum.add_block("a"), table({1, 1}, 1), table({1, 3, 5, 11}, 2), 1, 1);
    // Without the outputs' means: (-2, -4), (2, 4); without the samples' too: (1, -1), (-1, 1).
    EXPECT_DOUBLE_EQ(sum.result().front().logit_deviation, regression ? std::sqrt(10) : 1.0);
  }
}

/// Weighted sums of W x over the read-outs of `safe`, for h and each source, in double; norms likewise.
struct Reference {
  std::vector<std::vector<double>> shares;
  std::vector<double> squared_norms, weights;

  explicit Reference(std::size_t blocks) : shares(blocks), squared_norms(blocks), weights(blocks) {}

  void add(std::size_t block, const FusedHead& head, std::size_t first, const Tensor& seen, double weight, double t) {
    const std::vector<float> w = head.weight().to_vector<float>(), x = seen.to_vector<float>();
    const auto columns = static_cast<std::size_t>(head.weight().extent(1)),
               outputs = static_cast<std::size_t>(head.weight().extent(0)),
               width = static_cast<std::size_t>(seen.extent(1)), rows = x.size() / width;
    shares[block].resize(rows * outputs);
    for (std::size_t i = 0; i < rows; ++i) {
      for (std::size_t j = 0; j < width; ++j) {
        const double value = x[i * width + j];
        squared_norms[block] += weight * value * value / static_cast<double>(rows);
        for (std::size_t c = 0; c < outputs; ++c) {
          shares[block][i * outputs + c] += weight * t * w[c * columns + first + j] * value;
        }
      }
    }
    weights[block] += weight;
  }
};

void compare(const Fitted& fitted, const data::Dataset& test) {
  auto& predictor = dynamic_cast<ReadOuts&>(fitted.predictor());
  const std::vector<FrozenSource> sources = predictor.sources();
  const FeatureLookup lookup = [&](const FrozenSource& source) {
    return std::make_shared<const FeatureTable>(source.features(test));
  };
  Reference reference(1 + sources.size());
  const auto& weights = predictor.read_outs();
  const double part = 1.0 / static_cast<double>(predictor.networks().size());
  for (const auto& network : predictor.networks()) {
    const std::vector<Tensor> seen = network->head_inputs(test, network->scaled_features(lookup));
    reference.add(0, *network, 0, seen[0], part * weights[0].weight, weights[0].temperature);
    reference.add(0, *network, 0, seen[0], part * weights[1].weight, weights[1].temperature);
    std::int64_t first = seen[0].extent(1);
    for (std::size_t k = 1; k < seen.size(); ++k) {
      reference.add(k, *network, static_cast<std::size_t>(first), seen[k], part * weights[0].weight,
                    weights[0].temperature);
      first += seen[k].extent(1);
    }
  }
  ASSERT_EQ(predictor.probes().size(), 3U);  // on both sources, and on each
  const std::vector<std::vector<std::size_t>> looked_at{{1, 2}, {1}, {2}};
  for (std::size_t p = 0; p < 3; ++p) {
    const std::vector<Tensor> seen = predictor.probes()[p]->scaled_features(lookup);
    std::int64_t first = 0;
    for (std::size_t k = 0; k < seen.size(); ++k) {
      reference.add(looked_at[p][k], *predictor.probes()[p], static_cast<std::size_t>(first), seen[k],
                    weights[2 + p].weight, weights[2 + p].temperature);
      first += seen[k].extent(1);
    }
  }
  const std::vector<BlockInfluence> found = fitted.block_influence(test);
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].name, "h");
  double total = 0;
  for (std::size_t k = 0; k < 3; ++k) {
    if (k > 0) {
      EXPECT_EQ(found[k].name, sources[k - 1].name());
    }
    const auto columns = static_cast<std::size_t>(fitted.task().outputs);
    std::vector<double>& z = reference.shares[k];
    const std::size_t rows = z.size() / columns;
    for (std::size_t c = 0; c < columns; ++c) {
      double mean = 0;
      for (std::size_t i = 0; i < rows; ++i) mean += z[i * columns + c] / static_cast<double>(rows);
      for (std::size_t i = 0; i < rows; ++i) z[i * columns + c] -= mean;
    }
    double squares = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      double mean = 0;
      for (std::size_t c = 0; c < columns; ++c) mean += z[i * columns + c] / static_cast<double>(columns);
      if (fitted.task().regression) mean = 0;
      for (std::size_t c = 0; c < columns; ++c) squares += std::pow(z[i * columns + c] - mean, 2);
    }
    const double deviation = std::sqrt(squares / static_cast<double>(z.size()));
    EXPECT_GT(deviation, 0);
    EXPECT_NEAR(found[k].logit_deviation, deviation, 1e-5 * deviation);
    EXPECT_NEAR(found[k].feature_norm, std::sqrt(reference.squared_norms[k] / reference.weights[k]), 1e-6);
    total += found[k].share;
  }
  EXPECT_NEAR(total, 1, 1e-12);
  EXPECT_NEAR(found[1].share / found[2].share, std::pow(found[1].logit_deviation / found[2].logit_deviation, 2),
              1e-9 * found[1].share / found[2].share);
  const testing::Folder folder;
  fitted.save(folder / "fitted.safetensors");
  const Fitted loaded = Fitted::load(folder / "fitted.safetensors", test.device());
  const std::vector<BlockInfluence> again = loaded.block_influence(test);
  ASSERT_EQ(again.size(), 3U);
  for (std::size_t k = 0; k < 3; ++k) EXPECT_DOUBLE_EQ(again[k].logit_deviation, found[k].logit_deviation);
}

TEST(Influence, OfReadOutsIsThatOfTheirWeightedMean) {
  StrategyOptions options;
  options.model = "mlp:8";
  for (const Device& device : testing::devices()) {
    SCOPED_TRACE(device.name());
    const std::vector<FrozenSource> sources{
        FrozenSource(testing::make("mlp", "7", {5}, 4, 3, device), std::nullopt, "first"),
        FrozenSource(testing::make("mlp", "6", {5}, 4, 4, device), std::nullopt, "second")};
    const data::Dataset test = testing::make_vectors(2, 31, 5, 3, 1.5, device);
    data::Dataset train = testing::make_vectors(1, 63, 5, 3, 1.5, device);
    compare(fit("safe", sources, train, quick(), options), test);
    std::vector<float> targets;
    const std::vector<float> x = train.inputs.to_vector<float>();
    for (std::size_t i = 0; i < x.size(); i += 5) targets.push_back(3 * x[i] - x[i + 1]);
    train.labels = Tensor();
    train.classes = 0;
    train.targets = Tensor::from(targets, {63, 1}, device);
    compare(fit("safe", sources, train, quick(), options), test);
  }
}

TEST(Influence, OfANetworkOnFeaturesIsAllOfItsOutputs) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = testing::make_images(1, 20, 4, 8, device);
    const FrozenSource source = testing::plain_source(device);
    const Fitted fitted = testing::fit_one("adapter:bottleneck=3", source, data, quick(2));
    ASSERT_NE(dynamic_cast<detail::FeatureNetwork*>(&fitted.predictor()), nullptr);
    const std::vector<BlockInfluence> found = fitted.block_influence(data);
    ASSERT_EQ(found.size(), 1U);
    detail::InfluenceSum expected(false);
    expected.add(expected.add_block(source.name()), source.features(data), fitted.outputs(data), 1, 1);
    EXPECT_EQ(found[0].name, source.name());
    EXPECT_EQ(found[0].features, source.feature_count());
    EXPECT_EQ(found[0].share, 1);
    EXPECT_DOUBLE_EQ(found[0].logit_deviation, expected.result()[0].logit_deviation);
    EXPECT_DOUBLE_EQ(found[0].feature_norm, expected.result()[0].feature_norm);
  }
}

TEST(Influence, ANetworkAloneHasNoBlocks) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 20, 4, 8, device);
  EXPECT_TRUE(
      testing::fit_one("fine-tune", testing::plain_source(device), data, quick(0)).block_influence(data).empty());
  EXPECT_TRUE(testing::fit_one("adapter:place=blocks", testing::residual_source(device), data, quick(0))
                  .block_influence(data)
                  .empty());
}

}  // namespace
}  // namespace rtl::transfer
