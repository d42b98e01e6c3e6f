// Augmentation of images in training: its text, what models see, resumed and as replicas, and what strategies make of
// it.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "rtl/data/sampler.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/kernels/gather.hpp"
#include "rtl/layers/initialization.hpp"
#include "rtl/transfer/strategies.hpp"
#include "rtl/transfer/training.hpp"
#include "support/devices.hpp"
#include "transfer/replica_runs.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using data::Normalization;
using kernels::ImageAugmentation;
using testing::Folder;

constexpr std::int64_t samples = 50, classes = 4, extent = 8;

TEST(AugmentationText, IsReadAndWritten) {
  EXPECT_EQ(parse_augmentation("none"), ImageAugmentation());
  EXPECT_EQ(to_string(ImageAugmentation()), "none");
  const ImageAugmentation all = parse_augmentation("flip,cutout=8,crop=4,brightness=0.25");
  EXPECT_EQ(all, (ImageAugmentation{.crop = 4, .flip = true, .brightness = 0.25, .cutout = 8}));
  EXPECT_EQ(to_string(all), "crop=4,flip,brightness=0.25,cutout=8");
  EXPECT_EQ(parse_augmentation(to_string(all)), all);
  EXPECT_EQ(to_string(parse_augmentation("resized_crop=0.5")), "resized_crop=0.5");
  EXPECT_EQ(to_string(parse_augmentation("crop=0")), "none");
}

TEST(AugmentationText, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> faults[] = {
      {"spin", "'spin' is unknown"},
      {"", "'' is unknown"},
      {"flip,", "'' is unknown"},
      {"flip=1", "flip takes no number"},
      {"crop", "crop takes a number"},
      {"crop=-1", "crop must be a whole number of at least 0, not '-1'"},
      {"flip,flip", "flip stands there"},
      {"resized_crop=2", "resized_crop must be a number in [0, 1], not '2'"},
      {"crop=x", "not 'x'"},
      {"none,flip", "'none' is unknown"}};
  for (const auto& [text, fault] : faults) {
    try {
      parse_augmentation(text);
      ADD_FAILURE() << text;
    } catch (const ValueError& error) {
      const std::string said = error.what();
      EXPECT_NE(said.find(fault), std::string::npos) << said;
      EXPECT_NE(said.find("crop=NUMBER, resized_crop=NUMBER, flip, brightness=NUMBER, cutout=NUMBER"),
                std::string::npos)
          << said;
    }
  }
}

TEST(AugmentationText, IsAnOptionOfTrainings) {
  TrainingOptions options;
  const std::uint64_t plain = options.hash();
  fill_options(options, {{"augment", "flip,crop=2"}});
  EXPECT_EQ(option_values(options).at("augment"), "crop=2,flip");
  EXPECT_NE(options.hash(), plain);
  options.augment.crop = -1;
  EXPECT_THROW(options.validate(), ValueError);
}

/// The images of one epoch as a network of the seed sees them, at the rows that they come from.
data::Dataset augmented(const data::Dataset& dataset, const TrainingOptions& options) {
  const Device device = dataset.inputs.device();
  data::BatchSampler sampler(dataset.size(), options.batch_size, options.seed, true, 2);
  sampler.start_epoch(0);
  const Tensor order =
      Tensor::from(std::vector<std::int64_t>(sampler.order().begin(), sampler.order().end()), {dataset.size()}, device);
  const Tensor one = Tensor::from(std::vector<float>{1, 1, 1}, {3}, device);
  const Tensor zero = Tensor::zeros({3}, DType::f32, device);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(dataset.inputs.count()));
  std::int64_t begin = 0;
  for (std::int64_t step = 0; step < sampler.batches(); ++step) {
    const auto rows = sampler.batch(step);
    const auto count = static_cast<std::int64_t>(rows.size());
    const auto seed = static_cast<std::int64_t>(options.seed);
    const Tensor counters = Tensor::from(std::vector<std::int64_t>{seed, step, begin, step}, {4}, device);
    Tensor out(dataset.inputs.shape().with(0, count), DType::f32, device);
    kernels::gather_augmented_images(device, dataset.inputs, order, one, zero, options.augment,
                                     layers::stream_of("images"), counters, out);
    const std::vector<float> values = out.to_vector<float>();
    const std::size_t size = values.size() / rows.size();
    for (std::size_t i = 0; i < values.size(); ++i) {
      bytes[static_cast<std::size_t>(rows[i / size]) * size + i % size] = static_cast<std::uint8_t>(values[i]);
    }
    begin += count;
  }
  data::Dataset made = dataset.clone();
  made.inputs = Tensor::from(bytes, dataset.inputs.shape(), device);
  return made;
}

