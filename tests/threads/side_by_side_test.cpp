// Two threads that load, train, predict, solve and advise give what one gives, on one handle of a device, on devices of
// their own, and where they share a feature cache. In the `tsan` preset ThreadSanitizer watches. OpenMP's runtime is
// not instrumented, so every device here has one thread: no team forms.
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <filesystem>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "rtl/rtl.hpp"
#include "support/temporary_folder.hpp"
#include "transfer/support.hpp"

namespace rtl {
namespace {

using Values = std::vector<double>;

void append(Values& values, const Tensor& tensor) {
  if (tensor.dtype() == DType::f64) {
    const std::vector<double> more = tensor.to_vector<double>();
    values.insert(values.end(), more.begin(), more.end());
  } else {
    const std::vector<float> more = tensor.to_vector<float>();
    values.insert(values.end(), more.begin(), more.end());
  }
}

/// One host thread; in an EMULATED build the emulator as well.
std::vector<Device> devices_of_one_thread() {
  std::vector<Device> found{Device::cpu(1)};
  if (Device::cuda_count() > 0) found.push_back(Device::cuda(0));
  return found;
}

const char* const small_images = "glyphs:?train=24&test=12&size=8&classes=3";

/// A trained network with convolutions and batch norms, as a file.
std::string write_network(const test::TemporaryFolder& folder) {
  const Device device = Device::cpu(1);
  auto network = transfer::testing::make("resnet_cifar", "8", {8, 8, 3}, 3, 1, device);
  layers::save_network(folder / "source.safetensors", *network, data::Normalization::half);
  return folder / "source.safetensors";
}

/// What a program does that adapts a network: every step allocates on `device`, and beside it.
Values adapt(const std::string& source_file, const std::string& own_file, const Device& device,
             transfer::FeatureCache* cache) {
  const data::TrainTest target = data::load(small_images, device);
  const transfer::FrozenSource source(layers::load_network(source_file, device).network);
  transfer::TrainingOptions training = transfer::testing::quick(2);
  training.optimizer = transfer::OptimizerKind::adam;
  training.checkpoint = own_file + ".checkpoint";
  training.checkpoint_interval = 1;
  transfer::StrategyOptions options;
  options.model = "resnet_cifar:8";
  options.cache = cache;
  options.device = device;
  const transfer::Fitted fitted = transfer::refine({source}, target.train, training, options);
  fitted.save(own_file);
  const transfer::Fitted read = transfer::Fitted::load(own_file, device);
  Values values;
  append(values, fitted.outputs(target.test, cache));
  append(values, read.outputs(target.test));
  append(values, source.features(target.test));
  values.push_back(transfer::evaluate(read, target.test).accuracy);
  return values;
}

/// Ridge paths, an advisor and a task ensemble.
Values solve(std::uint64_t seed, const Device& device) {
  std::uint64_t stream = 0;
  const auto normal = [&](const Shape& shape) {
    return Tensor::from(theory::standard_normals(seed, ++stream, shape.count()), shape, device);
  };
  const Tensor x0 = normal({40, 6}), y0 = normal({40, 2}), x1 = normal({20, 6}), y1 = normal({20, 2});
  Values values;
  const solvers::RidgePath path(device, x1, y1, {}, {});
  append(values, path.coefficients(0.1));
  const solvers::L2SPSource source(device, x0, y0);
  const transfer::TransferAdvisor advisor(device, source, x1, y1);
  append(values, advisor.coefficients());
  values.push_back(advisor.report().trust);
  solvers::TaskEnsemble ensemble(Tensor::from(Values{2, 0.5, 0.5, 1}, {2, 2}, device).view());
  for (int task = 0; task < 4; ++task) {
    const Tensor x = normal({10, 2});
    ensemble.add(x, normal({10}));
  }
  append(values, ensemble.moments(solvers::MomentCleaning::floor).omega);
  return values;
}

/// work(i) on two threads at once.
template <typename Work>
void on_two_threads(const Work& work) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) threads.emplace_back([&work, i] { work(i); });
  for (std::thread& thread : threads) thread.join();
}

