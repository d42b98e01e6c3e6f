#include "rtl/layers/frozen_network.hpp"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <exception>
#include <vector>

#include "layers/frozen_program.hpp"

namespace rtl::layers {
namespace {

/// Bytes of the largest activation of one pass. On the host a few of those stay in a core's second-level cache; on CUDA
/// they only have to fit beside everything else.
constexpr std::int64_t host_budget = 512 * 1024;
constexpr std::int64_t cuda_budget = 64 * 1024 * 1024;

}  // namespace

class FrozenNetwork::Implementation {
 public:
  explicit Implementation(Network& network)
      : device_(network.device()),
        architecture_(network.architecture()),
        feature_count_(network.feature_count()),
        trunk_(device_, architecture_.input),
        head_(device_, Shape{feature_count_}) {
    trunk_.finish(network.lower_trunk(trunk_, FrozenProgram::input));
    if (architecture_.classes > 0) head_.finish(network.lower_head(head_, FrozenProgram::input));
    const std::int64_t budget = device_.is_cuda() ? cuda_budget : host_budget;
    const auto bytes = trunk_.largest_sample() * static_cast<std::int64_t>(sizeof(float));
    largest_chunk_ = std::clamp<std::int64_t>(budget / bytes, 1, 4096);
    if (device_.threads() == 1) workers_.emplace_back(device_);
    while (static_cast<int>(workers_.size()) < device_.threads()) workers_.emplace_back(Device::cpu(1).separate());
  }

  const Architecture& architecture() const noexcept { return architecture_; }
  std::int64_t feature_count() const noexcept { return feature_count_; }

  void features(ConstView x, View out) {
    check("FrozenNetwork::features", x, out, feature_count_);
    for_each_chunk(x, [&](FrozenWorker& worker, std::int64_t begin, std::int64_t end) {
      trunk_.run(worker, x.slice(0, begin, end), out.slice(0, begin, end));
    });
  }

  void logits(ConstView x, View out) {
    if (architecture_.classes == 0) {
      throw ValueError(fmt::format("FrozenNetwork::logits: {} has no head (0 classes)", architecture_.to_string()));
    }
    check("FrozenNetwork::logits", x, out, architecture_.classes);
    for_each_chunk(x, [&](FrozenWorker& worker, std::int64_t begin, std::int64_t end) {
      Tensor features({end - begin, feature_count_}, DType::f32, worker.device());
      trunk_.run(worker, x.slice(0, begin, end), features);
      head_.run(worker, features, out.slice(0, begin, end));
    });
  }

 private:
  void check(const char* call, ConstView x, View out, std::int64_t columns) const {
    const Shape& sample = architecture_.input;
    bool fits = x.rank() == sample.rank() + 1 && out.rank() == 2;
    for (int axis = 0; fits && axis < sample.rank(); ++axis) fits = x.extent(axis + 1) == sample[axis];
    if (!fits || out.extent(0) != x.extent(0) || out.extent(1) != columns) {
      throw ShapeError(fmt::format("{}: x {} and out {}, but {} takes samples {} and gives {} values for each", call,
                                   x.shape().to_string(), out.shape().to_string(), architecture_.to_string(),
                                   sample.to_string(), columns));
    }
    if (x.dtype() != DType::f32 || out.dtype() != DType::f32) {
      throw DTypeError(fmt::format("{}: x is {} and out {}; both must be f32 (convert with cast)", call,
                                   name_of(x.dtype()), name_of(out.dtype())));
    }
    if (!x.is_contiguous() || !out.is_contiguous()) {
      throw ShapeError(fmt::format("{}: x and out must be contiguous", call));
    }
  }

  /// Calls body(worker, begin, end) for consecutive chunks of samples, which the workers' threads share evenly. A
  /// chunk's result does not depend on the others, so the number of threads does not matter.
  template <typename Body>
  void for_each_chunk(ConstView x, Body&& body) {
    const std::int64_t count = x.extent(0);
    const auto threads = static_cast<std::int64_t>(workers_.size());
    const std::int64_t chunk = std::clamp<std::int64_t>((count + threads - 1) / threads, 1, largest_chunk_);
    const std::int64_t chunks = (count + chunk - 1) / chunk;
    const auto work = [&](std::int64_t worker) {
      for (std::int64_t i = worker; i < chunks; i += threads) {
        body(workers_[static_cast<std::size_t>(worker)], i * chunk, std::min(count, (i + 1) * chunk));
      }
    };
    if (threads == 1) return work(0);
    std::exception_ptr fault;
#pragma omp parallel for schedule(static, 1) num_threads(static_cast <int>(threads))
    for (std::int64_t worker = 0; worker < threads; ++worker) {
      try {
        work(worker);
      } catch (...) {
#pragma omp critical(rtl_frozen_network_fault)
        fault = std::current_exception();
      }
    }
    if (fault) std::rethrow_exception(fault);
  }

  Device device_;
  Architecture architecture_;
  std::int64_t feature_count_;
  FrozenProgram trunk_, head_;
  std::int64_t largest_chunk_ = 1;
  std::vector<FrozenWorker> workers_;
};

FrozenNetwork::FrozenNetwork(Network& network) : implementation_(std::make_unique<Implementation>(network)) {}
FrozenNetwork::FrozenNetwork(FrozenNetwork&&) noexcept = default;
FrozenNetwork& FrozenNetwork::operator=(FrozenNetwork&&) noexcept = default;
FrozenNetwork::~FrozenNetwork() = default;

std::int64_t FrozenNetwork::feature_count() const { return implementation_->feature_count(); }
std::int64_t FrozenNetwork::classes() const { return implementation_->architecture().classes; }
const Architecture& FrozenNetwork::architecture() const { return implementation_->architecture(); }
void FrozenNetwork::features(ConstView x, View out) { implementation_->features(x, out); }
void FrozenNetwork::logits(ConstView x, View out) { implementation_->logits(x, out); }

}  // namespace rtl::layers
