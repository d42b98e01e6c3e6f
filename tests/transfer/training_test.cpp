// The training loop: it learns, repeats itself bit for bit, and survives being stopped and killed.
#include "rtl/transfer/training.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "rtl/transfer/metrics.hpp"
#include "support/devices.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using data::Normalization;
using testing::Folder;

/// Batch norm (buffers) and dropout are in what these tests train.
std::unique_ptr<layers::Network> small_network(int kind, const Device& device) {
  if (kind == 0) return testing::make("paper_cnn", "4-4-8-16", {8, 8, 3}, 4, 11, device);
  return testing::make("resnet_cifar", "8", {8, 8, 3}, 4, 11, device);
}

std::vector<float> trained(int kind, const TrainingOptions& options, const Device& device,
                           TrainingRecord* record = nullptr) {
  const data::Dataset data = testing::make_images(1, 50, 4, 8, device);
  const auto network = small_network(kind, device);
  const TrainingRecord made = train(*network, data, Normalization::half, options);
  if (record) *record = made;
  return testing::values_of(network->state());
}

TEST(Training, LearnsOnEveryDevice) {
  for (const Device& device : testing::devices()) {
    SCOPED_TRACE(device.name());
    const data::Dataset data = testing::make_vectors(2, 120, 5, 3, 4.0, device);
    const auto network = testing::make("mlp", "16", {5}, 3, 1, device);
    TrainingOptions options = testing::quick(15);
    options.learning_rate = 0.05;
    const TrainingRecord record = train(*network, data, Normalization::half, options);
    EXPECT_EQ(record.losses.size(), 15U);
    EXPECT_EQ(record.steps, 15 * 8);
    EXPECT_TRUE(record.complete);
    EXPECT_LT(record.losses.back(), record.losses.front() / 2);
    EXPECT_GT(score(predict(*network, data, Normalization::half), data).accuracy, 0.9);
  }
}

TEST(Training, LossIsTheMeanOverSamples) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_vectors(2, 37, 5, 3, 1.0, device);
  const auto network = testing::make("mlp", "4", {5}, 3, 1, device);
  const std::vector<float> logits = predict(*network, data, Normalization::half).to_vector<float>();
  const std::vector<std::int32_t> labels = data.labels.to_vector<std::int32_t>();
  double loss = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    double sum = 0;
    for (std::size_t c = 0; c < 3; ++c) sum += std::exp(static_cast<double>(logits[i * 3 + c]));
    loss += std::log(sum) - static_cast<double>(logits[i * 3 + static_cast<std::size_t>(labels[i])]);
  }
  TrainingOptions options = testing::quick(1);
  options.learning_rate = 1e-9;  // the last batch is partial: 16 + 16 + 5
  EXPECT_NEAR(train(*network, data, Normalization::half, options).losses.at(0), loss / 37, 1e-5);
}

TEST(Training, SameSeedSameBytesAtOneAndTwoThreads) {
  for (const int threads : {1, 2}) {
    for (const int kind : {0, 1}) {
      SCOPED_TRACE(threads * 10 + kind);
      const std::vector<float> first = trained(kind, testing::quick(), Device::cpu(threads).separate());
      EXPECT_TRUE(testing::same_bytes(first, trained(kind, testing::quick(), Device::cpu(threads).separate())));
      EXPECT_FALSE(testing::same_bytes(first, trained(kind, testing::quick(3, 8), Device::cpu(threads).separate())));
    }
  }
}

TEST(Training, SameSeedSameBytesOnEveryDevice) {
  for (const Device& device : test::devices()) {
    EXPECT_TRUE(testing::same_bytes(trained(0, testing::quick(2), device), trained(0, testing::quick(2), device)));
  }
}

struct ResumeCase {
  int kind;
  OptimizerKind optimizer;
  ScheduleKind schedule;
  double flips;
  bool each_epoch;
};

