// Forward pass, gradients and ten optimizer steps of the reduced paper CNN against an independent implementation
// (golden/paper_cnn_step of the real data; its README says how far independent f32 runs scatter).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "rtl/data/load.hpp"
#include "rtl/io/safetensors.hpp"
#include "rtl/layers/checkpoint.hpp"
#include "rtl/optim/optimizer.hpp"
#include "support/devices.hpp"
#include "support/real_data.hpp"
#include "support/recorded.hpp"

namespace rtl::optim {
namespace {

constexpr std::int64_t batch = 64;

std::string golden(const std::string& name) { return test::real_data("golden/paper_cnn_step/" + name); }

std::vector<double> as_double(const Tensor& tensor) {
  if (tensor.dtype() == DType::f64) return tensor.to_vector<double>();
  const std::vector<float> values = tensor.to_vector<float>();
  return {values.begin(), values.end()};
}

std::vector<double> golden_tensor(const std::string& file, const std::string& name) {
  return as_double(io::SafetensorsFile(golden(file)).load(name, Device::cpu()));
}

double norm(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value * value;
  return std::sqrt(sum);
}

std::vector<double> difference(const std::vector<double>& a, const std::vector<double>& b) {
  EXPECT_EQ(a.size(), b.size());
  std::vector<double> result(a.size());
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) result[i] = a[i] - b[i];
  return result;
}

double largest(const std::vector<double>& values) {
  double result = 0;
  for (const double value : values) result = std::max(result, std::abs(value));
  return result;
}

/// max |a - b| / |b| over all elements, |b| counting as 1e-12 where it is less.
double relative(const std::vector<double>& a, const std::vector<double>& b) {
  EXPECT_EQ(a.size(), b.size());
  double result = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    result = std::max(result, std::abs(a[i] - b[i]) / std::max(std::abs(b[i]), 1e-12));
  }
  return result;
}

class RealDataTrajectory : public testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    RTL_NEEDS_REAL_DATA("golden/paper_cnn_step/weights_00.safetensors");
    RTL_NEEDS_REAL_DATA("images/cifar10/cifar10_train_6000.bin.gz");
    const data::TrainTest loaded =
        data::load("cifar10:" + test::real_data("images/cifar10") + "?split=train&limit=64", Device::cpu());
    for (const std::uint8_t value : loaded.train.inputs.to_vector<std::uint8_t>()) {
      pixels_.push_back((value / 255.0 - 0.5) / 0.5);
    }
    labels_ = loaded.train.labels.clone();
    ASSERT_EQ(labels_.count(), batch);
  }

  void start(const Device& device) {
    network_ = layers::load_network(golden("weights_00.safetensors"), device, std::nullopt, GetParam()).network;
    const Shape shape{batch, 32, 32, 3};
    x_ = GetParam() == DType::f64 ? Tensor::from(pixels_, shape, device)
                                  : Tensor::from(std::vector<float>(pixels_.begin(), pixels_.end()), shape, device);
    device_labels_ = labels_.to(device);
  }
  /// Weights against a golden file: L2 norm of the difference over that of the whole update, and the largest
  /// difference.
  std::pair<double, double> compare_weights(const std::string& file) {
    double difference_squared = 0, update_squared = 0, maximum = 0, worst_relative = 0;
    for (const layers::NamedParameter& parameter : network_->state().parameters) {
      const std::vector<double> here = as_double(parameter.value());
      const std::vector<double> there = golden_tensor(file, parameter.name);
      const std::vector<double> before = golden_tensor("weights_00.safetensors", parameter.name);
      difference_squared += std::pow(norm(difference(here, there)), 2);
      update_squared += std::pow(norm(difference(there, before)), 2);
      maximum = std::max(maximum, largest(difference(here, there)));
      worst_relative = std::max(worst_relative, relative(here, there));
    }
    if (GetParam() == DType::f64) {
      EXPECT_LT(worst_relative, 1e-6) << file;
    }
    return {std::sqrt(difference_squared / update_squared), maximum};
  }
  void run_ten(Optimizer& optimizer, const std::string& name) {
    const std::vector<double> losses = golden_tensor("forward.safetensors", "loss_" + name);
    const bool wide = GetParam() == DType::f64;
    test::RecordedStep step(*network_, x_, device_labels_, &optimizer);
    for (int i = 0; i < 10; ++i) {
      // In f32 as far off as exact arithmetic is from weights that a few roundoffs of f32 moved (docs/testing.md).
      EXPECT_NEAR(as_double(step.run()).front(), losses[static_cast<std::size_t>(i)], wide ? 1e-6 : 5e-3)
          << name << ", step " << i;
      if (i == 0 && name == "sgd") {
        EXPECT_LT(compare_weights("weights_sgd_01.safetensors").second, 1e-7);
      }
    }
    const auto [update, maximum] = compare_weights("weights_" + name + "_10.safetensors");
    RecordProperty(name + "_update_error", fmt::format("{:.2e}, largest {:.2e}", update, maximum));
    EXPECT_LT(update, 1e-1) << name;
    if (wide) {
      EXPECT_LT(relative(as_double(test::forward(*network_, x_)),
                         golden_tensor("forward.safetensors", "logits_after_" + name + "_10")),
                1e-6)
          << name;
    }
  }

  std::vector<double> pixels_;
  Tensor labels_;
  std::unique_ptr<layers::Network> network_;
  Tensor x_;
  Tensor device_labels_;
};

