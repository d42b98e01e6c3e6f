#include "kernels/cpu/prepared_linear.hpp"

#include "kernels/backend/pointwise.hpp"
#include "kernels/cpu/blas_parts.hpp"
#include "kernels/cpu/onednn.hpp"
#include "kernels/cpu/panel_product.hpp"
#include "kernels/cpu/threads.hpp"

namespace rtl::kernels::cpu {
namespace {

template <typename T>
void forward(ConstView x, ConstView panels, ConstView bias, View y, LinearActivation activation) {
  const std::int64_t rows = x.extent(0), inputs = x.extent(1), outputs = y.extent(1);
  const PanelProduct<T, T> whole{.a = x.data_as<T>(),
                                 .a_row = inputs,
                                 .a_step = sizeof(T) == 2 ? 2 : 1,
                                 .panels = panels.data_as<T>(),
                                 .m = rows,
                                 .n = outputs,
                                 .k = inputs,
                                 .c = y.data_as<T>(),
                                 .c_row = outputs,
                                 .bias = bias.given() ? bias.data_as<float>() : nullptr,
                                 .activation = activation};
  const double operations = 2.0 * static_cast<double>(rows) * static_cast<double>(inputs * outputs);
  blas_parts(rows, operations, [&](std::int64_t begin, std::int64_t end) {
    PanelProduct<T, T> part = whole;
    part.a += begin * inputs;
    part.c += begin * outputs;
    part.m = end - begin;
    multiply_panels(part);
  });
}

}  // namespace

Tensor linear_panels(const Device& device, ConstView w, DType inputs) {
  if (inputs == DType::f64 || (inputs == DType::bf16 && !multiplies_bf16())) return {};
  const std::int64_t n = w.extent(0), k = w.extent(1);
  if (inputs == DType::f32) {
    Tensor panels({panel_elements<float>(n, k)}, DType::f32, device);
    pack_panels(w.data_as<float>(), k, true, n, k, panels.data_as<float>());
    return panels;
  }
  Tensor rounded(w.shape(), DType::bf16, device), panels({panel_elements<bfloat16>(n, k)}, DType::bf16, device);
  cpu::cast(device, w, rounded);
  pack_panels(rounded.data_as<bfloat16>(), k, true, n, k, panels.data_as<bfloat16>());
  return panels;
}

void linear_forward(const Device& device, ConstView x, ConstView panels, ConstView bias, View y,
                    LinearActivation activation) {
  const ThreadScope threads(device);
  x.dtype() == DType::f32 ? forward<float>(x, panels, bias, y, activation)
                          : forward<bfloat16>(x, panels, bias, y, activation);
}

}  // namespace rtl::kernels::cpu
