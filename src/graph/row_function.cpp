#include "rtl/graph/row_function.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/captured_exception.hpp"
#include "rtl/graph/operation.hpp"
#include "rtl/graph/operations.hpp"

namespace rtl::graph {
namespace {

/// Bytes of the largest value of one chunk. On the host a few of those stay in a core's second-level cache; on CUDA
/// they only have to fit beside everything else.
constexpr std::size_t host_budget = std::size_t{512} << 10;
constexpr std::size_t cuda_budget = std::size_t{64} << 20;
constexpr std::int64_t most_rows = 4096;
/// Where weights are many, a chunk of few rows would read them again and again: it has as many rows as make its values
/// this many times the weights' bytes, as far as the largest of them has so many bytes. EfficientNet-Lite0 (13.5 MB)
/// with images of 96 pixels on one core: 230 images a second in chunks of one, 380 of four, 540 of eight, 450 of
/// sixteen.
constexpr std::size_t values_to_weights = 8;
constexpr std::size_t most_for_weights = std::size_t{8} << 20;
/// Sizes of chunks whose plans are kept.
constexpr std::size_t kept_sizes = 8;

Shape with_rows(std::int64_t rows, const Shape& sample) {
  std::array<std::int64_t, Shape::max_rank> extents{rows};
  std::copy(sample.extents().begin(), sample.extents().end(), extents.begin() + 1);
  return Shape(std::span<const std::int64_t>(extents.data(), static_cast<std::size_t>(sample.rank()) + 1));
}

bool is_memory_of_a_leaf(const Graph& graph, Value value) {
  for (;;) {
    const ValueRecord& record = graph.record(value);
    if (record.node < 0) return true;
    const NodeRecord& node = graph.nodes()[static_cast<std::size_t>(record.node)];
    const auto aliasing = node.operation->aliasing(static_cast<std::size_t>(record.result));
    if (!aliasing) return false;
    value = Value(&value.graph(), node.operands[static_cast<std::size_t>(aliasing->operand)]);
  }
}

}  // namespace

RowFunction::RowFunction(const Device& device, const Shape& sample, DType dtype, Record record, PassOptions passes)
    : device_(device), sample_(sample), dtype_(dtype), function_(std::move(record)), passes_(std::move(passes)) {
  const Recorded one = this->record(1);
  const Shape& shape = one.y.shape();
  if (shape.rank() < 1 || shape[0] != 1) {
    throw ShapeError(fmt::format("RowFunction: the function gives {} for one row", shape.to_string()));
  }
  result_ = {Shape(shape.extents().subspan(1)), one.y.dtype()};
  std::size_t largest = 1, all = 1;
  for (const ValueRecord& value : one.plan->graph().values()) {
    if (value.origin != Origin::operation && value.origin != Origin::input) continue;
    largest = std::max(largest, value.type.bytes());
    all += value.type.bytes();
  }
  std::size_t chunk = (device.is_cuda() ? cuda_budget : host_budget) / largest;
  if (!device.is_cuda()) {
    chunk = std::max(chunk, std::min(values_to_weights * one.weights / all, most_for_weights / largest));
  }
  largest_chunk_ = std::clamp<std::int64_t>(static_cast<std::int64_t>(chunk), 1, most_rows);
  if (device_.threads() == 1) workers_.push_back({std::make_shared<Arena>(device_), {}});
  while (std::cmp_less(workers_.size(), device_.threads())) {
    workers_.push_back({std::make_shared<Arena>(Device::cpu(1).separate()), {}});
  }
}

RowFunction::Recorded RowFunction::record(std::int64_t rows) const {
  const auto graph = std::make_shared<Graph>(device_);
  Recorded recorded;
  recorded.x = graph->input("x", with_rows(rows, sample_), dtype_);
  recorded.y = function_(recorded.x);
  for (const ValueRecord& value : graph->values()) {
    if (value.origin == Origin::constant || value.origin == Origin::variable) recorded.weights += value.type.bytes();
  }
  // The result's memory is the caller's, so it must not be a leaf's.
  if (is_memory_of_a_leaf(*graph, recorded.y)) recorded.y = scale(recorded.y, 1);
  run_passes(*graph, {recorded.y}, passes_);
  recorded.plan = std::make_shared<const Plan>(graph, std::vector<Value>{recorded.y});
  return recorded;
}

void RowFunction::prepare(std::int64_t rows) {
  if (rows == 0 || recorded_.contains(rows)) return;
  if (recorded_.size() >= kept_sizes) {
    recorded_.clear();
    for (Worker& worker : workers_) worker.executions.clear();
  }
  recorded_.emplace(rows, record(rows));
}

void RowFunction::run(Worker& worker, ConstView x, View y) {
  const Recorded& recorded = recorded_.at(x.extent(0));
  auto found = worker.executions.find(x.extent(0));
  if (found == worker.executions.end()) {
    found = worker.executions.try_emplace(x.extent(0), recorded.plan, worker.arena).first;
  }
  found->second.bind(recorded.x, x);
  found->second.bind(recorded.y, y);
  found->second.run();
}

void RowFunction::operator()(ConstView x, View y) {
  const std::int64_t rows = x.rank() > 0 ? x.extent(0) : 0;
  if (x.shape() != with_rows(rows, sample_) || y.shape() != with_rows(rows, result_.shape)) {
    throw ShapeError(fmt::format("x is {} and y {}; each row is {} and gives {}", x.shape().to_string(),
                                 y.shape().to_string(), sample_.to_string(), result_.shape.to_string()));
  }
  if (rows == 0) return;
  const auto threads = static_cast<std::int64_t>(workers_.size());
  const std::int64_t chunk = std::clamp<std::int64_t>((rows + threads - 1) / threads, 1, largest_chunk_);
  const std::int64_t chunks = (rows + chunk - 1) / chunk;
  const std::int64_t last = rows - (chunks - 1) * chunk;
  prepare(chunk);
  prepare(last);
  prepare(chunk);  // the other size may have pushed it out
  const auto work = [&](std::int64_t worker) {
    for (std::int64_t i = worker; i < chunks; i += threads) {
      const std::int64_t end = std::min(rows, (i + 1) * chunk);
      run(workers_[static_cast<std::size_t>(worker)], x.slice(0, i * chunk, end), y.slice(0, i * chunk, end));
    }
  };
  if (threads == 1) return work(0);
  CapturedException fault;
#pragma omp parallel for schedule(static, 1) num_threads(static_cast <int>(threads))
  for (std::int64_t worker = 0; worker < threads; ++worker) fault.guard([&] { work(worker); });
  fault.rethrow();
}

}  // namespace rtl::graph
