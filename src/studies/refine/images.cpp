#include "studies/refine/images.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "rtl/core/random.hpp"
#include "rtl/io/hash.hpp"
#include "rtl/layers/network.hpp"
#include "studies/cifar.hpp"

namespace rtl::studies::refine {
namespace {

/// Streams of a run's seed.
constexpr std::uint64_t rows_stream = 0x726f7773;

}  // namespace

std::string Recipe::text() const {
  return fmt::format(
      "paper_cnn:{}, f32; source: {}{} images, {} epochs; target: {} images, {} epochs; batches of {}; SGD, rate 0.01, "
      "momentum 0.9, last epoch, no augmentation",
      network, source_model == "paper_cnn" ? "" : source_model + ", ", source_images, source_epochs, target_images,
      target_epochs, batch);
}

Recipe recipe_for(std::int64_t images, const RunOptions& options) {
  Recipe recipe{small, 600, 20, 300, 20, 16};
  if (options.full()) recipe = {half_width, 2000, 20, 600, 30, 16};
  recipe.source_images = std::min(recipe.source_images, images / 2);
  recipe.target_images = std::min(recipe.target_images, images / 3);
  return recipe;
}

transfer::TrainingOptions training_for(const Recipe& recipe, std::int64_t epochs, std::uint64_t seed,
                                       const RunOptions& options) {
  transfer::TrainingOptions training;
  training.epochs = epochs;
  training.batch_size = recipe.batch;
  training.seed = seed;
  training.stop = options.stop;
  return training;
}

data::TrainTest load_cifar(const Runs& runs, int classes) {
  return studies::load_cifar(runs.data, classes, ImageSize::half);
}

Store::Facts facts_of(const std::vector<const data::TrainTest*>& images, const std::string& recipe) {
  io::Hash64 content;
  for (const data::TrainTest* one : images) content.add(one->train.input_hash()).add(one->test.input_hash());
  return {{"recipe", recipe}, transfer::detail::content_fact("images", content.value(), images.front()->train.name)};
}

Division divide(const data::Dataset& images, const Recipe& recipe, std::uint64_t seed) {
  const std::vector<std::int64_t> order = RandomSequence(seed, rows_stream).permutation(images.size());
  const std::span all(order);
  return {images.subset(all.first(static_cast<std::size_t>(recipe.source_images))),
          images.subset(all.subspan(static_cast<std::size_t>(recipe.source_images),
                                    static_cast<std::size_t>(recipe.target_images)))};
}

data::Dataset drawn(const data::Dataset& images, std::int64_t count, std::uint64_t seed) {
  const std::vector<std::int64_t> order = RandomSequence(seed, rows_stream).permutation(images.size());
  return images.subset(std::span(order).first(static_cast<std::size_t>(count)));
}

data::Dataset joined(const std::vector<data::Dataset>& parts) {
  data::Dataset all = parts.front().clone();
  std::vector<std::int32_t> labels;
  std::vector<std::uint8_t> pixels;
  for (const data::Dataset& part : parts) {
    const auto own = part.labels.to_vector<std::int32_t>();
    labels.insert(labels.end(), own.begin(), own.end());
    const auto bytes = part.inputs.to_vector<std::uint8_t>();
    pixels.insert(pixels.end(), bytes.begin(), bytes.end());
  }
  const auto count = static_cast<std::int64_t>(labels.size());
  const Shape sample = all.sample_shape();
  all.labels = Tensor::from(labels, {count}, Device::cpu(1));
  all.inputs = Tensor::from(pixels, {count, sample[0], sample[1], sample[2]}, Device::cpu(1));
  return all;
}

transfer::FrozenSource train_source(const data::Dataset& images, const Recipe& recipe, const std::string& name,
                                    const transfer::TrainingOptions& training) {
  const Device device = Device::cpu(1).separate();
  auto network = layers::make_network({.name = recipe.source_model,
                                       .variant = recipe.source_model == "paper_cnn" ? recipe.network : "",
                                       .input = images.sample_shape(),
                                       .classes = images.classes},
                                      device, training.seed);
  transfer::train(*network, images, data::Normalization::half, training);
  if (training.stop && training.stop()) throw Error("the study was stopped");
  return transfer::FrozenSource(std::move(network), data::InputNormalization(data::Normalization::half), name);
}

Target target_of(data::Dataset train, const data::Dataset& test, const Recipe& recipe, std::uint64_t seed,
                 const RunOptions& options) {
  Target target{.train = std::move(train),
                .test = test.clone(),
                .training = training_for(recipe, recipe.target_epochs, seed, options)};
  target.strategy.model = "paper_cnn:" + recipe.network;
  target.strategy.device = Device::cpu(1).separate();
  return target;
}

double source_accuracy(const transfer::FrozenSource& source, const data::Dataset& test) {
  return transfer::score(source.logits(test), test).accuracy;
}

}  // namespace rtl::studies::refine