TrainingOptions options_of(const ResumeCase& one) {
  TrainingOptions options = testing::quick(5);
  options.optimizer = one.optimizer;
  options.schedule = one.schedule;
  options.schedule_epochs = 2;
  options.label_flips = one.flips;
  options.flip_each_epoch = one.each_epoch;
  options.weight_decay = 0.01;
  options.checkpoint_interval = 1;
  return options;
}

const ResumeCase resume_cases[] = {{0, OptimizerKind::sgd, ScheduleKind::constant, 0, false},
                                   {1, OptimizerKind::sgd, ScheduleKind::step, 0.3, true},
                                   {0, OptimizerKind::adam, ScheduleKind::cosine, 0.3, false},
                                   {1, OptimizerKind::adamw, ScheduleKind::constant, 0, false}};

TEST(Training, StoppedAndResumedEqualsUninterrupted) {
  for (const ResumeCase& one : resume_cases) {
    SCOPED_TRACE(to_string(one.optimizer));
    const Folder folder;
    const Device device = Device::cpu(1);
    TrainingOptions options = options_of(one);
    TrainingRecord whole;
    const std::vector<float> expected = trained(one.kind, options, device, &whole);
    options.checkpoint = folder / "state";
    options.resume = true;
    int asked = 0;
    options.stop = [&asked] { return ++asked == 2; };
    TrainingRecord part;
    EXPECT_FALSE(testing::same_bytes(trained(one.kind, options, device, &part), expected));
    EXPECT_FALSE(part.complete);
    EXPECT_EQ(part.losses.size(), 2U);
    EXPECT_EQ(folder.files(), 1U);
    options.stop = nullptr;
    TrainingRecord rest;
    std::int64_t epochs = 0;
    options.progress = [&epochs](const Progress&) { ++epochs; };
    EXPECT_TRUE(testing::same_bytes(trained(one.kind, options, device, &rest), expected));
    EXPECT_EQ(epochs, 3);
    EXPECT_EQ(rest.losses, whole.losses);
    EXPECT_EQ(folder.files(), 0U);  // nothing is left of a complete training
  }
}

