#include "transfer/evaluation.hpp"

#include <algorithm>
#include <optional>

#include "transfer/place.hpp"

namespace rtl::transfer::detail {

Tensor evaluate(const Evaluation& evaluation, std::int64_t columns, const EvaluateRows& rows) {
  const Device& device = evaluation.device;
  const ResidentDataset placed(evaluation.samples, device);
  std::optional<InputGather> gather;
  if (evaluation.reads_inputs) gather.emplace(*placed, evaluation.normalization, evaluation.parameters, device, false);
  const std::int64_t samples = evaluation.samples.size();
  const Tensor order = counting_rows(samples, device);
  Tensor out = Tensor::out_of_core({samples, columns}, DType::f32, device);
  for (std::int64_t begin = 0; begin < samples; begin += evaluation.batch_size) {
    const std::int64_t end = std::min(samples, begin + evaluation.batch_size);
    Tensor inputs;
    if (gather) gather->will_need(end, end + evaluation.batch_size);
    if (gather) inputs = (*gather)(order.view().slice(0, begin, end), evaluation.activations);
    rows(gather ? ConstView(inputs) : ConstView(), out.view().slice(0, begin, end), begin);
  }
  return out;
}

}  // namespace rtl::transfer::detail