TEST(Augmentation, NetworksTrainOnWhatTheKernelMakes) {
  for (const Device& device : testing::devices()) {
    for (const Precision precision : {Precision::f32, Precision::bf16}) {
      SCOPED_TRACE(device.name() + " " + to_string(precision));
      const data::Dataset plain = testing::make_images(1, samples, classes, extent, device);
      TrainingOptions options = testing::quick(1);
      options.precision = precision;
      const auto trained = [&](const data::Dataset& data, const std::string& augment) {
        const auto network = testing::make("resnet_cifar", "8", {extent, extent, 3}, classes, 11, device);
        options.augment = parse_augmentation(augment);
        train(*network, data, Normalization::half, options);
        return testing::values_of(network->state());
      };
      const std::string changes = "crop=2,flip,brightness=0.5";
      options.augment = parse_augmentation(changes);
      const data::Dataset changed = augmented(plain, options);
      EXPECT_TRUE(testing::same_bytes(trained(plain, changes), trained(changed, "none")));
      EXPECT_FALSE(testing::same_bytes(trained(plain, "none"), trained(changed, "none")));
    }
  }
}

const char* const changes[] = {"flip", "crop=2,flip,cutout=4", "resized_crop=0.3,brightness=0.4"};

TrainingOptions options_with(const std::string& augment, std::int64_t epochs, std::uint64_t seed, double mixup = 0) {
  TrainingOptions options = testing::quick(epochs, seed);
  options.augment = parse_augmentation(augment);
  options.mixup = mixup;
  return options;
}

TEST(Augmentation, ResumesBitForBit) {
  const Device device = Device::cpu(1);
  for (const char* change : changes) {
    SCOPED_TRACE(change);
    const data::Dataset data = testing::make_images(1, samples, classes, extent, device);
    TrainingOptions options = options_with(change, 4, 7, 0.4);
    const auto trained = [&] {
      const auto network = testing::make("resnet_cifar", "8", {extent, extent, 3}, classes, 11, device);
      train(*network, data, Normalization::half, options);
      return testing::values_of(network->state());
    };
    const std::vector<float> whole = trained();
    const Folder folder;
    options.checkpoint = folder / "state";
    options.checkpoint_interval = 1;
    options.resume = true;
    int epochs = 0;
    options.stop = [&epochs] { return ++epochs == 2; };
    EXPECT_FALSE(testing::same_bytes(trained(), whole));
    // Another augmentation is another training.
    TrainingOptions same = options;
    options.augment.flip = !options.augment.flip;
    EXPECT_THROW(trained(), ValueError);
    options = same;
    EXPECT_TRUE(testing::same_bytes(trained(), whole));
  }
}

TEST(Augmentation, OfReplicasIsThatOfSeparateTrainings) {
  for (const Device& device : test::devices_and_threads()) {
    const data::Dataset data = testing::make_images(1, 37, classes, extent, device);
    for (const char* change : changes) {
      SCOPED_TRACE(test::name_of(device) + ", " + change);
      testing::expect_replicas_as_separate([&](std::uint64_t r) -> testing::NetworkTraining {
        return {testing::make("paper_cnn", "4-4-4-6", {extent, extent, 3}, classes, 30 + r, device),
                {&data, Normalization::half, {}},
                options_with(change, r == 1 ? 1 : 2, 5 + r)};
      });
    }
  }
}

/// Two weights, whose gradients are the means of the inputs of a batch and of those of the second data set.
class Means final : public Trainable {
 public:
  explicit Means(const Device& device)
      : weights_{.name = "weights", .storage = graph::Storage(Tensor::zeros({2}, DType::f32, device))} {}
  graph::Value outputs(const Batch& batch, const layers::ForwardContext&) override {
    return graph::fill(batch.inputs.graph(), 0, {batch.inputs.extent(0), classes}, DType::f32);
  }
  layers::ModuleState state() override { return {{{weights_.name, &weights_}}, {}}; }
  bool wants_inputs() const override { return true; }
  std::vector<graph::Value> objectives(const TrainingBatch& batch, const layers::ForwardContext& context) override {
    const graph::Value weights = context.read(batch.inputs, weights_);
    const auto term = [&](const graph::Value& inputs, std::int64_t at) {
      return graph::multiply(graph::reshape(graph::mean(inputs), {1}), graph::slice(weights, 0, at, at + 1));
    };
    return {graph::add(term(batch.inputs, 0), term(batch.source->inputs, 1))};
  }
  std::vector<float> values() const { return weights_.value().to_vector<float>(); }

