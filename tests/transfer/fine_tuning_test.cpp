// Strategies that train parts of a source, or something in its place: what moves, what stays, what they equal.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "rtl/graph/operations.hpp"
#include "rtl/layers/initialization.hpp"
#include "transfer/hooked_network.hpp"
#include "transfer/network_blocks.hpp"
#include "transfer/outputs_plan.hpp"
#include "transfer/place.hpp"
#include "transfer/sources.hpp"

namespace rtl::transfer {
namespace {

using testing::expect_equal;
using testing::fit_one;
using testing::moved;
using testing::named_values;
using testing::plain_source;
using testing::quick;
using testing::residual_source;
using testing::Values;
using testing::values_of_source;

TEST(NetworkBlocks, AreTheNamedLayersAndTheHead) {
  const Device device = Device::cpu(1);
  const auto names = [](layers::Network& network) {
    std::vector<std::string> all;
    std::size_t parameters = 0;
    for (const detail::NetworkBlock& block : detail::blocks_of(network)) {
      all.push_back(block.name);
      parameters += block.parameters.size();
    }
    EXPECT_EQ(parameters, network.state().parameters.size());
    return all;
  };
  EXPECT_EQ(names(*testing::make("resnet_cifar", "8", {8, 8, 3}, 4, 3, device)),
            (std::vector<std::string>{"conv1", "layer1.0", "layer2.0", "layer3.0", "head"}));
  EXPECT_EQ(names(*testing::make("paper_cnn", "4-4-8-16", {8, 8, 3}, 4, 3, device)),
            (std::vector<std::string>{"conv1", "conv2", "conv3", "fc1", "head"}));
  EXPECT_EQ(names(*testing::make("mlp", "none", {5}, 4, 3, device)), (std::vector<std::string>{"head"}));
}

TEST(FineTune, ItsDefaultsTrainAll) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
    const FrozenSource source = residual_source(device);
    const Fitted whole = fit_one("fine-tune", source, data, quick());
    // As training the copy by itself does.
    auto network = source.copy_network(device);
    network->reset_head(4, 7);
    train(*network, data, source.normalization(), quick());
    EXPECT_TRUE(testing::same_bytes(testing::values_of(whole.state()), testing::values_of(network->state())));
    expect_equal(whole, fit_one("fine-tune:last=5", source, data, quick()));
    expect_equal(whole, fit_one("fine-tune:last=0:layer_decay=1:probe_epochs=0", source, data, quick()));
  }
}

TEST(FineTune, FrozenBlocksStayBitForBit) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
    const FrozenSource source = residual_source(device);
    const Fitted head = fit_one("fine-tune:last=1", source, data, quick());
    EXPECT_EQ(moved(source, head), (std::vector<std::string>{"linear.bias", "linear.weight"}));
    EXPECT_EQ(head.trainable_parameters(), 4 * 64 + 4);
    const Fitted two = fit_one("fine-tune:last=2", source, data, quick());
    for (const std::string& name : moved(source, two)) {
      EXPECT_TRUE(name.starts_with("layer3.0.") || name.starts_with("linear.")) << name;
    }
    EXPECT_EQ(moved(source, two).size(), 2U + 4 + 4 + 2);  // convolutions; norms, their statistics; head
    EXPECT_EQ(moved(source, fit_one("fine-tune", source, data, quick())).size(), values_of_source(source).size());
  }
}

TEST(FineTune, RatesFallWithDepth) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 16, 4, 8, device);
  const FrozenSource source = plain_source(device);
  // One step without momentum: every block moves by its rate times the gradient, which is the same for both.
  TrainingOptions training = quick(1);
  training.momentum = 0;
  const auto start = named_values(fit_one("fine-tune", source, data, quick(0)).state());
  const auto even = named_values(fit_one("fine-tune", source, data, training).state());
  const auto falling = named_values(fit_one("fine-tune:layer_decay=0.5", source, data, training).state());
  const std::map<std::string, double> share{{"head.weight", 1},
                                            {"fc1.weight", 0.5},
                                            {"conv3.weight", 0.25},
                                            {"conv2.weight", 0.125},
                                            {"conv1.weight", 0.0625}};
  for (const auto& [name, expected] : share) {
    double one = 0, other = 0, size = 0;
    for (std::size_t i = 0; i < start.at(name).size(); ++i) {
      one += std::pow(double{even.at(name)[i]} - double{start.at(name)[i]}, 2);
      other += std::pow(double{falling.at(name)[i]} - double{start.at(name)[i]}, 2);
      size += std::pow(double{start.at(name)[i]}, 2);
    }
    ASSERT_GT(one, 0) << name;
    // Both differences are of numbers rounded to 2^-24 of their size.
    const double rounding = std::sqrt(size / one) * std::pow(2.0, -23);
    EXPECT_NEAR(std::sqrt(other / one), expected, rounding) << name;
  }
}

