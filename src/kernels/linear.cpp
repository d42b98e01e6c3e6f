#include "rtl/kernels/linear.hpp"

#include "kernels/backend/linear.hpp"
#include "kernels/check.hpp"
#include "kernels/check_loss.hpp"
#include "rtl/kernels/gemm.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::kernels {
namespace {

/// With a leading axis of one, where there is none.
template <typename V>
V stacked(const V& view, int rank) {
  if (!view.given() || view.rank() == rank + 1) return view;
  return rank == 1 ? view.reshaped({1, view.extent(0)}) : view.reshaped({1, view.extent(0), view.extent(1)});
}

template <typename V>
V replica(const V& all, std::int64_t r) {
  const V one = all.slice(0, r, r + 1);
  return all.rank() == 2 ? one.reshaped({all.extent(1)}) : one.reshaped({all.extent(1), all.extent(2)});
}

void check_gradients(const char* call, const Device& device, const ConstView& x, const ConstView& w,
                     const ConstView& dy, const LinearGradients& gradients) {
  check::dense_layer_operands(
      call, device, {{"x", x}, {"dy", dy}, {"dx", gradients.dx, check::optional}},
      {{"w", w}, {"dw", gradients.dw, check::optional}, {"dbias", gradients.dbias, check::optional}});
  const bool replicas = dy.rank() == 3;
  if (!replicas) check::rank(call, {"dy", dy}, 2);
  for (const check::Named& operand : {check::Named{"x", x}, {"w", w}}) {
    const int rank = operand.view.rank();
    if (rank != 2 && !(replicas && rank == 3 && operand.view.extent(0) == dy.extent(0))) {
      throw ShapeError(fmt::format("{}: '{}' is {} beside dy {}", call, operand.name, operand.view.shape().to_string(),
                                   dy.shape().to_string()));
    }
  }
  const std::int64_t rows = x.extent(-2), inputs = x.extent(-1), outputs = dy.extent(-1);
  const auto of_all = [&](const Shape& shape) { return replicas ? check::replicated(dy.extent(0), shape) : shape; };
  check::shape(call, {"dy", dy}, of_all({rows, outputs}));
  check::shape(call, {"w", w}, w.rank() == 3 ? of_all({outputs, inputs}) : Shape{outputs, inputs});
  if (gradients.dw.given()) check::shape(call, {"dw", gradients.dw}, of_all({outputs, inputs}));
  check::value(gradients.dw.given() || !gradients.dbias.given(), call, "dbias is made beside dw only");
  if (gradients.dbias.given()) check::shape(call, {"dbias", gradients.dbias}, of_all({outputs}));
  if (gradients.dx.given()) check::shape(call, {"dx", gradients.dx}, of_all({rows, inputs}));
}

#if RTL_WITH_CUDA
LinearExtents extents_of(const ConstView& x, const ConstView& dy) {
  return {x.extent(-2), x.extent(-1), dy.extent(-1)};
}
#endif

/// Everything with its leading axis.
LinearGradients stacked(const LinearGradients& gradients) {
  return {stacked(gradients.dw, 2), stacked(gradients.dbias, 1), stacked(gradients.dx, 2), gradients.relu};
}

void backward(const Device& device, const ConstView& x, const ConstView& w, const ConstView& dy,
              const LinearGradients& gradients) {
  if (gradients.dw.given()) gemm_batched(device, Transpose::yes, Transpose::no, 1, dy, x, 0, gradients.dw);
  if (gradients.dx.given()) gemm_batched(device, Transpose::no, Transpose::no, 1, dy, w, 0, gradients.dx);
  for (std::int64_t r = 0; r < dy.extent(0); ++r) {
    if (gradients.dbias.given()) column_sums(device, replica(dy, r), replica(gradients.dbias, r));
    if (!gradients.dx.given() || !gradients.relu) continue;
    const View dx = replica(gradients.dx, r);
    relu_backward(device, replica(x, x.extent(0) == 1 ? 0 : r), dx, dx);
  }
}

}  // namespace

void linear_backward(const Device& device, ConstView x, ConstView w, ConstView dy, const LinearGradients& gradients) {
  check_gradients("linear_backward", device, x, w, dy, gradients);
  const ConstView xs = stacked(x, 2), ws = stacked(w, 2), dys = stacked(dy, 2);
#if RTL_WITH_CUDA
  if (device.is_cuda() && linear_backward_is_one_launch(extents_of(x, dy))) {
    return cuda::small_linear_backward(device, xs, ws, dys, stacked(gradients));
  }
#endif
  backward(device, xs, ws, dys, stacked(gradients));
}

void cross_entropy_with_linear_gradients(const Device& device, ConstView logits, const Labels& labels, ConstView x,
                                         ConstView w, View dlogits, View loss, const LinearGradients& gradients) {
#if RTL_WITH_CUDA
  if (device.is_cuda() && cross_entropy_with_linear_gradients_is_one_launch(extents_of(x, logits))) {
    constexpr auto call = "cross_entropy_with_linear_gradients";
    check::loss_with_gradient(call, device, logits, labels, dlogits, loss);
    check_gradients(call, device, x, w, dlogits, gradients);
    return cuda::cross_entropy_with_small_linear_gradients(device, stacked(logits, 2), labels, stacked(x, 2),
                                                           stacked(w, 2), stacked(dlogits, 2), loss,
                                                           stacked(gradients));
  }
#endif
  cross_entropy_with_gradient(device, logits, labels, dlogits, loss);
  linear_backward(device, x, w, dlogits, gradients);
}

}  // namespace rtl::kernels
