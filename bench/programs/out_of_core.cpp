// What data in files cost: loading, an epoch of training and the features of a frozen network, on the same samples in
// memory and mapped, one after the other in turns. Prints medians of processor and wall time, and the most memory of
// its own that the process had meanwhile.
//
// usage: rtl_out_of_core FOLDER MEBIBYTES [REPEATS [THREADS ..]]; images.npy and vectors.npy of that size are made in
// FOLDER. Behind these, --mapped leaves memory out, for data that it does not hold, and images or vectors the other.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <functional>
#include <iterator>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "rtl/core/random.hpp"
#include "rtl/data/load.hpp"
#include "rtl/io/file.hpp"
#include "rtl/io/npy.hpp"
#include "rtl/layers/network.hpp"
#include "rtl/transfer/source.hpp"
#include "rtl/transfer/training.hpp"

namespace {

using rtl::Device;
using rtl::Tensor;

constexpr std::int64_t classes = 10;

/// MiB that are no file's.
double own_memory() {
  std::ifstream status("/proc/self/status");
  double kibibytes = 0;
  for (std::string word; status >> word && word != "RssAnon:";) continue;
  status >> kibibytes;
  return kibibytes / 1024;
}

struct Cost {
  double processor = 0, wall = 0, memory = 0;
};

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

Cost cost_of(const std::function<void()>& work) {
  Cost cost;
  std::atomic<bool> done = false;
  std::thread watch([&] {
    while (!done) {
      cost.memory = std::max(cost.memory, own_memory());
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  });
  const double begin = processor_seconds();
  const auto start = std::chrono::steady_clock::now();
  work();
  cost.wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  cost.processor = processor_seconds() - begin;
  done = true;
  watch.join();
  return cost;
}

template <typename Value>
double median(std::vector<Cost> costs, Value value) {
  std::ranges::sort(costs, {}, value);
  return std::invoke(value, costs[costs.size() / 2]);
}

void print(const std::string& name, const std::vector<Cost>& costs) {
  const auto [low, high] = std::ranges::minmax(costs, {}, &Cost::processor);
  fmt::print("{:28} processor {:.2f} s ({:.2f} to {:.2f}), wall {:.2f} s, own memory {:.0f} MiB\n", name,
             median(costs, &Cost::processor), low.processor, high.processor, median(costs, &Cost::wall),
             std::ranges::max(costs, {}, &Cost::memory).memory);
}

/// Random bytes, or numbers of them, some rows at a time.
void make_array(const std::string& path, const rtl::Shape& shape, rtl::DType dtype) {
  if (rtl::io::file_exists(path)) return;
  const Device host = Device::cpu(1);
  std::string dictionary =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': (", dtype == rtl::DType::u8 ? "|u1" : "<f4");
  for (const std::int64_t extent : shape.extents()) dictionary += fmt::format("{}, ", extent);
  dictionary += "), }";
  dictionary.resize(117, ' ');
  rtl::io::AtomicFile file(path);
  file.write(std::string_view("\x93NUMPY\1\0v\0", 10));
  file.write(dictionary + "\n");
  std::vector<float> block(std::size_t{1} << 18);
  auto left = static_cast<std::int64_t>(rtl::checked_bytes(shape, dtype));
  for (std::uint64_t number = 0; left > 0; ++number) {
    const rtl::Philox random(1, number);
    for (std::size_t i = 0; i < block.size(); ++i) block[i] = static_cast<float>(random.uniform_double(i));
    const auto bytes = std::as_bytes(std::span(block));
    const auto some = std::min<std::int64_t>(left, static_cast<std::int64_t>(bytes.size()));
    file.write(bytes.first(static_cast<std::size_t>(some)));
    left -= some;
  }
  file.commit();
}

struct Data {
  std::string name;
  std::string spec;
  rtl::layers::Architecture architecture;
};

void train(const Data& data, const rtl::data::Dataset& samples, const Device& device) {
  const auto network = rtl::layers::make_network(data.architecture, device, 1);
  rtl::transfer::TrainingOptions options;
  options.epochs = 1;
  options.batch_size = 256;
  rtl::transfer::train(*network, samples, rtl::data::Normalization::none, options);
}

void extract(const Data& data, const rtl::data::Dataset& samples, const Device& device) {
  const rtl::transfer::FrozenSource source(rtl::layers::make_network(data.architecture, device, 1),
                                           rtl::data::InputNormalization(rtl::data::Normalization::none));
  source.features(samples);
}

constexpr const char* jobs[] = {"loading", "an epoch", "features"};
using Costs = std::array<std::vector<Cost>, std::size(jobs)>;

void measure(const Data& data, const Device& device, const char* limit, Costs& costs) {
  ::setenv("RTL_OUT_OF_CORE", limit, 1);
  rtl::data::Dataset samples;
  costs[0].push_back(cost_of([&] { samples = rtl::data::load(data.spec, device).train; }));
  costs[1].push_back(cost_of([&] { train(data, samples, device); }));
  costs[2].push_back(cost_of([&] { extract(data, samples, device); }));
}

void compare(const Data& data, const Device& device, int repeats, bool in_memory) {
  Costs memory, mapped;
  for (int i = 0; i < repeats; ++i) {
    if (in_memory) measure(data, device, "1T", memory);
    device.trim();
    measure(data, device, "1M", mapped);
  }
  for (std::size_t job = 0; job < std::size(jobs); ++job) {
    const std::string name = fmt::format("{} of {}", jobs[job], data.name);
    if (in_memory) print(name + ", memory", memory[job]);
    print(name + ", mapped", mapped[job]);
    if (!in_memory) continue;
    fmt::print("{:28} {:.3f} of the processor time, {:.3f} of the wall time\n", "",
               median(mapped[job], &Cost::processor) / median(memory[job], &Cost::processor),
               median(mapped[job], &Cost::wall) / median(memory[job], &Cost::wall));
  }
}

void run(const std::string& folder, std::int64_t mebibytes, int repeats, int threads,
         const std::vector<std::string>& words) {
  const auto given = [&](const std::string& word) { return std::ranges::find(words, word) != words.end(); };
  const Device device = Device::cpu(threads);
  const std::string images = folder + "/images.npy", vectors = folder + "/vectors.npy", labels = folder + "/labels.npy";
  const std::int64_t count = (mebibytes << 20) / 3072;  // 32 x 32 in colour, or 768 numbers
  if (!given("vectors")) make_array(images, {count, 32, 32, 3}, rtl::DType::u8);
  if (!given("images")) make_array(vectors, {count, 768}, rtl::DType::f32);
  std::vector<std::int32_t> all;
  for (std::int64_t i = 0; i < count; ++i) all.push_back(static_cast<std::int32_t>(i % classes));
  rtl::io::write_npy(labels, Tensor::from(all, {count}, device));
  const Data of_images{"images",
                       fmt::format("npy:{},{}?test_fraction=0&split=train", images, labels),
                       {"paper_cnn", "8-8-16-32", {32, 32, 3}, classes}};
  const Data of_vectors{
      "vectors", fmt::format("npy:{},{}?test_fraction=0&split=train", vectors, labels), {"mlp", "64", {768}, classes}};
  if (!given("vectors")) compare(of_images, device, repeats, !given("--mapped"));
  if (!given("images")) compare(of_vectors, device, repeats, !given("--mapped"));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "usage: rtl_out_of_core FOLDER MEBIBYTES [REPEATS [THREADS [--mapped] [images|vectors]]]\n");
    return 2;
  }
  try {
    run(argv[1], std::stoll(argv[2]), argc > 3 ? std::stoi(argv[3]) : 5, argc > 4 ? std::stoi(argv[4]) : 1,
        {argv + std::min(argc, 5), argv + argc});
    return 0;
  } catch (const std::exception& fault) {
    fmt::print(stderr, "rtl_out_of_core: {}\n", fault.what());
    return 1;
  }
}