TEST(SideBySide, TwoThreadsAdaptAsOneDoes) {
  const test::TemporaryFolder folder;
  const std::string source = write_network(folder);
  for (const Device& device : devices_of_one_thread()) {
    SCOPED_TRACE(device.name());
    const Values alone = adapt(source, folder / "alone", device.separate(), nullptr);
    for (const bool one_handle : {true, false}) {
      Values results[2];
      on_two_threads([&](int i) {
        const Device own = one_handle ? device : device.separate();
        results[i] = adapt(source, folder / std::to_string(i), own, nullptr);
      });
      EXPECT_EQ(results[0], alone);
      EXPECT_EQ(results[1], alone);
    }
  }
}

TEST(SideBySide, TwoThreadsShareAFeatureCache) {
  const test::TemporaryFolder folder;
  const std::string source = write_network(folder);
  const Values alone = adapt(source, folder / "alone", Device::cpu(1).separate(), nullptr);
  for (const bool on_disk : {false, true}) {
    transfer::FeatureCache cache(on_disk ? folder / "cache" : std::string());
    Values results[2];
    on_two_threads([&](int i) { results[i] = adapt(source, folder / std::to_string(i), Device::cpu(1), &cache); });
    EXPECT_EQ(results[0], alone);
    EXPECT_EQ(results[1], alone);
    EXPECT_EQ(cache.statistics().computed, 2) << "features of two parts";
  }
}

TEST(SideBySide, TwoThreadsSolveAsOneDoes) {
  const std::uint64_t seed = 11;
  for (const Device& device : devices_of_one_thread()) {
    SCOPED_TRACE(device.name());
    const Values alone[2] = {solve(seed, device), solve(seed + 1, device)};
    Values results[2];
    on_two_threads([&](int i) {
      for (int turn = 0; turn < 5; ++turn) results[i] = solve(seed + static_cast<std::uint64_t>(i), device);
    });
    EXPECT_EQ(results[0], alone[0]);
    EXPECT_EQ(results[1], alone[1]);
  }
}

transfer::Comparison compare_runs(const data::TrainTest& target, const transfer::FrozenSource& source, int workers,
                                  const std::string& state, bool resume, int stop_after) {
  transfer::CompareOptions options;
  options.seeds = 2;
  options.training = transfer::testing::quick(4);
  options.strategy.model = "mlp:8";
  options.workers = workers;
  options.threads_per_run = 1;
  options.state_folder = state;
  options.resume = resume;
  options.checkpoint_interval = 1;
  std::atomic<int> asked{0};
  options.stop = [&asked, stop_after] { return stop_after > 0 && ++asked > stop_after; };
  return compare({source}, target, options);
}

/// The comparison at its default settings, which once corrupted the heap.
TEST(SideBySide, WorkersWithStateGiveWhatOneWorkerGives) {
  const test::TemporaryFolder folder;
  const Device device = Device::cpu(1);
  const data::TrainTest target{transfer::testing::make_vectors(1, 24, 6, 3, 1.0, device),
                               transfer::testing::make_vectors(2, 30, 6, 3, 1.0, device)};
  const transfer::FrozenSource source(transfer::testing::make("mlp", "5", {6}, 3, 3, device));
  const transfer::Comparison alone = compare_runs(target, source, 1, "", false, 0);
  const auto expect_equal = [&](const transfer::Comparison& other) {
    ASSERT_EQ(other.strategies.size(), alone.strategies.size());
    for (std::size_t i = 0; i < alone.strategies.size(); ++i) {
      EXPECT_EQ(other.strategies[i].accuracy.values, alone.strategies[i].accuracy.values);
      EXPECT_EQ(other.strategies[i].losses, alone.strategies[i].losses);
    }
  };
  expect_equal(compare_runs(target, source, 2, folder / "whole", false, 0));
  for (const int stop_after : {3, 7, 12}) {
    const std::string state = folder / ("stopped" + std::to_string(stop_after));
    EXPECT_THROW(compare_runs(target, source, 2, state, false, stop_after), transfer::Interrupted);
    expect_equal(compare_runs(target, source, 2, state, true, 0));
  }
}

