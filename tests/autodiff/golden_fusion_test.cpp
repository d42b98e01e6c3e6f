// The fused head of three feature blocks against tests/golden/trajectories/fused_head.safetensors.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "rtl/autodiff/operations.hpp"
#include "support/devices.hpp"
#include "support/golden.hpp"

namespace rtl::autodiff {
namespace {

using Values = std::vector<double>;

void expect_near(const Tensor& here, const Values& there, const std::string& name) {
  const Values values = here.to_vector<double>();
  ASSERT_EQ(values.size(), there.size()) << name;
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], there[i], 1e-13) << name << " " << i;
}

TEST(GoldenFusion, LogitsAndGradients) {
  constexpr std::uint64_t seed = 5;
  constexpr std::int64_t samples = 9, classes = 4;
  constexpr std::int64_t widths[] = {5, 7, 3};
  constexpr double scales[] = {1, 0.5, 2};
  const test::GoldenTensors golden("trajectories/fused_head.safetensors");
  for (const Device& device : test::devices_and_threads()) {
    SCOPED_TRACE(test::name_of(device));
    test::GoldenDraws draws(seed), masks(seed, 10);
    std::vector<FusionInput> blocks;
    std::vector<Tensor> keep;
    for (const std::int64_t width : widths) {
      Values mask = masks.below(samples, 2);
      for (double& value : mask) value *= 2;
      keep.push_back(Tensor::from(mask, {samples}, device));
      blocks.push_back({Variable(Tensor::from(draws.uniform(samples * width, -1, 1), {samples, width}, device), true),
                        scales[blocks.size()]});
    }
    for (std::size_t k = 0; k < blocks.size(); ++k) blocks[k].keep = keep[k];
    const auto parameter = [&](const Shape& shape) {
      return Variable(Tensor::from(draws.uniform(shape.count(), -1, 1), shape, device), true);
    };
    const Variable w = parameter({classes, 15}), bias = parameter({classes});
    const Variable above(Tensor::from(draws.uniform(samples * classes, -1, 1), {samples, classes}, device));
    const Variable logits = residual_fusion(blocks, w, bias);
    sum(multiply(logits, above)).backward();
    expect_near(logits.value(), golden["logits"], "logits");
    expect_near(w.gradient(), golden["dw"], "dw");
    expect_near(bias.gradient(), golden["dbias"], "dbias");
    for (std::size_t k = 0; k < blocks.size(); ++k) {
      expect_near(blocks[k].features.gradient(), golden[fmt::format("dfeatures{}", k)], fmt::format("dfeatures{}", k));
    }
  }
}

}  // namespace
}  // namespace rtl::autodiff
