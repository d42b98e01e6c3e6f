// Elementwise operations, random numbers, reductions and optimizer steps on 16 MiB operands.
#include <array>

#include "kernels.hpp"
#include "rtl/kernels/dropout.hpp"
#include "rtl/kernels/optimizer_step.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/reduce.hpp"

namespace rtl::bench {
namespace {

constexpr std::int64_t rows = 32768, columns = 128;

void add_pointwise(const Device& device, KernelCases& cases, const Shared& a, const Shared& b, const Shared& y) {
  const std::string sizes = "32768x128";
  const auto count = static_cast<double>(a->count());
  const auto bytes = static_cast<double>(a->bytes());
  const Shared narrow = shared_zeros(a->shape(), DType::bf16, device);
  cases.push_back(
      {"unary", sizes + " exp", count, 2 * bytes, [=] { kernels::unary(device, kernels::UnaryOp::exp, *a, *y); }});
  cases.push_back({"binary", sizes + " multiply", count, 3 * bytes,
                   [=] { kernels::binary(device, kernels::BinaryOp::multiply, *a, *b, *y); }});
  cases.push_back({"scale_add", sizes, 3 * count, 3 * bytes, [=] { kernels::scale_add(device, 0.5, *a, 0.5, *y); }});
  cases.push_back({"fill", sizes, 0, bytes, [=] { kernels::fill(device, 1.0, *y); }});
  cases.push_back({"cast", sizes + " f32 to bf16", 0, 1.5 * bytes, [=] { kernels::cast(device, *a, *narrow); }});
  cases.push_back({"add_relu", sizes, 2 * count, 3 * bytes, [=] { kernels::add_relu(device, *a, *b, *y); }});
  cases.push_back({"relu_backward", sizes, count, 3 * bytes, [=] { kernels::relu_backward(device, *a, *b, *y); }});
  const Shared a_narrow = shared_values(a->shape(), DType::bf16, device);
  const Shared b_narrow = shared_values(a->shape(), DType::bf16, device);
  cases.push_back({"add_relu", sizes + " bf16", 2 * count, 1.5 * bytes,
                   [=] { kernels::add_relu(device, *a_narrow, *b_narrow, *narrow); }});
  cases.push_back({"relu_backward", sizes + " bf16", count, 1.5 * bytes,
                   [=] { kernels::relu_backward(device, *a_narrow, *b_narrow, *narrow); }});
  cases.push_back({"binary", sizes + " multiply bf16", count, 1.5 * bytes,
                   [=] { kernels::binary(device, kernels::BinaryOp::multiply, *a_narrow, *b_narrow, *narrow); }});
  cases.push_back({"dropout", sizes, count, 2 * bytes, [=] { kernels::dropout(device, *a, 0.5, 1, 1, *y); }});
  cases.push_back({"uniform", sizes, 0, bytes, [=] { kernels::uniform(device, 0.0, 1.0, 1, 1, *y); }});
  cases.push_back({"normal", sizes, 0, bytes, [=] { kernels::normal(device, 0.0, 1.0, 1, 1, *y); }});
}

void add_reductions(const Device& device, KernelCases& cases, const Shared& a) {
  const std::string sizes = "32768x128";
  const auto count = static_cast<double>(a->count());
  const auto bytes = static_cast<double>(a->bytes());
  const Shared sums = shared_zeros({rows, 1}, DType::f32, device);
  const Shared winners = shared_zeros({rows}, DType::i32, device);
  const Shared mean = shared_zeros({columns}, DType::f64, device);
  const Shared variance = shared_zeros({columns}, DType::f64, device);
  cases.push_back(
      {"reduce", sizes + " rows", count, bytes, [=] { kernels::reduce(device, kernels::ReduceOp::sum, *a, *sums); }});
  const Shared sums_of_each = shared_zeros({rows / 512, 1, columns}, DType::f32, device);
  cases.push_back({"reduce_batch", "64x512x128 columns", count, bytes, [=] {
                     const ConstView batch = a->view().reshaped({rows / 512, 512, columns});
                     kernels::reduce_batch(device, kernels::ReduceOp::sum, batch, *sums_of_each);
                   }});
  cases.push_back({"argmax_rows", sizes, count, bytes, [=] { kernels::argmax_rows(device, *a, *winners); }});
  cases.push_back({"all_finite", sizes, 0, bytes, [=] { (void)kernels::all_finite(device, *a); }});
  cases.push_back(
      {"column_moments", sizes, 3 * count, bytes, [=] { kernels::column_moments(device, *a, *mean, *variance); }});
}

}  // namespace

void add_elementwise_kernels(const Device& device, KernelCases& cases) {
  const Shape shape{rows, columns};
  const Shared a = shared_values(shape, device);
  const Shared b = shared_values(shape, device);
  const Shared y = shared_zeros(shape, DType::f32, device);
  add_pointwise(device, cases, a, b, y);
  add_reductions(device, cases, a);
  const Shared first = shared_zeros(shape, DType::f32, device);
  const Shared second = shared_zeros(shape, DType::f32, device);
  const auto count = static_cast<double>(a->count());
  const auto bytes = static_cast<double>(a->bytes());
  const Shared counters = shared_zeros({kernels::Counters::count}, DType::i64, device);
  const Shared rates = shared_zeros({kernels::Rates::count}, DType::f64, device);
  const auto state = [=] { return kernels::OptimizerState{.counters = *counters, .rates = *rates}; };
  const auto slots = [=] { return std::array{kernels::OptimizerSlot{*y, *b, *first, *second}}; };
  cases.push_back({"sgd_step", "32768x128 momentum", 4 * count, 5 * bytes,
                   [=] { kernels::sgd_step(device, slots(), {.momentum = 0.9}, state()); }});
  cases.push_back(
      {"adam_step", "32768x128", 12 * count, 7 * bytes, [=] { kernels::adam_step(device, slots(), {}, state()); }});
  cases.push_back({"schedule_free_step", "32768x128", 14 * count, 7 * bytes,
                   [=] { kernels::schedule_free_step(device, slots(), {}, state()); }});
  const Shared losses = shared_zeros({1}, DType::f64, device);
  const Shared advanced = shared_zeros({kernels::Counters::count}, DType::i64, device);
  cases.push_back({"advance", "with a copy of the counters", 0, 112, [=] {
                     copy_bytes(counters->view(), advanced->view());
                     kernels::advance(device, *advanced, *losses, losses->view(), 64);
                   }});
}

}  // namespace rtl::bench
