// Forward passes, gradients and optimizer steps of three small networks against tests/golden/trajectories, which
// another implementation computed in f64 from the same Philox draws.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "rtl/layers/frozen_network.hpp"
#include "rtl/layers/network.hpp"
#include "rtl/optim/optimizer.hpp"
#include "support/devices.hpp"
#include "support/golden_network.hpp"
#include "support/recorded.hpp"

namespace rtl::optim {
namespace {

using layers::Architecture;
using test::as_double;
using test::difference;
using test::draw_weights;
using test::error;
using test::norm;
using test::projections;
using test::tensor_of;
using test::Values;

/// One device and dtype.
struct Place {
  Device device;
  DType dtype;
  bool wide() const { return dtype == DType::f64; }
};

void for_each_place(const std::function<void(const Place&)>& check) {
  for (const Device& device : test::devices_and_threads()) {
    for (const DType dtype : {DType::f64, DType::f32}) {
      SCOPED_TRACE(test::name_of(device) + ", " + std::string(name_of(dtype)));
      check({device, dtype});
    }
  }
}

std::pair<Tensor, Tensor> features_and_logits(layers::Network& network, const Tensor& x) {
  std::vector<Tensor> both = test::evaluate({x}, [&](std::span<const graph::Value> in) {
    const graph::Value features = network.features(in[0], {});
    return std::vector{features, network.head(features, {})};
  });
  return {std::move(both[0]), std::move(both[1])};
}

struct Case {
  const char* file;
  Architecture architecture;
  std::int64_t batch;
  std::uint64_t seed;
  Rates sgd_rates;
  kernels::SgdRule sgd;
  Rates adam_rates, adamw_rates;
  bool pulled;  ///< toward drawn start points (L2-SP)
};

const Case cases[] = {{"paper_cnn",
                       {"paper_cnn", "6-8-8-16", {13, 11, 3}, 5},
                       8,
                       1,
                       {.learning_rate = 0.01},
                       {.momentum = 0.9},
                       {.learning_rate = 1e-3},
                       {.learning_rate = 1e-3, .weight_decay = 0.01},
                       false},
                      {"mlp",
                       {"mlp", "7-5", {9}, 4},
                       6,
                       2,
                       {.learning_rate = 0.05, .weight_decay = 0.01, .l2sp_strength = 0.1},
                       {.momentum = 0.9, .nesterov = true},
                       {.learning_rate = 1e-2, .weight_decay = 0.05, .l2sp_strength = 0.1},
                       {.learning_rate = 1e-2, .weight_decay = 0.1, .l2sp_strength = 0.2},
                       true}};

class GoldenTrajectory : public testing::TestWithParam<Case> {
 protected:
  const Case& given() const { return GetParam(); }

  void start(const Place& place) {
    place_ = place;
    test::GoldenDraws draws(given().seed);
    std::vector<std::int64_t> extents{given().batch};
    for (const std::int64_t extent : given().architecture.input.extents()) extents.push_back(extent);
    const Shape shape(extents);
    const Values x = draws.uniform(shape.count(), -1, 1);
    EXPECT_EQ(x, golden_["x"]);
    x_ = tensor_of(x, shape, place.dtype, place.device);
    const Values labels = draws.below(given().batch, static_cast<int>(given().architecture.classes));
    EXPECT_EQ(labels, golden_["labels"]);
    labels_ = Tensor::from(std::vector<std::int32_t>(labels.begin(), labels.end()), {given().batch}, place.device);
    network_ = layers::make_network(given().architecture, place.device, 1, place.dtype);
    draw_weights(*network_, draws, place.dtype);
    before_.clear();
    starts_.clear();
    for (const layers::NamedParameter& parameter : network_->state().parameters) {
      const Shape& weights = parameter.value().shape();
      before_.push_back(as_double(parameter.value()));
      starts_.push_back(tensor_of(draws.weights(parameter.name, weights), weights, place.dtype, place.device));
    }
  }

  /// Norm of the difference of all weights to the golden ones, over that of their whole update.
  double update_error(const std::string& prefix) {
    Values wrong, update;
    const auto& parameters = network_->state().parameters;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const Values there = golden_[prefix + parameters[i].name];
      const Values off = difference(as_double(parameters[i].value()), there);
      const Values moved = difference(there, before_[i]);
      wrong.insert(wrong.end(), off.begin(), off.end());
      update.insert(update.end(), moved.begin(), moved.end());
    }
    return norm(wrong) / norm(update);
  }

