// Batch norm on an activation that fits in no cache but the last.
#include "rtl/kernels/norm.hpp"

#include "kernels.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::bench {
namespace {

Shared ones(const Shape& shape, const Device& device) {
  Shared tensor = shared_zeros(shape, DType::f32, device);
  kernels::fill(device, 1.0, *tensor);
  return tensor;
}

constexpr double epsilon = 1e-5;

/// All forms on activations of one dtype; the vectors of a channel are f32.
void add_norms(const Device& device, KernelCases& cases, DType dtype) {
  const Shape shape{128, 32, 32, 16};
  const Shared x = shared_values(shape, dtype, device);
  const Shared y = shared_values(shape, dtype, device);
  const Shared dy = shared_values(shape, dtype, device);
  const Shared dx = shared_zeros(shape, dtype, device);
  const Shared gamma = ones({16}, device);
  const Shared beta = shared_zeros({16}, DType::f32, device);
  const Shared mean = shared_zeros({16}, DType::f32, device);
  const Shared variance = ones({16}, device);
  const Shared dgamma = shared_zeros({16}, DType::f32, device);
  const Shared dbeta = shared_zeros({16}, DType::f32, device);
  const auto bytes = static_cast<double>(x->bytes());
  const auto count = static_cast<double>(x->count());
  const std::string sizes = dtype == DType::f32 ? "128x32x32x16 relu" : "128x32x32x16 relu bf16";
  cases.push_back({"batch_norm_training_forward", sizes, 7 * count, 3 * bytes, [=] {
                     kernels::batch_norm_training_forward(device, *x, *gamma, *beta, epsilon, 0.1, *mean, *variance, *y,
                                                          *dgamma, *dbeta, true);
                   }});
  const Shared saved_mean = shared_zeros({16}, DType::f32, device);
  const Shared inverse_deviation = ones({16}, device);
  cases.push_back({"batch_norm_training_backward", sizes, 10 * count, 7 * bytes, [=] {
                     kernels::batch_norm_training_backward(device, *x, *y, *gamma, *saved_mean, *inverse_deviation, *dy,
                                                           *dx, *dgamma, *dbeta, true);
                   }});
  cases.push_back({"batch_norm_evaluation_forward", sizes, 3 * count, 2 * bytes, [=] {
                     kernels::batch_norm_evaluation_forward(device, *x, *gamma, *beta, *saved_mean, *inverse_deviation,
                                                            epsilon, *y, true);
                   }});
  cases.push_back({"batch_norm_evaluation_backward", sizes, 6 * count, 4 * bytes, [=] {
                     kernels::batch_norm_evaluation_backward(device, *x, *y, *gamma, *saved_mean, *inverse_deviation,
                                                             epsilon, *dy, *dx, *dgamma, *dbeta, true);
                   }});
}

}  // namespace

void add_norm_kernels(const Device& device, KernelCases& cases) {
  for (const DType dtype : {DType::f32, DType::bf16}) add_norms(device, cases, dtype);
  const Shared w = shared_values({64, 64, 3, 3}, device);
  const Shared folded = shared_zeros(w->shape(), DType::f32, device);
  const Shared unit = ones({64}, device);
  const Shared bias = shared_zeros({64}, DType::f32, device);
  cases.push_back(
      {"fold_batch_norm", "64x64x3x3", static_cast<double>(w->count()), 2 * static_cast<double>(w->bytes()),
       [=] { kernels::fold_batch_norm(device, *w, {}, *unit, *unit, *unit, *unit, epsilon, *folded, *bias); }});
}

}  // namespace rtl::bench
