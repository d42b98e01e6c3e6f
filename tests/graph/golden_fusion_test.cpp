// The fused head of three feature blocks against tests/golden/trajectories/fused_head.safetensors.
#include <gtest/gtest.h>

#include "support/devices.hpp"
#include "support/golden.hpp"
#include "support/recorded.hpp"

namespace rtl::graph {
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
    // Keeps, features, weights, bias, and what the logits are multiplied with.
    std::vector<Tensor> tensors(3);
    for (const std::int64_t width : widths) {
      Values mask = masks.below(samples, 2);
      for (double& value : mask) value *= 2;
      tensors[tensors.size() - 3] = Tensor::from(mask, {samples}, device);
      tensors.push_back(Tensor::from(draws.uniform(samples * width, -1, 1), {samples, width}, device));
    }
    for (const Shape& shape : {Shape{classes, 15}, Shape{classes}, Shape{samples, classes}}) {
      tensors.push_back(Tensor::from(draws.uniform(shape.count(), -1, 1), shape, device));
    }
    const std::vector<ConstView> inputs(tensors.begin(), tensors.end());
    const std::vector<Tensor> results = test::evaluate(inputs, [&](std::span<const Value> in) {
      std::vector<FusionInput> blocks;
      for (std::size_t k = 0; k < 3; ++k) blocks.push_back({.features = in[3 + k], .scale = scales[k], .mask = in[k]});
      const Value logits = residual_fusion(blocks, in[6], in[7]);
      const Value parameters[] = {in[3], in[4], in[5], in[6], in[7]};
      std::vector<Value> all = gradients(sum(multiply(logits, in[8])), parameters);
      all.push_back(logits);
      return all;
    });
    const char* const names[] = {"dfeatures0", "dfeatures1", "dfeatures2", "dw", "dbias", "logits"};
    for (std::size_t i = 0; i < results.size(); ++i) expect_near(results[i], golden[names[i]], names[i]);
  }
}

}  // namespace
}  // namespace rtl::graph
