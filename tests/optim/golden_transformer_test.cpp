// A two-layer transformer classifier and ViT-Ti on 32x32 images: forward pass, all gradients and ten steps of AdamW
// against tests/golden/trajectories, which PyTorch computed in f64 from the same Philox draws.
#include <gtest/gtest.h>

#include "rtl/layers/network.hpp"
#include "rtl/optim/optimizer.hpp"
#include "support/devices.hpp"
#include "support/golden_network.hpp"
#include "support/recorded.hpp"

namespace rtl::optim {
namespace {

using test::as_double;
using test::error;
using test::Values;

struct Case {
  const char* file;
  layers::Architecture architecture;
  std::int64_t batch;
  std::uint64_t seed;
};

void check(const Case& one, const Device& device, DType dtype) {
  SCOPED_TRACE(test::name_of(device) + ", " + std::string(name_of(dtype)));
  const test::GoldenTensors golden(std::string("trajectories/") + one.file);
  test::GoldenDraws draws(one.seed);
  const Shape& input = one.architecture.input;
  const Shape shape{one.batch, input[0], input[1], input[2]};
  const Tensor x = test::tensor_of(draws.uniform(shape.count(), -1, 1), shape, dtype, device);
  const Values labels = draws.below(one.batch, static_cast<int>(one.architecture.classes));
  const Tensor classes = Tensor::from(std::vector<std::int32_t>(labels.begin(), labels.end()), {one.batch}, device);
  const auto network = layers::make_network(one.architecture, device, 1, dtype);
  test::draw_weights(*network, draws, dtype);
  const bool wide = dtype == DType::f64;
  const double bound = wide ? 1e-9 : 1e-4;
  EXPECT_LT(error(as_double(test::forward(*network, x)), golden["logits"]), bound);
  const Adam optimizer(test::storages_of(*network), {.learning_rate = 1e-3, .weight_decay = 0.05}, {.decoupled = true});
  test::RecordedStep recorded(*network, x, classes, &optimizer);
  const Values losses = golden["losses"];
  for (std::size_t step = 0; step < losses.size(); ++step) {
    EXPECT_NEAR(as_double(recorded.run()).front(), losses[step], bound) << "step " << step;
    if (step > 0) continue;
    test::GoldenDraws weights(one.seed + 1);
    const auto gradients = recorded.gradients();
    for (const layers::NamedParameter& parameter : network->state().parameters) {
      const Values sums = test::projections(as_double(gradients.at(parameter.name)), weights);
      EXPECT_LT(error(sums, golden["gradient/" + parameter.name]), bound) << parameter.name;
    }
  }
  test::GoldenDraws weights(one.seed + 1);
  for (const layers::NamedParameter& parameter : network->state().parameters) {
    const Values sums = test::projections(as_double(parameter.value()), weights);
    // The loss does not depend on the biases of keys: in f32 their gradients are rounding alone, which a step of Adam
    // makes as large as any.
    const bool of_keys = parameter.name.ends_with("qkv.bias") || parameter.name.ends_with("in_proj_bias");
    EXPECT_LT(error(sums, golden["last/" + parameter.name]), of_keys && !wide ? 1e-2 : bound) << parameter.name;
  }
  EXPECT_LT(error(as_double(test::forward(*network, x)), golden["last logits"]), bound);
}

TEST(GoldenTransformer, TrainsAsPyTorchDoes) {
  const Case one{"transformer.safetensors", {"transformer", "4-24-2-4-40-20", {16, 16, 3}, 5}, 6, 21};
  for (const Device& device : test::devices_and_threads()) {
    for (const DType dtype : {DType::f64, DType::f32}) check(one, device, dtype);
  }
}

/// On one device: an emulated one would take minutes.
TEST(GoldenTransformer, VitTiTrainsAsPyTorchDoes) {
  const Case one{"vit_ti.safetensors", {"vit", "ti4", {32, 32, 3}, 10}, 2, 23};
  for (const DType dtype : {DType::f64, DType::f32}) check(one, Device::cpu(), dtype);
}

}  // namespace
}  // namespace rtl::optim