TEST_P(RealDataTrajectory, ForwardAndGradients) {
  const bool wide = GetParam() == DType::f64;
  for (const Device& device : test::devices()) {
    SCOPED_TRACE(device.name());
    start(device);
    std::vector<Tensor> values = test::evaluate({x_}, [&](std::span<const graph::Value> in) {
      const graph::Value features = network_->features(in[0], {});
      return std::vector{features, network_->head(features, {})};
    });
    test::RecordedStep step(*network_, x_, device_labels_);
    values.push_back(step.run());
    const char* const names[] = {"features", "logits", "loss"};
    for (std::size_t i = 0; i < values.size(); ++i) {
      const char* const name = names[i];
      const std::vector<double> here = as_double(values[i]);
      const std::vector<double> there = golden_tensor("forward.safetensors", name);
      if (wide) {
        EXPECT_LT(relative(here, there), 1e-6) << name;
      } else {
        EXPECT_LT(largest(difference(here, there)), 1e-6) << name;
      }
    }
    for (const auto& [name, gradient] : step.gradients()) {
      const std::vector<double> here = as_double(gradient);
      const std::vector<double> there = golden_tensor("grads.safetensors", name);
      EXPECT_LT(norm(difference(here, there)), (wide ? 1e-6 : 1e-5) * norm(there)) << name;
      if (wide) {
        EXPECT_LT(relative(here, there), 1e-6) << name;
      }
    }
  }
}

TEST_P(RealDataTrajectory, SgdWithMomentum) {
  for (const Device& device : test::devices()) {
    SCOPED_TRACE(device.name());
    start(device);
    Sgd optimizer(test::storages_of(*network_), {.learning_rate = 0.01}, {.momentum = 0.9});
    run_ten(optimizer, "sgd");
  }
}

TEST_P(RealDataTrajectory, Adam) {
  for (const Device& device : test::devices()) {
    SCOPED_TRACE(device.name());
    start(device);
    Adam optimizer(test::storages_of(*network_), {.learning_rate = 1e-3});
    run_ten(optimizer, "adam");
  }
}

TEST_P(RealDataTrajectory, AdamW) {
  for (const Device& device : test::devices()) {
    SCOPED_TRACE(device.name());
    start(device);
    Adam optimizer(test::storages_of(*network_), {.learning_rate = 1e-3, .weight_decay = 0.01}, {.decoupled = true});
    run_ten(optimizer, "adamw");
  }
}

INSTANTIATE_TEST_SUITE_P(Precision, RealDataTrajectory, testing::Values(DType::f64, DType::f32),
                         [](const auto& info) { return std::string(name_of(info.param)); });

}  // namespace
}  // namespace rtl::optim