/// Networks with convolutions, batch norms and a smaller last batch, as replicas of one plan where there are several.
Values train_networks(std::uint64_t seed, std::size_t replicas, const Device& device) {
  const data::TrainTest target = data::load(small_images, device);
  std::vector<std::unique_ptr<layers::Network>> networks;
  std::deque<transfer::WholeNetwork> models;
  std::vector<transfer::Replica> all;
  for (std::size_t r = 0; r < replicas; ++r) {
    networks.push_back(transfer::testing::make("resnet_cifar", "8", {8, 8, 3}, 3, seed + r, device));
    all.push_back({&models.emplace_back(*networks.back()),
                   {&target.train, data::Normalization::half, {}},
                   transfer::testing::quick(2, seed + r)});
  }
  Values values;
  for (const transfer::ReplicaTraining& one : transfer::train_replicas(all)) {
    values.insert(values.end(), one.record.losses.begin(), one.record.losses.end());
  }
  for (const auto& network : networks) {
    for (const auto& parameter : network->state().parameters) append(values, parameter.value());
  }
  return values;
}

/// A plan of one network beside a plan of three, and replicas beside each other.
TEST(SideBySide, TwoThreadsTrainReplicasAsOneDoes) {
  for (const Device& device : devices_of_one_thread()) {
    SCOPED_TRACE(device.name());
    for (const std::size_t first : {1, 3}) {
      const std::size_t replicas[2] = {first, 3};
      Values alone[2], results[2];
      for (int i = 0; i < 2; ++i) alone[i] = train_networks(7, replicas[i], device);
      on_two_threads([&](int i) { results[i] = train_networks(7, replicas[i], device.separate()); });
      EXPECT_EQ(results[0], alone[0]);
      EXPECT_EQ(results[1], alone[1]);
    }
  }
}

std::size_t threads_of_this_process() {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator("/proc/self/task"), std::filesystem::directory_iterator()));
}

/// In a process of its own (ctest runs each test so): no thread appears where one was asked for.
TEST(OneThread, StaysOneThread) {
  const test::TemporaryFolder folder;
  const std::size_t before = threads_of_this_process();
  const std::string source = write_network(folder);
  adapt(source, folder / "fitted", Device::cpu(1), nullptr);
  solve(1, Device::cpu(1));
  EXPECT_EQ(threads_of_this_process(), before);
}

TEST(OneThread, ResultsLieOnTheDeviceAskedFor) {
  const test::TemporaryFolder folder;
  const Device device = Device::cpu(1).separate();  // no other context has its memory
  const data::TrainTest glyphs = data::load(small_images, device);
  io::write_npy(folder / "x.npy", Tensor::from(std::vector<float>{1, 2, 3, 4}, {4, 1}, device));
  io::write_npy(folder / "y.npy", Tensor::from(std::vector<std::int32_t>{0, 1, 0, 1}, {4}, device));
  folder.write("t.csv", "a,b,kind\n1,2,u\n3,4,v\n5,6,u\n7,8,v\n");
  folder.write("t.svmlight", "1 1:2\n2 2:1\n1 1:3\n2 2:2\n");
  std::vector<const Tensor*> results{&glyphs.train.inputs, &glyphs.test.labels};
  std::vector<data::TrainTest> loaded;
  for (const std::string& spec : {"npy:" + folder.path() + "/x.npy," + folder.path() + "/y.npy?test_fraction=0.5",
                                  "csv:" + folder.path() + "/t.csv?label=kind&test_fraction=0.5",
                                  "svmlight:" + folder.path() + "/t.svmlight?test_fraction=0.5"}) {
    loaded.push_back(data::load(spec, device));
  }
  for (const data::TrainTest& parts : loaded) {
    results.insert(results.end(), {&parts.train.inputs, &parts.train.labels, &parts.test.inputs, &parts.test.labels});
  }
  const Tensor array = io::read_npy(folder / "x.npy", device);
  const std::string network_file = write_network(folder);
  const io::SafetensorsFile file(network_file);
  const Tensor weights = file.load(file.tensors().front().name, device);
  const auto network = layers::load_network(network_file, device).network;
  results.insert(results.end(), {&array, &weights, &network->state().parameters.front().value()});
  for (const Tensor* tensor : results) {
    EXPECT_EQ(&tensor->device().context(), &device.context());
    EXPECT_EQ(tensor->device().threads(), 1);
  }
}

}  // namespace
}  // namespace rtl