 private:
  layers::Parameter weights_;
};

TEST(Augmentation, ReachesTheSecondDataSetToo) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = testing::make_images(1, samples, classes, extent, device);
    const data::Dataset other = testing::make_images(2, samples, classes, extent, device);
    const auto means = [&](const std::string& augment, double mixup) {
      const TrainingData source{&other, Normalization::half, {}};
      Means model(device);
      TrainingOptions options = options_with(augment, 1, 3, mixup);
      options.batch_size = samples;
      options.momentum = 0;
      train(model, {&data, Normalization::half, {}, &source}, options);
      return model.values();
    };
    // Black borders lower the mean of both; a flip leaves it.
    const std::vector<float> plain = means("none", 0), cropped = means("crop=3", 0), flipped = means("flip", 0);
    for (const std::size_t i : {0, 1}) {
      EXPECT_GT(cropped[i], plain[i] + 1e-4F);  // the weights go against the gradient
      EXPECT_NEAR(flipped[i], plain[i], 1e-6);
    }
    // What mixup adds, in shares of about a half, is augmented as well.
    const float lower = cropped[0] - plain[0];
    EXPECT_NEAR(means("crop=3", 200)[0] - means("none", 200)[0], lower, 0.25 * lower);
  }
}

TEST(Augmentation, IsForImagesThatAreLargeEnough) {
  const Device device = Device::cpu(1);
  const auto message = [&](const data::Dataset& data, const std::string& augment) -> std::string {
    const bool images = data.has_images();
    const auto network = testing::make(images ? "paper_cnn" : "mlp", images ? "4-4-4-6" : "none", data.sample_shape(),
                                       classes, 1, device);
    try {
      train(*network, data, images ? Normalization::half : Normalization::none, options_with(augment, 1, 1));
    } catch (const ValueError& error) {
      return error.what();
    }
    return "";
  };
  const data::Dataset images = testing::make_images(1, 20, classes, extent, device);
  const data::Dataset vectors = testing::make_vectors(1, 20, 5, classes, 1.0, device);
  EXPECT_EQ(message(images, "crop=7,cutout=8"), "");
  EXPECT_NE(message(images, "crop=8").find("crop is 8, but must be below 8 for images of 8 x 8"), std::string::npos);
  EXPECT_NE(message(images, "crop=1,resized_crop=0.5").find("exclude"), std::string::npos);
  EXPECT_EQ(message(vectors, "none"), "");
  EXPECT_EQ(message(vectors, "flip"),
            "train: augment is flip, but gaussians has vectors; only images can be augmented");

  const auto network = testing::make("paper_cnn", "4-4-4-6", {extent, extent, 3}, classes, 1, device);
  WholeNetwork model(*network);
  const TrainingData data{&images, Normalization::half, {}};
  const Replica replicas[] = {{&model, data, options_with("flip", 1, 1)}, {&model, data, options_with("crop=1", 1, 1)}};
  EXPECT_THROW(train_replicas(replicas), ValueError);
}

/// Frozen features are those of the images as they are, so what looks at them alone is trained as without.
TEST(Augmentation, LeavesFrozenFeaturesAlone) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, samples, classes, extent, device);
  const FrozenSource source(testing::make("paper_cnn", "4-4-4-6", {extent, extent, 3}, classes, 3, device),
                            Normalization::half, "source");
  StrategyOptions options;
  options.model = "paper_cnn:4-4-4-6";
  const auto fitted = [&](const std::string& strategy, const std::string& augment) {
    const Fitted made = fit(strategy, {source}, data, options_with(augment, 2, 1), options);
    return testing::values_of(made.state());
  };
  for (const auto& [strategy, changes_it] :
       {std::pair{"probe", false}, std::pair{"nearest-mean", false}, std::pair{"adapter", false},
        std::pair{"refine", true}, std::pair{"fine-tune", true}, std::pair{"distill", true}, std::pair{"delta", true},
        std::pair{"safe", true}}) {
    EXPECT_EQ(static_cast<bool>(testing::same_bytes(fitted(strategy, "crop=2,flip"), fitted(strategy, "none"))),
              !changes_it)
        << strategy;
  }
}

}  // namespace
}  // namespace rtl::transfer
