// Columns as people have them: of any scale. Networks learn from them by default, sources keep their numbers, and a
// training that learns nothing says so.
#include <gtest/gtest.h>

#include "rtl/io/safetensors.hpp"
#include "rtl/layers/checkpoint.hpp"
#include "rtl/transfer/strategies.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using data::InputNormalization;
using data::Normalization;
using testing::Folder;
using testing::quick;

/// Four Gaussian classes in six columns of scales from 1e-3 to 1e6, with offsets.
data::Dataset raw_table(std::uint64_t seed, std::int64_t count, const Device& device) {
  data::Dataset data = testing::make_vectors(seed, count, 6, 4, 3.0, device);
  const double scales[] = {1e-3, 1e6, 1, 1e4, 1e-2, 1e2}, offsets[] = {5, -1e6, 0, 3e4, 0, 1e3};
  std::vector<float> values = data.inputs.to_vector<float>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(static_cast<double>(values[i]) * scales[i % 6] + offsets[i % 6]);
  }
  data.inputs = Tensor::from(values, data.inputs.shape(), device);
  return data;
}

StrategyOptions small(Normalization normalization = Normalization::automatic) {
  StrategyOptions options;
  options.model = "mlp:16";
  options.normalization = normalization;
  return options;
}

bool mentions(const std::vector<std::string>& texts, const std::string& part) {
  for (const std::string& text : texts) {
    if (text.find(part) != std::string::npos) return true;
  }
  return false;
}

FrozenSource trained_source(const data::Dataset& data) {
  const InputNormalization normalization = data::fit_normalization(data);
  auto network = testing::make("mlp", "12", {6}, 4, 3, data.inputs.device());
  train(*network, data, normalization, quick(10));
  return FrozenSource(std::move(network), normalization, "raw");
}

TEST(RawColumns, AreLearntByDefaultAndNotUnscaled) {
  for (const Device& device : testing::devices()) {
    SCOPED_TRACE(device.name());
    const data::Dataset train_part = raw_table(1, 300, device), test_part = raw_table(2, 300, device);
    const Fitted fitted = scratch(train_part, quick(20), small());
    EXPECT_GT(evaluate(fitted, test_part).accuracy, 0.85);
    EXPECT_TRUE(fitted.training().warnings.empty()) << fitted.training().warnings.front();
    try {
      const Fitted raw = scratch(train_part, quick(20), small(Normalization::none));
      EXPECT_LT(evaluate(raw, test_part).accuracy, 0.5);
      EXPECT_FALSE(raw.training().warnings.empty());
    } catch (const TrainingDiverged& error) {
      EXPECT_NE(std::string(error.what()).find("standardise"), std::string::npos);
    }
  }
}

/// For strategies that look at samples of the source.
StrategyOptions with_source_data(const data::Dataset& data) {
  StrategyOptions options = small();
  options.source_data = &data;
  return options;
}

TEST(RawColumns, EveryStrategyKnowsTheRightNumbers) {
  const Device device = Device::cpu(1);
  const data::Dataset source_data = raw_table(3, 300, device), target = raw_table(4, 60, device);
  const FrozenSource source = trained_source(source_data);
  StrategyOptions options = small();
  options.values["head_start"] = "pretrained";
  // Nothing is trained: a fine-tuned copy, by the source's numbers and not the target's, is the source.
  const auto own = source.logits(target).to_vector<float>();
  const auto tuned = fine_tune(source, target, quick(0), options).outputs(target).to_vector<float>();
  ASSERT_EQ(own.size(), tuned.size());
  for (std::size_t i = 0; i < own.size(); ++i) EXPECT_NEAR(tuned[i], own[i], 1e-4);
  const data::Dataset test_part = raw_table(5, 300, device);
  EXPECT_GT(score(source.logits(test_part), test_part).accuracy, 0.8);
  for (const Strategy* strategy : testing::library_strategies()) {
    const StrategyInfo& info = strategy->info();
    SCOPED_TRACE(info.name);
    const std::vector<FrozenSource> sources = testing::sources_for(info, source);
    const Fitted fitted = fit(info.name, sources, target, quick(15), with_source_data(source_data));
    EXPECT_GT(evaluate(fitted, test_part).accuracy, 0.8);
  }
}