TEST(Training, KilledAndResumedEqualsUninterrupted) {
  const Folder folder;
  TrainingOptions options = options_of(resume_cases[1]);
  const std::vector<float> expected = trained(1, options, Device::cpu(1).separate());
  options.checkpoint = folder / "state";
  options.resume = true;
  const pid_t child = ::fork();
  if (child == 0) {
    options.progress = [](const Progress& progress) {
      if (progress.epoch == 3) ::kill(::getpid(), SIGKILL);
    };
    trained(1, options, Device::cpu(1).separate());
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  ASSERT_TRUE(io::file_exists(options.checkpoint));
  EXPECT_TRUE(testing::same_bytes(trained(1, options, Device::cpu(1).separate()), expected));
}

TEST(Training, L2spHoldsTheWeightsAtTheirStart) {
  const Device device = Device::cpu(1);
  const std::vector<float> start = testing::values_of(small_network(0, device)->state());
  const auto distance = [&](OptimizerKind optimizer, double strength) {
    TrainingOptions options = testing::quick(4);
    options.optimizer = optimizer;
    options.l2sp_strength = strength;
    const std::vector<float> end = trained(0, options, device);
    double sum = 0;
    for (std::size_t i = 0; i < end.size(); ++i) sum += std::pow(end[i] - start[i], 2);
    return std::sqrt(sum);
  };
  for (const OptimizerKind optimizer : {OptimizerKind::sgd, OptimizerKind::adam}) {
    const double free = distance(optimizer, 0), held = distance(optimizer, 5);
    EXPECT_GT(held, 0);
    EXPECT_LT(held, 0.7 * free) << to_string(optimizer);
  }
  // The start survives a stop: the weights are drawn to those of the first call.
  const testing::Folder folder;
  TrainingOptions options = testing::quick(4);
  options.l2sp_strength = 5;
  const std::vector<float> whole = trained(0, options, device);
  options.checkpoint = folder / "state";
  options.checkpoint_interval = 1;
  options.resume = true;
  int epochs = 0;
  options.stop = [&epochs] { return ++epochs == 2; };
  TrainingRecord record;
  trained(0, options, device, &record);
  EXPECT_FALSE(record.complete);
  EXPECT_TRUE(testing::same_bytes(trained(0, options, device, &record), whole));
  EXPECT_TRUE(record.complete);
}

TEST(Training, CheckpointOfAnotherTrainingIsToldAndKept) {
  const Folder folder;
  const Device device = Device::cpu(1);
  TrainingOptions options = options_of(resume_cases[0]);
  options.checkpoint = folder / "state";
  options.resume = true;
  options.stop = [] { return true; };
  trained(0, options, device);
  ASSERT_EQ(folder.files(), 1U);
  options.stop = nullptr;
  const io::Bytes kept = io::read_file(options.checkpoint);
  const auto refused = [&](const TrainingOptions& other, const Device& where) {
    try {
      trained(0, other, where);
    } catch (const ValueError& error) {
      EXPECT_EQ(io::read_file(options.checkpoint), kept);
      return std::string(error.what());
    }
    return std::string();
  };
  TrainingOptions other = options;
  other.learning_rate = 0.02;
  other.resume = false;
  EXPECT_NE(refused(other, device).find("it is another training's, which is kept: "), std::string::npos);
  other.resume = true;
  EXPECT_NE(refused(other, device).find("learning rate is 0.02 here and 0.01 there"), std::string::npos)
      << refused(other, device);
  EXPECT_NE(refused(options, Device::cpu(2)).find("threads is 2 here and 1 there"), std::string::npos);
  other = options;
  other.seed += 1;
  EXPECT_NE(refused(other, device).find("seed is"), std::string::npos);
}

TEST(Training, CheckpointThatIsDamagedIsToldAndNotUsed) {
  const Folder folder;
  TrainingOptions options = options_of(resume_cases[0]);
  const std::vector<float> expected = trained(0, options, Device::cpu(1));
  options.checkpoint = folder / "state";
  options.resume = true;
  std::string told;
  options.notice = [&told](const std::string& text) { told += text; };
  for (const std::string& content : {std::string(), std::string("not a checkpoint at all")}) {
    io::write_file(options.checkpoint, content);
    told.clear();
    EXPECT_TRUE(testing::same_bytes(trained(0, options, Device::cpu(1)), expected));
    EXPECT_NE(told.find("starts from its beginning"), std::string::npos) << told;
    EXPECT_EQ(told.find(options.checkpoint), 0u) << told;
  }
}

TEST(Training, CheckpointThatCannotBeWrittenIsAnError) {
  const Folder folder;
  TrainingOptions options = options_of(resume_cases[0]);
  options.checkpoint = folder / "missing/state";
  EXPECT_THROW(trained(0, options, Device::cpu(1)), IoError);
}

TEST(Training, FlippedLabelsHurt) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_vectors(2, 200, 5, 4, 4.0, device);
  const auto accuracy = [&](double flips) {
    const auto network = testing::make("mlp", "16", {5}, 4, 1, device);
    TrainingOptions options = testing::quick(15);
    options.label_flips = flips;
    options.learning_rate = 0.05;
    train(*network, data, Normalization::half, options);
    return score(predict(*network, data, Normalization::half), data).accuracy;
  };
  EXPECT_GT(accuracy(0), 0.9);
  EXPECT_LT(accuracy(1), 0.2);  // every label wrong
}

TEST(Training, DoublePrecisionTrains) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
  const auto network = layers::make_network({"paper_cnn", "4-4-8-16", {8, 8, 3}, 4}, device, 3, DType::f64);
  const TrainingRecord record = train(*network, data, Normalization::half, testing::quick(2));
  EXPECT_TRUE(record.complete);
  EXPECT_EQ(predict(*network, data, Normalization::half).dtype(), DType::f32);
}

