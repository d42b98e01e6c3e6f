#include "rtl/graph/step_state.hpp"

#include <vector>

#include "rtl/kernels/step_state.hpp"

namespace rtl::graph {

StepState::StepState(const Device& device)
    : counters_(Tensor::zeros({kernels::Counters::count}, DType::i64, device)),
      rates_(Tensor::zeros({kernels::Rates::count}, DType::f64, device)) {}

StepState::Values StepState::values(Graph& graph) const {
  return {graph.variable("counters", counters_), graph.variable("rates", rates_)};
}

std::vector<std::int64_t> StepState::counters_of(std::uint64_t seed, std::int64_t step, std::int64_t begin,
                                                 std::int64_t batch) {
  std::vector<std::int64_t> values(kernels::Counters::count);
  values[kernels::Counters::seed] = static_cast<std::int64_t>(seed);
  values[kernels::Counters::step] = step;
  values[kernels::Counters::begin] = begin;
  values[kernels::Counters::batch] = batch;
  return values;
}

std::vector<double> StepState::rates_of(double learning_rate, double weight_decay, double l2sp_strength,
                                        double warmup_steps, double weight_sum) {
  std::vector<double> values(kernels::Rates::count);
  values[kernels::Rates::learning_rate] = learning_rate;
  values[kernels::Rates::weight_decay] = weight_decay;
  values[kernels::Rates::l2sp_strength] = l2sp_strength;
  values[kernels::Rates::warmup_steps] = warmup_steps;
  values[kernels::Rates::weight_sum] = weight_sum;
  return values;
}

void StepState::set_counters(std::uint64_t seed, std::int64_t step, std::int64_t begin, std::int64_t batch) {
  Tensor& tensor = counters_.tensor();
  copy_bytes(Tensor::from(counters_of(seed, step, begin, batch), tensor.shape(), tensor.device().host()), tensor);
}

void StepState::set_rates(double learning_rate, double weight_decay, double l2sp_strength, double warmup_steps,
                          double weight_sum) {
  Tensor& tensor = rates_.tensor();
  copy_bytes(Tensor::from(rates_of(learning_rate, weight_decay, l2sp_strength, warmup_steps, weight_sum),
                          tensor.shape(), tensor.device().host()),
             tensor);
}

}  // namespace rtl::graph