  void ten_steps(Optimizer& optimizer, const std::string& name) {
    const auto& parameters = network_->state().parameters;
    for (std::size_t i = 0; given().pulled && i < parameters.size(); ++i) {
      optimizer.set_start(parameters[i].name, starts_[i]);
    }
    // Rounding a weight to f32 is up to 6e-6 of an update of 1e-3 a step.
    const double bound = place_.wide() ? 1e-10 : 1e-4;
    const Values losses = golden_[name + "/losses"];
    ASSERT_EQ(losses.size(), 10U);
    test::RecordedStep step(*network_, x_, labels_, &optimizer);
    for (std::size_t i = 0; i < losses.size(); ++i) {
      EXPECT_NEAR(as_double(step.run()).front(), losses[i], 0.1 * bound * losses[i]) << name << ", step " << i;
      if (i == 0 && name == "sgd") {
        EXPECT_LT(update_error("sgd/first/"), bound);
      }
    }
    EXPECT_LT(update_error(name + "/last/"), bound) << name;
    EXPECT_LT(error(as_double(test::forward(*network_, x_)), golden_[name + "/logits"]), 0.1 * bound) << name;
  }

  test::GoldenTensors golden_{fmt::format("trajectories/{}.safetensors", GetParam().file)};
  Place place_{Device::cpu(), DType::f64};
  Tensor x_, labels_;
  std::unique_ptr<layers::Network> network_;
  std::vector<Values> before_;
  std::vector<Tensor> starts_;
};

TEST_P(GoldenTrajectory, ForwardAndGradients) {
  for_each_place([&](const Place& place) {
    start(place);
    const double bound = place.wide() ? 1e-12 : 3e-6;
    const auto [features, logits] = features_and_logits(*network_, x_);
    test::RecordedStep step(*network_, x_, labels_);
    const Tensor loss = step.run();
    EXPECT_LT(error(as_double(features), golden_["features"]), bound);
    EXPECT_LT(error(as_double(logits), golden_["logits"]), bound);
    EXPECT_LT(error(as_double(loss), golden_["loss"]), bound);
    for (const auto& [name, gradient] : step.gradients()) {
      EXPECT_LT(error(as_double(gradient), golden_["gradient/" + name]), bound) << name;
    }
  });
}

TEST_P(GoldenTrajectory, Sgd) {
  for_each_place([&](const Place& place) {
    start(place);
    Sgd optimizer(test::storages_of(*network_), given().sgd_rates, given().sgd);
    ten_steps(optimizer, "sgd");
  });
}

TEST_P(GoldenTrajectory, Adam) {
  for_each_place([&](const Place& place) {
    start(place);
    Adam optimizer(test::storages_of(*network_), given().adam_rates);
    ten_steps(optimizer, "adam");
  });
}

TEST_P(GoldenTrajectory, AdamW) {
  for_each_place([&](const Place& place) {
    start(place);
    Adam optimizer(test::storages_of(*network_), given().adamw_rates, {.decoupled = true});
    ten_steps(optimizer, "adamw");
  });
}

INSTANTIATE_TEST_SUITE_P(Network, GoldenTrajectory, testing::ValuesIn(cases),
                         [](const auto& info) { return std::string(info.param.file); });

TEST(GoldenResnet, TrainsWithBatchNorms) {
  constexpr std::uint64_t seed = 3;
  const test::GoldenTensors golden("trajectories/resnet8.safetensors");
  for_each_place([&](const Place& place) {
    test::GoldenDraws draws(seed);
    const Shape shape{6, 9, 8, 3};
    const Tensor x = tensor_of(draws.uniform(shape.count(), -1, 1), shape, place.dtype, place.device);
    const Values labels = draws.below(6, 5);
    const Tensor classes = Tensor::from(std::vector<std::int32_t>(labels.begin(), labels.end()), {6}, place.device);
    const auto network = layers::make_network({"resnet_cifar", "8", {9, 8, 3}, 5}, place.device, 1, place.dtype);
    draw_weights(*network, draws, place.dtype);
    const Sgd optimizer(test::storages_of(*network), {.learning_rate = 0.05, .weight_decay = 5e-4},
                        {.momentum = 0.9, .nesterov = true});
    test::RecordedStep recorded(*network, x, classes, &optimizer, true);
    const double bound = place.wide() ? 1e-9 : 1e-3;
    for (std::size_t step = 0; step < 5; ++step) {
      EXPECT_NEAR(as_double(recorded.run()).front(), golden["losses"][step], bound) << step;
      if (step > 0) continue;
      const std::map<std::string, Tensor> gradients = recorded.gradients();
      test::GoldenDraws weights(seed + 2);
      for (const layers::NamedParameter& parameter : network->state().parameters) {
        const Values sums = projections(as_double(gradients.at(parameter.name)), weights);
        EXPECT_LT(error(sums, golden["gradient/" + parameter.name]), bound) << parameter.name;
      }
    }
    test::GoldenDraws weights(seed + 2);
    for (const layers::NamedParameter& parameter : network->state().parameters) {
      const Values sums = projections(as_double(parameter.value()), weights);
      EXPECT_LT(error(sums, golden["last/" + parameter.name]), bound) << parameter.name;
    }
    for (const layers::NamedBuffer& buffer : network->state().buffers) {
      EXPECT_LT(error(as_double(buffer.value()), golden["last/" + buffer.name]), bound) << buffer.name;
    }
    const auto [features, logits] = features_and_logits(*network, x);
    EXPECT_LT(error(as_double(features), golden["features"]), bound);
    EXPECT_LT(error(as_double(logits), golden["logits"]), bound);
  });
}

/// The distance of a tensor to one of which a weighted sum and the sum of squares are known, over the latter's root: as
/// far as the sum tells, in which errors of one size add up to one of that size times the root of their number.
double distance(const Values& here, const Values& there, test::GoldenDraws& draws) {
  const Values weights = draws.uniform(static_cast<std::int64_t>(here.size()), -1, 1);
  double sum = 0;
  for (std::size_t i = 0; i < here.size(); ++i) sum += weights[i] * here[i];
  return std::abs(sum - there[0]) / std::sqrt(there[1] / 3) + std::abs(norm(here) / std::sqrt(there[1]) - 1);
}

TEST(GoldenResnet, EighteenLayersTrainByAdamW) {
  constexpr std::uint64_t seed = 10;
  const test::GoldenTensors golden("trajectories/resnet18.safetensors");
  const bool emulated = std::string(RTL_CUDA_MODE) == "EMULATED";
  for_each_place([&](const Place& place) {
    // For time's sake.
    if ((emulated && place.wide()) || place.device.threads() > 1) return;
    test::GoldenDraws draws(seed);
    const Shape shape{6, 32, 32, 3};
    const Tensor x = tensor_of(draws.uniform(shape.count(), -1, 1), shape, place.dtype, place.device);
    const Values labels = draws.below(6, 5);
    const Tensor classes = Tensor::from(std::vector<std::int32_t>(labels.begin(), labels.end()), {6}, place.device);
    const auto network = layers::make_network({"resnet", "18", {32, 32, 3}, 5}, place.device, 1, place.dtype);
    draw_weights(*network, draws, place.dtype);
    const double bound = place.wide() ? 1e-8 : 1e-4;
    EXPECT_LT(error(as_double(test::forward(*network, x)), golden["first/logits"]), bound);
    const Adam optimizer(test::storages_of(*network), {.learning_rate = 1e-5, .weight_decay = 0.01},
                         {.decoupled = true});
    test::RecordedStep recorded(*network, x, classes, &optimizer, true);
    for (std::size_t step = 0; step < (emulated ? 1 : 10); ++step) {
      EXPECT_NEAR(as_double(recorded.run()).front(), golden["losses"][step], bound) << step;
      if (step > 0) continue;
      const std::map<std::string, Tensor> gradients = recorded.gradients();
      test::GoldenDraws weights(seed + 2);
      for (const layers::NamedParameter& parameter : network->state().parameters) {
        const Values gradient = as_double(gradients.at(parameter.name));
        EXPECT_LT(distance(gradient, golden["gradient/" + parameter.name], weights), bound) << parameter.name;
      }
    }
    if (emulated) return;
    test::GoldenDraws weights(seed + 2);
    for (const layers::NamedParameter& parameter : network->state().parameters) {
      EXPECT_LT(distance(as_double(parameter.value()), golden["last/" + parameter.name], weights), bound)
          << parameter.name;
    }
    for (const layers::NamedBuffer& buffer : network->state().buffers) {
      EXPECT_LT(error(as_double(buffer.value()), golden["last/" + buffer.name]), bound) << buffer.name;
    }
    EXPECT_LT(error(as_double(test::forward(*network, x)), golden["last/logits"]), bound);
  });
}

TEST(GoldenResnet, EvaluatesAndFreezes) {
  const test::GoldenTensors golden("trajectories/resnet20.safetensors");
  for_each_place([&](const Place& place) {
    test::GoldenDraws draws(4);
    const Shape shape{5, 32, 32, 3};
    const Tensor x = tensor_of(draws.uniform(shape.count(), -1, 1), shape, place.dtype, place.device);
    const auto network = layers::make_network({"resnet_cifar", "20", {32, 32, 3}, 10}, place.device, 1, place.dtype);
    draw_weights(*network, draws, place.dtype);
    const double bound = place.wide() ? 1e-11 : 1e-5;
    const auto [features, head] = features_and_logits(*network, x);
    EXPECT_LT(error(as_double(features), golden["features"]), bound);
    EXPECT_LT(error(as_double(head), golden["logits"]), bound);
    if (place.wide()) return;
    layers::FrozenNetwork frozen(*network);
    Tensor out({5, 64}, DType::f32, place.device), logits({5, 10}, DType::f32, place.device);
    frozen.features(x, out);
    frozen.logits(x, logits);
    EXPECT_LT(error(as_double(out), golden["features"]), bound);
    EXPECT_LT(error(as_double(logits), golden["logits"]), bound);
  });
}

}  // namespace
}  // namespace rtl::optim