TEST(RawColumns, SubsetsAreStandardisedByTheirOwnRows) {
  const Device device = Device::cpu(1);
  const data::Dataset all = raw_table(6, 200, device);
  const std::vector<std::int64_t> rows{3, 9, 27, 81, 0, 1, 2, 5, 199, 44};
  const data::Dataset part = all.subset(rows);
  const Folder folder;
  scratch(part, quick(1), small()).save(folder / "model");
  EXPECT_EQ(layers::load_network(folder / "model", device).normalization, data::fit_normalization(part));
}

TEST(RawColumns, FilesCarryTheNumbers) {
  for (const Device& device : testing::devices()) {
    const Folder folder;
    const data::Dataset data = raw_table(7, 80, device);
    const FrozenSource source = trained_source(raw_table(8, 100, device));
    for (const Strategy* strategy : testing::library_strategies()) {
      const StrategyInfo& info = strategy->info();
      SCOPED_TRACE(info.name + " " + device.name());
      const std::vector<FrozenSource> sources = testing::sources_for(info, source);
      const Fitted fitted = fit(info.name, sources, data, quick(2), with_source_data(data));
      fitted.save(folder / "model");
      const Fitted loaded = Fitted::load(folder / "model", device);
      EXPECT_TRUE(
          testing::same_bytes(loaded.outputs(data).to_vector<float>(), fitted.outputs(data).to_vector<float>()));
      for (const FrozenSource& kept : loaded.sources()) EXPECT_EQ(kept.normalization(), source.normalization());
    }
  }
}

TEST(RawColumns, FilesWithoutTheNumbersMeanNone) {
  const Device device = Device::cpu(1);
  const Folder folder;
  auto network = testing::make("mlp", "12", {6}, 4, 3, device);
  layers::save_network(folder / "old", *network, Normalization::half);
  auto loaded = layers::load_network(folder / "old", device);
  const FrozenSource source(std::move(loaded.network), loaded.normalization);
  EXPECT_EQ(source.normalization(), Normalization::none);
  const data::Dataset data = testing::make_vectors(1, 20, 6, 4, 1.0, device);
  const FrozenSource plain(std::move(network), data::InputNormalization(Normalization::none));
  EXPECT_TRUE(testing::same_bytes(source.logits(data).to_vector<float>(), plain.logits(data).to_vector<float>()));
}

/// A file of a small network with this normalisation in its metadata and these numbers.
void write_numbers(const std::string& path, const std::string& kind, const std::vector<Tensor>& numbers) {
  const auto network = testing::make("mlp", "5", {3}, 2, 3, Device::cpu(1));
  std::vector<io::NamedView> tensors;
  const layers::ModuleState state = network->state();
  for (const auto& parameter : state.parameters) tensors.emplace_back(parameter.name, parameter.value());
  const char* const names[] = {"input.mean", "input.deviation"};
  for (std::size_t i = 0; i < numbers.size(); ++i) tensors.emplace_back(names[i], numbers[i]);
  io::write_safetensors(path, tensors, {{"normalization", kind}});
}

TEST(RawColumns, DamagedNumbersAreTold) {
  const Folder folder;
  const Device device = Device::cpu(1);
  const auto numbers = [&](const std::vector<double>& values) {
    return Tensor::from(values, {static_cast<std::int64_t>(values.size())}, device);
  };
  const auto attempt = [&](const std::string& kind, const std::vector<double>& mean,
                           const std::vector<double>& deviation) {
    std::vector<Tensor> tensors;
    tensors.push_back(numbers(mean));
    if (!deviation.empty()) tensors.push_back(numbers(deviation));
    write_numbers(folder / "model", kind, tensors);
    return layers::load_network(folder / "model", device).normalization;
  };
  EXPECT_EQ(attempt("standardize", {1, 2, 3}, {4, 5, 6}), InputNormalization({1, 2, 3}, {4, 5, 6}));
  EXPECT_THROW(attempt("standardize", {1, 2, 3}, {}), FormatError);
  EXPECT_THROW(attempt("standardize", {1, 2, 3}, {4, 5}), FormatError);
  EXPECT_THROW(attempt("standardize", {1, 2}, {4, 5}), FormatError);
  EXPECT_THROW(attempt("standardize", {1, 2, NAN}, {4, 5, 6}), FormatError);
  EXPECT_THROW(attempt("standardize", {1, 2, 3}, {4, 0, 6}), FormatError);
  EXPECT_THROW(attempt("standardise", {1, 2, 3}, {4, 5, 6}), FormatError);
  std::vector<Tensor> narrow;
  narrow.push_back(Tensor::from(std::vector<float>{1, 2, 3}, {3}, device));
  narrow.push_back(Tensor::from(std::vector<float>{1, 2, 3}, {3}, device));
  write_numbers(folder / "model", "standardize", narrow);
  EXPECT_THROW(layers::load_network(folder / "model", device), FormatError);
}

