// A ridge path of more rows than fit into memory: 10 million rows of 256 features are made block by block, accumulated,
// and read a second time for leave-one-out; the same rows are then held in memory and fitted as a whole. Prints peak
// memory after each part and how far the results are apart.
//
// usage: rtl_ridge_stream [ROWS [THREADS [FEATURES]]]; --no-memory as a fourth argument leaves the second part out.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>
#include <vector>

#include "rtl/core/random.hpp"
#include "rtl/solvers/gram_stream.hpp"

namespace {

using rtl::Tensor;

constexpr std::int64_t outputs = 4, block_rows = 16384;

/// Made from a counter, so that any block can be made again: features uniform in [-1, 1) with means, targets linear in
/// some of them with noise.
class Rows {
 public:
  Rows(std::int64_t rows, std::int64_t features) : rows_(rows), features_(features) {}
  std::int64_t count() const { return rows_; }
  std::int64_t features() const { return features_; }

  void make(std::int64_t begin, std::int64_t end, float* x, float* y) const {
#pragma omp parallel for schedule(static)
    for (std::int64_t i = begin; i < end; ++i) {
      float* row = x + (i - begin) * features_;
      std::uint64_t state = rtl::mix(static_cast<std::uint64_t>(i), 1);
      for (std::int64_t j = 0; j < features_; ++j) row[j] = next(state) + static_cast<float>(j % 5);
      for (std::int64_t o = 0; o < outputs; ++o) {
        float value = next(state) * 3.0F + static_cast<float>(o);
        for (std::int64_t j = o; j < features_; j += 7) value += row[j] * static_cast<float>(j % 3 - 1) * 0.1F;
        y[(i - begin) * outputs + o] = value;
      }
    }
  }

 private:
  static float next(std::uint64_t& state) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    return static_cast<float>(static_cast<std::int32_t>(state >> 32)) * 0x1p-31F;
  }

  std::int64_t rows_, features_;
};

double peak_megabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

class Clock {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

template <typename Sink>
void feed(const Rows& rows, const rtl::Device& device, Sink& sink) {
  Tensor x({block_rows, rows.features()}, rtl::DType::f32, device), y({block_rows, outputs}, rtl::DType::f32, device);
  for (std::int64_t begin = 0; begin < rows.count(); begin += block_rows) {
    const std::int64_t end = std::min(rows.count(), begin + block_rows);
    rows.make(begin, end, x.data_as<float>(), y.data_as<float>());
    sink.add(x.view().slice(0, 0, end - begin), y.view().slice(0, 0, end - begin));
  }
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double largest = 0, scale = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::fabs(a[i] - b[i]));
    scale = std::max(scale, std::fabs(b[i]));
  }
  return largest / scale;
}

void run(std::int64_t count, int threads, std::int64_t features, bool in_memory) {
  const rtl::Device device = rtl::Device::cpu(threads);
  const Rows rows(count, features);
  const std::vector<double> penalties = rtl::solvers::logarithmic_penalties(1e-6, 1e3, 50);
  Clock clock;
  rtl::solvers::GramAccumulator sums(device, features, outputs);
  feed(rows, device, sums);
  fmt::print("first pass: {} rows of {} features, {:.1f} s, peak {:.0f} MB\n", count, features, clock.seconds(),
             peak_megabytes());
  const rtl::solvers::StreamedRidgePath path(sums, penalties);
  auto pass = path.leave_one_out(penalties);
  clock = Clock();
  feed(rows, device, pass);
  const rtl::solvers::RidgeScores scores = pass.scores();
  fmt::print("second pass: {:.1f} s, peak {:.0f} MB, best penalty {} of {}\n", clock.seconds(), peak_megabytes(),
             scores.best, penalties.size());
  if (!in_memory) return;
  Tensor x({count, features}, rtl::DType::f32, device), y({count, outputs}, rtl::DType::f32, device);
  rows.make(0, count, x.data_as<float>(), y.data_as<float>());
  clock = Clock();
  const rtl::solvers::RidgePath whole(device, x, y, penalties);
  fmt::print("in memory: {:.1f} s, peak {:.0f} MB, best penalty {}\n", clock.seconds(), peak_megabytes(),
             whole.scores().best);
  const double best = whole.best_penalty();
  fmt::print(
      "largest relative differences: leave-one-out {:.2g}, GCV {:.2g}, coefficients {:.2g}\n",
      largest_difference(scores.leave_one_out, whole.scores().leave_one_out),
      largest_difference(scores.gcv, whole.scores().gcv),
      largest_difference(path.coefficients(best).to_vector<double>(), whole.coefficients(best).to_vector<double>()));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::int64_t count = argc > 1 ? std::stoll(argv[1]) : 10'000'000;
    const int threads = argc > 2 ? std::stoi(argv[2]) : 1;
    const std::int64_t features = argc > 3 ? std::stoll(argv[3]) : 256;
    run(count, threads, features, argc <= 4 || std::string(argv[4]) != "--no-memory");
  } catch (const std::exception& fault) {
    fmt::print(stderr, "rtl_ridge_stream: {}\n", fault.what());
    return 1;
  }
  return 0;
}