TEST(FineTune, AProbeComesFirst) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
  const FrozenSource source = residual_source(device);
  const Fitted both = fit_one("fine-tune:probe_epochs=3", source, data, quick(2));
  const Fitted probed = fit_one("fine-tune:last=1", source, data, quick(3));
  ASSERT_EQ(both.training().losses.size(), 5U);
  for (std::size_t epoch = 0; epoch < 3; ++epoch) {
    EXPECT_EQ(both.training().losses[epoch], probed.training().losses[epoch]);
  }
  // Nothing but a probe.
  expect_equal(fit_one("fine-tune:probe_epochs=3", source, data, quick(0)), probed);
  // All that follows is training the probed network.
  auto& network = dynamic_cast<NetworkPredictor&>(probed.predictor()).network();
  train(network, data, source.normalization(), quick(2));
  EXPECT_TRUE(testing::same_bytes(testing::values_of(both.state()), testing::values_of(network.state())));
  EXPECT_EQ(both.trainable_parameters(), network.parameter_count());
}

TEST(BitFit, MovesBiasesAndTheHead) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
    const FrozenSource source = residual_source(device);
    const Fitted fitted = fit_one("bitfit", source, data, quick());
    for (const std::string& name : moved(source, fitted)) {
      EXPECT_TRUE(name.ends_with("bias") || name == "linear.weight") << name;
    }
    // Offsets of seven norms of 16, 16, 16, 32, 32, 64 and 64 channels.
    EXPECT_EQ(fitted.trainable_parameters(), 240 + 4 * 64 + 4);
    EXPECT_EQ(moved(source, fitted).size(), 7U + 2);
    const FrozenSource plain = plain_source(device);
    EXPECT_EQ(fit_one("bitfit", plain, data, quick()).trainable_parameters(), 4 + 4 + 8 + 16 + 4 * 16 + 4);
  }
}

TEST(Lora, CountsItsUpdates) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
  const FrozenSource source = plain_source(device);
  // Rank r adds r (out + in) to each weight, of a convolution in = 9 channels.
  const std::int64_t trunk = (4 + 27) + (4 + 36) + (8 + 36) + (16 + 8);
  EXPECT_EQ(fit_one("lora:rank=3", source, data, quick(1)).trainable_parameters(), 3 * trunk + 4 * 16 + 4);
  EXPECT_EQ(fit_one("lora:rank=3:all", source, data, quick(1)).trainable_parameters(), 3 * (trunk + 4 + 16));
  EXPECT_EQ(fit_one("lora:rank=3:head", source, data, quick(1)).trainable_parameters(), 3 * (4 + 16));
  // The published head, 8 (2560 + 10) of the large network (REFINE, table of parameters).
  const FrozenSource large(testing::make("paper_big_cnn", "", {32, 32, 3}, 10, 1, device));
  const data::Dataset images = testing::make_images(1, 12, 10, 32, device);
  EXPECT_EQ(fit_one("lora:head", large, images, quick(0)).trainable_parameters(), 20560);
}

TEST(Lora, StartsAsTheSource) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
    for (const FrozenSource& source : {residual_source(device), plain_source(device)}) {
      for (const char* strategy :
           {"lora:pretrained", "lora:pretrained:all", "lora:pretrained:head", "ia3:pretrained"}) {
        SCOPED_TRACE(strategy);
        const Fitted fitted = fit_one(strategy, source, data, quick(0));
        // B is zero and scales are one: the merged weights are the source's bits.
        EXPECT_TRUE(moved(source, fitted).empty());
        EXPECT_TRUE(testing::same_bytes(
            fitted.outputs(data).to_vector<float>(),
            fit_one("fine-tune:pretrained", source, data, quick(0)).outputs(data).to_vector<float>()));
      }
    }
  }
}

