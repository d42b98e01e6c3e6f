#include "transfer/outputs_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "rtl/graph/passes.hpp"
#include "transfer/place.hpp"

namespace rtl::transfer::detail {

OutputsPlan::Recorded OutputsPlan::record(ConstView inputs, std::span<const ConstView> features) const {
  const auto graph = std::make_shared<graph::Graph>(arena_->device());
  Recorded recorded;
  if (inputs.given()) recorded.batch.inputs = graph->input("inputs", inputs.shape(), inputs.dtype());
  for (std::size_t k = 0; k < features.size(); ++k) {
    recorded.batch.features.push_back(
        graph->input(fmt::format("frozen features {}", k + 1), features[k].shape(), dtype_));
  }
  recorded.outputs =
      model_.outputs(recorded.batch, {.activations = dtype_ == DType::bf16 ? Precision::bf16 : Precision::f32});
  graph::run_passes(*graph, {recorded.outputs});
  recorded.execution = std::make_unique<graph::Execution>(
      std::make_shared<const graph::Plan>(graph, std::vector<graph::Value>{recorded.outputs}), arena_);
  return recorded;
}

ConstView OutputsPlan::operator()(ConstView inputs, std::span<const ConstView> features) {
  const std::int64_t rows = inputs.given() ? inputs.extent(0) : features.front().extent(0);
  auto found = recorded_.find(rows);
  if (found == recorded_.end()) {
    if (recorded_.size() == 2) recorded_.clear();  // whole batches, and the last
    found = recorded_.emplace(rows, record(inputs, features)).first;
  }
  Recorded& recorded = found->second;
  if (inputs.given()) recorded.execution->bind(recorded.batch.inputs, inputs);
  for (std::size_t k = 0; k < features.size(); ++k) recorded.execution->bind(recorded.batch.features[k], features[k]);
  recorded.execution->run();
  return recorded.execution->view(recorded.outputs);
}

Tensor outputs_of(Trainable& model, const data::Dataset& samples, const data::InputNormalization& normalization,
                  const std::vector<Tensor>& features, std::int64_t outputs, const Device& device) {
  constexpr std::int64_t batch = 256;
  const PlacedDataset placed(samples, device);
  std::optional<InputGather> gather;
  if (model.wants_inputs()) gather.emplace(*placed, normalization, DType::f32, device);
  const Tensor order = counting_rows(samples.size(), device);
  Tensor out({samples.size(), outputs}, DType::f32, device);
  OutputsPlan plan(model, device, DType::f32);
  for (std::int64_t begin = 0; begin < samples.size(); begin += batch) {
    const std::int64_t end = std::min(samples.size(), begin + batch);
    Tensor inputs;
    if (gather) inputs = (*gather)(order.view().slice(0, begin, end));
    std::vector<ConstView> parts;
    for (const Tensor& table : features) parts.push_back(table.view().slice(0, begin, end));
    copy_bytes(plan(gather ? ConstView(inputs) : ConstView(), parts), out.view().slice(0, begin, end));
  }
  return out;
}

}  // namespace rtl::transfer::detail