TEST(RawColumns, WhatDoesNotGoTogetherIsRefused) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_vectors(1, 30, 6, 4, 1.0, device);
  EXPECT_THROW(scratch(data, quick(1), small(Normalization::half)), ValueError);
  EXPECT_THROW(scratch(testing::make_images(1, 30, 4, 8, device), quick(1), small(Normalization::standardize)),
               ValueError);
  const auto network = testing::make("mlp", "12", {6}, 4, 3, device);
  EXPECT_THROW(train(*network, data, Normalization::automatic, quick(1)), ValueError);
  EXPECT_THROW(predict(*network, data, Normalization::automatic), ValueError);
  EXPECT_THROW(FrozenSource(testing::make("mlp", "12", {6}, 4, 3, device), InputNormalization({1}, {1})), ValueError);
}

TEST(Warnings, ATrainingThatLearnsNothingSaysSo) {
  const Device device = Device::cpu(1);
  data::Dataset data = testing::make_vectors(1, 120, 5, 3, 4.0, device);
  data.class_names = {"oak", "fir", "ash"};
  const auto outcome = [&](auto change) {
    TrainingOptions options = quick(15);
    change(options);
    return scratch(data, options, small()).training().warnings;
  };
  EXPECT_TRUE(outcome([](auto& options) { options.learning_rate = 0.05; }).empty());
  EXPECT_TRUE(outcome([](auto& options) { options.epochs = 0; }).empty());
  const auto collapsed = outcome([](auto& options) { options.weight_decay = 90; });  // takes away every weight
  EXPECT_TRUE(mentions(collapsed, "the same class")) << collapsed.size();
  EXPECT_TRUE(mentions(collapsed, "learned nothing"));
  EXPECT_TRUE(mentions(collapsed, "oak") || mentions(collapsed, "fir") || mentions(collapsed, "ash"));
  // Of a linear head the gradients are bounded, so that its weights run away without becoming infinite.
  TrainingOptions wild = quick(15);
  wild.learning_rate = 3e4;
  const FrozenSource source(testing::make("mlp", "12", {5}, 4, 3, device));
  EXPECT_TRUE(mentions(probe(source, data, wild).training().warnings, "run away"));
  const auto noise = outcome([](auto& options) {
    options.label_flips = 2.0 / 3;  // of three classes: labels of no meaning
    options.flip_each_epoch = true;
  });
  EXPECT_TRUE(mentions(noise, "learned nothing"));
}

TEST(Warnings, ConstantFeaturesAreNamed) {
  const Device device = Device::cpu(1);
  data::Dataset data = testing::make_vectors(1, 60, 5, 3, 4.0, device);
  std::vector<float> values = data.inputs.to_vector<float>();
  for (std::size_t i = 3; i < values.size(); i += 5) values[i] = 1e6F;
  data.inputs = Tensor::from(values, data.inputs.shape(), device);
  const Fitted fitted = scratch(data, quick(20), small());
  EXPECT_TRUE(mentions(fitted.training().warnings, "1 of 5 features")) << fitted.training().warnings.size();
  EXPECT_TRUE(mentions(fitted.training().warnings, " 4 (counted from 1)"));
  EXPECT_GT(evaluate(fitted, data).accuracy, 0.9);
}

TEST(Warnings, ADivergedOutputIsFoundWhereLossAndWeightsAreFinite) {
  const data::Dataset data = testing::make_vectors(2, 30, 5, 3, 1.0, Device::cpu(1));
  TrainingOptions options = quick(1);
  options.batch_size = 30;  // one step: its loss is that of the initial weights
  options.learning_rate = 1e25;
  EXPECT_THROW(scratch(data, options, small()), TrainingDiverged);
}

}  // namespace
}  // namespace rtl::transfer
