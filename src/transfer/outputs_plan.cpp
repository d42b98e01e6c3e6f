#include "transfer/outputs_plan.hpp"

#include <fmt/format.h>

#include <vector>

#include "rtl/graph/passes.hpp"
#include "transfer/evaluation.hpp"
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
                  const std::vector<kernels::StoredFeatures>& features, std::int64_t outputs, const Device& device) {
  OutputsPlan plan(model, device, DType::f32);
  const Tensor order = features.empty() ? Tensor() : counting_rows(samples.size(), device);
  return evaluate(
      {.samples = samples, .normalization = normalization, .device = device, .reads_inputs = model.wants_inputs()},
      outputs, [&](ConstView inputs, View out, std::int64_t begin) {
        std::vector<Tensor> parts;
        for (const kernels::StoredFeatures& own : features) {
          parts.emplace_back(Shape{out.extent(0), own.columns()}, DType::f32, device);
          kernels::gather_features(device, own, order.view().slice(0, begin, begin + out.extent(0)), parts.back());
        }
        copy_bytes(plan(inputs, std::vector<ConstView>(parts.begin(), parts.end())), out);
      });
}

}  // namespace rtl::transfer::detail