TEST(Training, ValuesThatAnEnumerationDoesNotHaveAreErrors) {
  EXPECT_THROW(to_string(static_cast<OptimizerKind>(9)), ValueError);
  EXPECT_THROW(to_string(static_cast<ScheduleKind>(77)), ValueError);
  TrainingOptions options = testing::quick(1);
  options.optimizer = static_cast<OptimizerKind>(9);
  EXPECT_THROW((void)options.hash(), ValueError);
}

TEST(Training, HashIsOfWhatDecidesTheResult) {
  const TrainingOptions plain;
  std::set<std::uint64_t> hashes{plain.hash()};
  // Another value of each option, of its choices or in every range that there is.
  for (const OptionInfo& info : describe_options<TrainingOptions>()) {
    TrainingOptions other;
    const std::string number = info.range.ends_with(")") ? "0.5" : info.default_value == "1" ? "2" : "1";
    const std::string text = info.name == "augment" ? "flip" : number;
    fill_options(other, {{info.name, info.choices.empty() ? text : info.choices.back()}});
    EXPECT_EQ(hashes.insert(other.hash()).second, info.name != "checkpoint_interval") << info.name;
  }
  for (const auto& change : {+[](TrainingOptions& options) { options.seed = 1; },
                             +[](TrainingOptions& options) { options.flip_seed = 0; }}) {
    TrainingOptions other;
    change(other);
    EXPECT_TRUE(hashes.insert(other.hash()).second);
  }
  TrainingOptions elsewhere;
  elsewhere.checkpoint = "x";
  elsewhere.resume = true;
  EXPECT_EQ(elsewhere.hash(), plain.hash());
}

TEST(Training, BadArgumentsAreNamed) {
  const Device device = Device::cpu(1);
  data::Dataset data = testing::make_vectors(2, 30, 5, 3, 1.0, device);
  const auto network = testing::make("mlp", "4", {5}, 3, 1, device);
  const auto attempt = [&](auto change) {
    TrainingOptions options = testing::quick(1);
    change(options);
    train(*network, data, Normalization::half, options);
  };
  EXPECT_THROW(attempt([](auto& options) { options.batch_size = 0; }), ValueError);
  EXPECT_THROW(attempt([](auto& options) { options.learning_rate = 0; }), ValueError);
  EXPECT_THROW(attempt([](auto& options) { options.momentum = 1; }), ValueError);
  EXPECT_THROW(attempt([](auto& options) { options.label_flips = 1.5; }), ValueError);
  EXPECT_THROW(attempt([](auto& options) { options.epochs = -1; }), ValueError);
  EXPECT_THROW(attempt([](auto& options) { options.weight_decay = NAN; }), ValueError);
  EXPECT_THROW(attempt([](auto& options) { options.nesterov = true, options.momentum = 0; }), ValueError);
  EXPECT_THROW(parse_optimizer("sdg"), ValueError);
  EXPECT_EQ(parse_schedule("cosine"), ScheduleKind::cosine);
  const auto wide = testing::make("mlp", "4", {6}, 3, 1, device);
  EXPECT_THROW(train(*wide, data, Normalization::half, testing::quick(1)), ShapeError);
  const auto more_classes = testing::make("mlp", "4", {5}, 4, 1, device);
  EXPECT_THROW(train(*more_classes, data, Normalization::half, testing::quick(1)), ShapeError);
  data.inputs.data_as<float>()[7] = NAN;
  EXPECT_THROW(attempt([](auto&) {}), ValueError);
}

/// What a training at these settings throws; fails the test if it ends.
TrainingDiverged divergence(const TrainingOptions& options, const Device& device, DType dtype = DType::f32) {
  const data::Dataset data = testing::make_vectors(2, 37, 5, 3, 1.0, device);
  const auto network = layers::make_network({"mlp", "4", {5}, 3}, device, 1, dtype);
  try {
    train(*network, data, Normalization::none, options);
  } catch (const TrainingDiverged& error) {
    return error;
  }
  ADD_FAILURE() << "the training ended";
  return {"", 0, 0, 0};
}

