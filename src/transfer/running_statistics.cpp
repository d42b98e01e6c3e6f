#include "transfer/running_statistics.hpp"

#include <algorithm>
#include <cmath>
#include <memory>

#include "rtl/data/sampler.hpp"
#include "rtl/graph/plan.hpp"
#include "rtl/graph/step_state.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "transfer/place.hpp"

namespace rtl::transfer::detail {
namespace {

/// Runs batches in training mode, each from running statistics of one number: what is left of that number, and what
/// comes of the batch, are (1 - m) and m parts of the result.
class BatchStatistics {
 public:
  BatchStatistics(NetworkPredictor& model, const data::Dataset& dataset)
      : network_(model.network()),
        device_(network_.device()),
        placed_(dataset, device_),
        gather_(*placed_, model.normalization(), network_.dtype(), device_),
        rows_(counting_rows(dataset.size(), device_)),
        buffers_(network_.state().buffers),
        arena_(std::make_shared<graph::Arena>(device_)) {}

  const std::vector<layers::NamedBuffer>& buffers() const { return buffers_; }

  /// Values of each buffer after the batch of `count` rows from `begin` on, all of them having been `start` before.
  std::vector<std::vector<float>> after(std::int64_t begin, std::int64_t count, double start) {
    for (const layers::NamedBuffer& buffer : buffers_) kernels::fill(device_, start, buffer.value());
    const Tensor inputs = gather_(rows_.view().slice(0, begin, begin + count));
    const auto graph = std::make_shared<graph::Graph>(device_);
    const graph::Value x = graph->input("inputs", inputs.shape(), inputs.dtype());
    const graph::StepState state(device_);
    const layers::ForwardContext context{.training = true, .counters = state.values(*graph).counters};
    const graph::Value features = network_.features(x, context);
    graph::Execution execution(std::make_shared<const graph::Plan>(graph, std::vector<graph::Value>{features}), arena_);
    execution.bind(x, inputs);
    execution.run();
    std::vector<std::vector<float>> values;
    for (const layers::NamedBuffer& buffer : buffers_) values.push_back(buffer.value().to_vector<float>());
    return values;
  }

 private:
  layers::Network& network_;
  Device device_;
  ResidentDataset placed_;
  InputGather gather_;
  Tensor rows_;
  std::vector<layers::NamedBuffer> buffers_;
  std::shared_ptr<graph::Arena> arena_;
};

}  // namespace

void recompute_statistics(NetworkPredictor& model, const data::Dataset& dataset, std::int64_t batch_size) {
  BatchStatistics batches(model, dataset);
  if (batches.buffers().empty()) return;
  const data::BatchSampler sampler(dataset.size(), batch_size, 0, false, 2);
  std::vector<std::vector<double>> sums;
  std::int64_t begin = 0;
  for (std::int64_t i = 0; i < sampler.batches(); ++i) {
    const auto count = static_cast<std::int64_t>(sampler.batch(i).size());
    const auto values = batches.after(begin, count, 0);
    sums.resize(values.size());
    for (std::size_t k = 0; k < values.size(); ++k) {
      sums[k].resize(values[k].size());
      for (std::size_t j = 0; j < values[k].size(); ++j) sums[k][j] += static_cast<double>(count) * values[k][j];
    }
    begin += count;
  }
  // The share that a batch has in the statistics, from a start so large that the batch's own hardly count beside it.
  const auto first = static_cast<std::int64_t>(sampler.batch(0).size());
  const auto plain = batches.after(0, first, 0);
  double largest = 1;
  for (const auto& values : plain) {
    for (const float value : values) largest = std::max(largest, std::abs(static_cast<double>(value)));
  }
  const double start = std::ldexp(1.0, 20 + static_cast<int>(std::ceil(std::log2(largest))));
  const auto moved = batches.after(0, first, start);
  for (std::size_t k = 0; k < sums.size(); ++k) {
    std::vector<float> means;
    for (std::size_t j = 0; j < sums[k].size(); ++j) {
      const double share = 1 - (static_cast<double>(moved[k][j]) - plain[k][j]) / start;
      means.push_back(static_cast<float>(sums[k][j] / (share * static_cast<double>(dataset.size()))));
    }
    Tensor& buffer = batches.buffers()[k].value();
    copy_bytes(Tensor::from(means, buffer.shape(), buffer.device()), buffer);
  }
}

}  // namespace rtl::transfer::detail