TEST(Lora, MovesWeightsByUpdatesOfItsRank) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
  const FrozenSource source = residual_source(device);
  const Fitted fitted = fit_one("lora:rank=1", source, data, quick());
  for (const std::string& name : moved(source, fitted)) {
    EXPECT_TRUE(name.find("conv") != std::string::npos || name.starts_with("linear.")) << name;
  }
  EXPECT_EQ(moved(source, fitted).size(), 7U + 2);
  const auto before = values_of_source(source).at("conv1.weight");
  const auto after = named_values(fitted.state()).at("conv1.weight");
  // Rank one: all 2 x 2 minors of the update [16, 27] are zero but for rounding of the sum with the weight.
  std::vector<double> update;
  double largest = 0, weight = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    update.push_back(double{after[i]} - double{before[i]});
    largest = std::max(largest, std::abs(update.back()));
    weight = std::max(weight, std::abs(double{after[i]}));
  }
  ASSERT_GT(largest, 0);
  const double rounding = std::pow(2.0, -24) * (weight + 2 * largest);  // of each element
  for (std::size_t row = 1; row < 16; ++row) {
    for (std::size_t column = 1; column < 27; ++column) {
      const double minor = update[0] * update[row * 27 + column] - update[column] * update[row * 27];
      EXPECT_LE(std::abs(minor), 4 * largest * rounding + 2 * rounding * rounding);
    }
  }
}

TEST(Ia3, ScalesRowsOfWeightsAndBiases) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
  const FrozenSource source = plain_source(device);
  const Fitted fitted = fit_one("ia3", source, data, quick());
  EXPECT_EQ(fitted.trainable_parameters(), 4 + 4 + 8 + 16 + 4 * 16 + 4);
  const Values before = values_of_source(source), after = named_values(fitted.state());
  for (const std::string layer : {"conv1", "conv2", "conv3", "fc1"}) {
    const std::vector<float>&w0 = before.at(layer + ".weight"), &w = after.at(layer + ".weight");
    const std::vector<float>&b0 = before.at(layer + ".bias"), &b = after.at(layer + ".bias");
    const std::size_t columns = w.size() / b.size();
    bool changed = false;
    for (std::size_t row = 0; row < b.size(); ++row) {
      const double scale = double{b[row]} / double{b0[row]};
      changed = changed || std::abs(scale - 1) > 1e-6;
      for (std::size_t i = row * columns; i < (row + 1) * columns; ++i) {
        // The scale is known by a rounded bias, and weights are rounded.
        EXPECT_NEAR(w[i], scale * double{w0[i]}, std::pow(2.0, -22) * std::abs(double{w[i]}));
      }
    }
    EXPECT_TRUE(changed) << layer;
  }
}

/// Outputs with the hooks in place.
std::vector<float> hooked_outputs(detail::HookedNetwork& model, const data::Dataset& data, const Device& device) {
  const detail::ResidentDataset placed(data, device);
  const detail::InputGather gather(*placed, data::Normalization::half, DType::f32, device);
  const Tensor inputs = gather(detail::counting_rows(data.size(), device));
  detail::OutputsPlan plan(model, device, DType::f32);
  const ConstView outputs = plan(inputs, {});
  Tensor copy(outputs.shape(), DType::f32, device);
  copy_bytes(outputs, copy);
  return copy.to_vector<float>();
}

TEST(HookedNetwork, MergedGivesTheSameBits) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
    for (const FrozenSource& source : {residual_source(device), plain_source(device)}) {
      NetworkPredictor predictor(source.copy_network(device), data::Normalization::half);
      detail::HookedNetwork model(predictor, "test");
      const std::vector<float> own = hooked_outputs(model, data, device);
      layers::ModuleState state = predictor.state();
      for (const layers::NamedParameter& weight : detail::layer_weights(state)) {
        Tensor update(weight.value().shape(), DType::f32, device);
        layers::initialize_weight(layers::Initialization::uniform_fan_in, 5, weight.name, update);
        const layers::Parameter& added = model.add(weight.name + ".update", std::move(update));
        model.hooks().parameters[weight.parameter] = [&added](const graph::Value& original) {
          return graph::add(original, detail::read_in(original, added));
        };
      }
      const std::vector<float> unmerged = hooked_outputs(model, data, device);
      EXPECT_NE(unmerged, own);
      model.merge();
      EXPECT_TRUE(testing::same_bytes(hooked_outputs(model, data, device), unmerged));
    }
  }
}