TEST(Training, ADivergedTrainingSaysWhereAndWhatToDo) {
  for (const Device& device : testing::devices()) {
    SCOPED_TRACE(device.name());
    TrainingOptions options = testing::quick(3);
    options.learning_rate = 1e30;
    const TrainingDiverged error = divergence(options, device);
    EXPECT_EQ(error.epoch(), 1);
    EXPECT_EQ(error.step(), 2) << error.what();  // the first step's loss is that of the initial weights
    EXPECT_EQ(error.learning_rate(), 1e30);
    const std::string text = error.what();
    for (const char* part : {"epoch 1, step 2 of 3", "1e+30", "lower the learning rate"}) {
      EXPECT_NE(text.find(part), std::string::npos) << text;
    }
    const TrainingDiverged later = divergence(
        [&] {
          TrainingOptions growing = testing::quick(200);
          growing.learning_rate = 1e-30;  // and 1e8 times as much after every epoch
          growing.schedule = ScheduleKind::step;
          growing.schedule_epochs = 1;
          growing.schedule_factor = 1e8;
          return growing;
        }(),
        device);
    EXPECT_GT(later.epoch(), 4);
    EXPECT_GT(later.learning_rate(), 1);
  }
}

TEST(Training, AWeightThatIsNoNumberIsFoundWhereNoLossShowsIt) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_vectors(2, 30, 5, 3, 1.0, device);
  const auto network = testing::make("mlp", "4", {5}, 3, 1, device);
  TrainingOptions options = testing::quick(1);
  options.batch_size = 30;  // one step: its loss is that of the initial weights
  options.learning_rate = 1e300;
  EXPECT_THROW(train(*network, data, Normalization::none, options), TrainingDiverged);
}

TEST(Training, ALastBatchOfOneSampleJoinsTheOneBeforeWhereBatchNormNeedsIt) {
  for (const Device& device : testing::devices()) {
    // The last maps of a ResNet have one pixel for images of 4 by 4: a batch of one sample has no variance there.
    const data::Dataset data = testing::make_images(1, 33, 4, 4, device);
    const auto network = testing::make("resnet_cifar", "8", {4, 4, 3}, 4, 11, device);
    const TrainingRecord record = train(*network, data, Normalization::half, testing::quick(2));  // batches of 16
    EXPECT_TRUE(record.complete);
    EXPECT_EQ(record.steps, 2 * 2);
    const auto plain = testing::make("paper_cnn", "4-4-8-16", {8, 8, 3}, 4, 11, device);
    EXPECT_EQ(train(*plain, testing::make_images(1, 33, 4, 8, device), Normalization::half, testing::quick(2)).steps,
              2 * 3);
    TrainingOptions one = testing::quick(1);
    one.batch_size = 1;
    EXPECT_THROW(train(*network, data, Normalization::half, one), Error) << "batches of one were asked for";
  }
}

TEST(Training, OneClassOrTooFewSamplesAreErrors) {
  const Device device = Device::cpu(1);
  data::Dataset data = testing::make_vectors(2, 30, 5, 3, 1.0, device);
  const auto network = testing::make("mlp", "4", {5}, 3, 1, device);
  data.labels = Tensor::zeros({30}, DType::i32, device);
  EXPECT_THROW(train(*network, data, Normalization::half, testing::quick(1)), ValueError);
  const data::Dataset few = testing::make_vectors(2, 30, 5, 3, 1.0, device).subset(std::vector<std::int64_t>{0, 1});
  EXPECT_THROW(train(*network, few, Normalization::half, testing::quick(1)), ValueError);
}

}  // namespace
}  // namespace rtl::transfer
