#include "rtl/kernels/prepared_linear.hpp"

#include <array>

#include "kernels/check.hpp"
#include "kernels/cpu/prepared_linear.hpp"
#include "rtl/kernels/gemm.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::kernels {
namespace {

struct Row {
  LinearActivation activation;
  UnaryOp op;
  std::string_view name;
};
constexpr std::array rows = {Row{LinearActivation::relu, UnaryOp::relu, "relu"},
                             Row{LinearActivation::relu6, UnaryOp::relu6, "relu6"},
                             Row{LinearActivation::gelu, UnaryOp::gelu, "gelu"},
                             Row{LinearActivation::gelu_tanh, UnaryOp::gelu_tanh, "gelu_tanh"},
                             Row{LinearActivation::silu, UnaryOp::silu, "silu"}};

Tensor copy_of(ConstView view, const Device& device, DType dtype) {
  if (!view.given()) return {};
  Tensor copy(view.shape(), dtype, device);
  cast(device, view, copy);
  return copy;
}

}  // namespace

std::string_view name_of(LinearActivation activation) {
  for (const Row& row : rows) {
    if (row.activation == activation) return row.name;
  }
  return {};
}

std::optional<LinearActivation> linear_activation(UnaryOp op) {
  for (const Row& row : rows) {
    if (row.op == op) return row.activation;
  }
  return std::nullopt;
}

PreparedLinear::PreparedLinear(const Device& device, ConstView w, ConstView bias, DType inputs) : inputs_(inputs) {
  constexpr auto call = "PreparedLinear";
  check::on_device(call, device, {{"w", w}, {"bias", bias, check::optional}});
  check::contiguous(call, {{"w", w}, {"bias", bias}});
  if (inputs_ != DType::f32 && inputs_ != DType::f64 && inputs_ != DType::bf16) {
    throw DTypeError(fmt::format("{}: inputs of {}; f32, f64 or bf16 is needed", call, name_of(inputs_)));
  }
  check::dtype(call, {"w", w}, parameter_dtype(inputs_));
  check::dtype(call, {"bias", bias}, parameter_dtype(inputs_));
  check::rank(call, {"w", w}, 2);
  check::shape(call, {"bias", bias}, {w.extent(0)});
  // Products of bf16 round f32 weights on a CUDA device: once here instead of in each.
  w_ = copy_of(w, device, device.is_cuda() ? inputs_ : w.dtype());
  bias_ = copy_of(bias, device, w.dtype());
  if (!device.is_cuda()) panels_ = cpu::linear_panels(device, w_, inputs_);
}

void PreparedLinear::forward(const Device& device, ConstView x, View y, LinearActivation activation) const {
  constexpr auto call = "PreparedLinear::forward";
  const ConstView bias = bias_.defined() ? ConstView(bias_) : ConstView();
  check::on_device(call, device, {{"x", x}, {"y", y}, {"w", w_}});
  check::contiguous(call, {{"x", x}, {"y", y}});
  check::dtype(call, {"x", x}, inputs_);
  check::dtype(call, {"y", y}, inputs_);
  check::rank(call, {"x", x}, 2);
  check::shape(call, {"x", x}, {x.extent(0), w_.extent(1)});
  check::shape(call, {"y", y}, {x.extent(0), w_.extent(0)});
  if (y.count() == 0) return;
  if (panels_.defined()) return cpu::linear_forward(device, x, panels_, bias, y, activation);
  gemm(device, Transpose::no, Transpose::yes, 1, x, w_, 0, y, bias.given() ? Epilogue::bias : Epilogue::none, bias);
  for (const Row& row : rows) {
    if (row.activation == activation) unary(device, row.op, y, y);
  }
}

}  // namespace rtl::kernels