TEST(L2spFineTune, IsFineTuningWithTheTermsOfTheOptimizer) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
    const FrozenSource source = residual_source(device);
    TrainingOptions training = quick();
    expect_equal(fit_one("l2sp-fine-tune:start_strength=0:head_decay=0", source, data, training),
                 fit_one("fine-tune", source, data, training));
    // With the source's own head everything is drawn to its start, as by TrainingOptions::l2sp_strength.
    const Fitted own = fit_one("l2sp-fine-tune:pretrained:start_strength=0.3", source, data, training);
    TrainingOptions drawn = training;
    drawn.l2sp_strength = 0.3;
    expect_equal(own, fit_one("fine-tune:pretrained", source, data, drawn));
    // Both add up.
    drawn.l2sp_strength = 0.2;
    drawn.weight_decay = 0.05;
    TrainingOptions half = training;
    half.l2sp_strength = 0.05;
    half.weight_decay = 0.05;
    expect_equal(fit_one("l2sp-fine-tune:pretrained:start_strength=0.15", source, data, half),
                 fit_one("fine-tune:pretrained", source, data, drawn));
  }
}

TEST(L2spFineTune, DrawsToTheSourceAndShrinksTheHead) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
  const FrozenSource source = plain_source(device);
  const Values start = values_of_source(source);
  const auto sizes = [&](const std::string& strategy) {
    double distance = 0, head = 0;
    for (const auto& [name, values] : named_values(fit_one(strategy, source, data, quick(20)).state())) {
      for (std::size_t i = 0; i < values.size(); ++i) {
        if (name.starts_with("head.")) {
          head += std::pow(double{values[i]}, 2);
        } else {
          distance += std::pow(double{values[i]} - double{start.at(name)[i]}, 2);
        }
      }
    }
    return std::pair(distance, head);
  };
  const auto [free_distance, free_head] = sizes("fine-tune");
  const auto [near, head_of_near] = sizes("l2sp-fine-tune:start_strength=10:head_decay=0");
  const auto [distance_of_small, small] = sizes("l2sp-fine-tune:start_strength=0:head_decay=5");
  EXPECT_LT(near, 0.1 * free_distance);
  EXPECT_LT(small, 0.5 * free_head);
}

TEST(FineTuning, AStateIsOfWhatIsTrained) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
  const FrozenSource source = residual_source(device);
  const testing::Folder folder;
  TrainingOptions training = quick(4);
  training.checkpoint = folder / "state";
  training.resume = true;
  training.stop = [] { return true; };
  EXPECT_FALSE(fit_one("bitfit", source, data, training).training().complete);
  training.stop = nullptr;
  for (const char* other : {"fine-tune", "fine-tune:last=1", "lora", "ia3", "stochastic-norm", "l2sp-fine-tune"}) {
    EXPECT_THROW(fit_one(other, source, data, training), ValueError) << other;
  }
  expect_equal(fit_one("bitfit", source, data, training), fit_one("bitfit", source, data, quick(4)));
}

TEST(FineTuning, SaysWhatCannotBe) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
  const FrozenSource source = residual_source(device);
  EXPECT_THROW(fit_one("fine-tune:last=6", source, data, quick(0)), ValueError);
  EXPECT_THROW(fit_one("fine-tune:last=-1", source, data, quick(0)), ValueError);
  EXPECT_THROW(fit_one("fine-tune:layer_decay=0", source, data, quick(0)), ValueError);
  EXPECT_THROW(fit_one("fine-tune:layer_decay=1.5", source, data, quick(0)), ValueError);
  EXPECT_THROW(fit_one("lora:rank=0", source, data, quick(0)), ValueError);
  const FrozenSource features = FrozenSource::of_features("pixels", 2, [](const data::Dataset& of) {
    return Tensor::zeros({of.size(), 2}, DType::f32, of.inputs.device());
  });
  const FrozenSource inner(testing::make("resnet_cifar", "8", {8, 8, 3}, 4, 3, device), {}, {}, Precision::f32,
                           "layer1.0");
  for (const char* strategy : {"fine-tune", "l2sp-fine-tune", "bitfit", "lora", "ia3"}) {
    SCOPED_TRACE(strategy);
    EXPECT_THROW(fit_one(strategy, features, data, quick(0)), ValueError);
    EXPECT_THROW(fit_one(strategy, inner, data, quick(0)), ValueError);
    EXPECT_THROW(fit(strategy, {source, source}, data, quick(0)), ValueError);
    EXPECT_THROW(fit_one(std::string(strategy) + ":pretrained", residual_source(device, 10), data, quick(0)),
                 ValueError);
    EXPECT_THROW(fit_one(strategy, source, testing::make_images(1, 40, 4, 16, device), quick(0)), ShapeError);
  }
}

}  // namespace
}  // namespace rtl::transfer
