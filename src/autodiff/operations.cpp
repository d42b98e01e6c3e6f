#include "rtl/autodiff/operations.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "autodiff/operands.hpp"
#include "rtl/kernels/dropout.hpp"
#include "rtl/kernels/gather.hpp"
#include "rtl/kernels/gemm.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/reduce.hpp"
#include "rtl/kernels/residual_fusion.hpp"
#include "rtl/kernels/softmax.hpp"

namespace rtl::autodiff {
namespace {

using detail::Node;
using kernels::BinaryOp;
using kernels::UnaryOp;

void check_rank(const char* call, const char* name, const Variable& x, int rank) {
  if (!x.defined()) throw ValueError(fmt::format("{}: {} is not defined", call, name));
  if (x.shape().rank() != rank) {
    throw ShapeError(fmt::format("{}: {} is {}, of rank {}; rank {} is needed", call, name, x.shape().to_string(),
                                 x.shape().rank(), rank));
  }
}

/// The shape that a and b broadcast to.
Shape broadcast_shape(const char* call, const Shape& a, const Shape& b) {
  std::array<std::int64_t, Shape::max_rank> extents{};
  const int rank = std::max(a.rank(), b.rank());
  for (int axis = 1; axis <= rank; ++axis) {
    const std::int64_t from_a = axis <= a.rank() ? a[-axis] : 1;
    const std::int64_t from_b = axis <= b.rank() ? b[-axis] : 1;
    if (from_a != from_b && from_a != 1 && from_b != 1) {
      throw ShapeError(fmt::format("{}: {} and {} do not broadcast", call, a.to_string(), b.to_string()));
    }
    extents[static_cast<std::size_t>(rank - axis)] = from_a == 1 ? from_b : from_a;
  }
  return Shape(std::span<const std::int64_t>(extents.data(), static_cast<std::size_t>(rank)));
}

/// Sums a gradient over the axes along which its operand was repeated.
Tensor reduced_to(const Shape& shape, Tensor gradient) {
  if (gradient.shape() == shape) return gradient;
  std::array<std::int64_t, Shape::max_rank> extents{};
  const int added = gradient.rank() - shape.rank();
  for (int axis = 0; axis < gradient.rank(); ++axis) {
    extents[static_cast<std::size_t>(axis)] = axis < added ? 1 : shape[axis - added];
  }
  const Shape padded(std::span<const std::int64_t>(extents.data(), static_cast<std::size_t>(gradient.rank())));
  Tensor sum(shape, gradient.dtype(), gradient.device());
  kernels::reduce(gradient.device(), kernels::ReduceOp::sum, std::as_const(gradient).view(),
                  sum.view().reshaped(padded));
  return sum;
}

Variable binary(const char* call, BinaryOp op, const Variable& a, const Variable& b,
                std::function<void(Node&)> backward) {
  Tensor y(broadcast_shape(call, a.shape(), b.shape()), a.dtype(), a.device());
  kernels::binary(a.device(), op, view_of(a), view_of(b), y);
  return make_result(std::move(y), {a, b}, std::move(backward));
}

Variable unary(UnaryOp op, const Variable& x, std::function<void(Node&)> backward) {
  Tensor y = like(x);
  kernels::unary(x.device(), op, view_of(x), y);
  return make_result(std::move(y), {x}, std::move(backward));
}

/// Gradient of the first operand is the node's, that of the second `sign` times it.
void add_backward(Node& node, double sign) {
  const Variable& a = node.parents[0];
  const Variable& b = node.parents[1];
  if (b.requires_gradient()) {
    Tensor gradient = a.requires_gradient() || sign != 1.0
                          ? Tensor(node.gradient.shape(), node.gradient.dtype(), node.gradient.device())
                          : Tensor();
    if (gradient.defined()) {
      kernels::scale_add(gradient.device(), sign, node.gradient, 0.0, gradient);
    } else {
      gradient = std::move(node.gradient);
    }
    accumulate(b, reduced_to(b.shape(), std::move(gradient)));
  }
  if (a.requires_gradient()) accumulate(a, reduced_to(a.shape(), std::move(node.gradient)));
}

Variable reduce_all(kernels::ReduceOp op, const Variable& x) {
  const std::int64_t count = x.shape().count();
  Tensor y({1}, x.dtype(), x.device());
  kernels::reduce(x.device(), op, view_of(x).reshaped({count}), y);
  const double factor = op == kernels::ReduceOp::mean ? 1.0 / static_cast<double>(count) : 1.0;
  return make_result(std::move(y), {x}, [factor](Node& node) {
    Tensor gradient = like(node.parents[0]);
    kernels::scale_add(gradient.device(), factor, node.gradient, 0.0, gradient);
    accumulate(node.parents[0], std::move(gradient));
  });
}

}  // namespace

Variable add(const Variable& a, const Variable& b) {
  return binary("add", BinaryOp::add, a, b, [](Node& node) { add_backward(node, 1.0); });
}

Variable subtract(const Variable& a, const Variable& b) {
  return binary("subtract", BinaryOp::subtract, a, b, [](Node& node) { add_backward(node, -1.0); });
}

Variable multiply(const Variable& a, const Variable& b) {
  return binary("multiply", BinaryOp::multiply, a, b, [](Node& node) {
    for (std::size_t i = 0; i < 2; ++i) {
      const Variable& operand = node.parents[i];
      if (!operand.requires_gradient()) continue;
      Tensor gradient(node.gradient.shape(), node.gradient.dtype(), node.gradient.device());
      kernels::binary(gradient.device(), BinaryOp::multiply, node.gradient, view_of(node.parents[1 - i]), gradient);
      accumulate(operand, reduced_to(operand.shape(), std::move(gradient)));
    }
  });
}

Variable scale(const Variable& x, double factor) {
  Tensor y = like(x);
  kernels::scale_add(x.device(), factor, view_of(x), 0.0, y);
  return make_result(std::move(y), {x}, [factor](Node& node) {
    kernels::scale_add(node.gradient.device(), factor, node.gradient, 0.0, node.gradient);
    accumulate(node.parents[0], std::move(node.gradient));
  });
}

Variable relu(const Variable& x) {
  return unary(UnaryOp::relu, x, [](Node& node) {
    kernels::relu_backward(node.gradient.device(), node.value, node.gradient, node.gradient);
    accumulate(node.parents[0], std::move(node.gradient));
  });
}

Variable sigmoid(const Variable& x) {
  return unary(UnaryOp::sigmoid, x, [](Node& node) {
    const Device& device = node.gradient.device();
    // y * (1 - y) = y - y^2
    Tensor slope(node.value.shape(), node.value.dtype(), device);
    kernels::unary(device, UnaryOp::square, node.value, slope);
    kernels::scale_add(device, 1.0, node.value, -1.0, slope);
    kernels::binary(device, BinaryOp::multiply, node.gradient, slope, node.gradient);
    accumulate(node.parents[0], std::move(node.gradient));
  });
}

Variable tanh(const Variable& x) {
  return unary(UnaryOp::tanh, x, [](Node& node) {
    const Device& device = node.gradient.device();
    // dy * (1 - y^2) = dy - dy * y^2
    Tensor lost(node.value.shape(), node.value.dtype(), device);
    kernels::unary(device, UnaryOp::square, node.value, lost);
    kernels::binary(device, BinaryOp::multiply, node.gradient, lost, lost);
    kernels::scale_add(device, -1.0, lost, 1.0, node.gradient);
    accumulate(node.parents[0], std::move(node.gradient));
  });
}

Variable add_relu(const Variable& a, const Variable& b) {
  Tensor y = like(a);
  kernels::add_relu(a.device(), view_of(a), view_of(b), y);
  return make_result(std::move(y), {a, b}, [](Node& node) {
    kernels::relu_backward(node.gradient.device(), node.value, node.gradient, node.gradient);
    add_backward(node, 1.0);
  });
}

Variable sum(const Variable& x) { return reduce_all(kernels::ReduceOp::sum, x); }
Variable mean(const Variable& x) { return reduce_all(kernels::ReduceOp::mean, x); }

Variable linear(const Variable& x, const Variable& w, const Variable& bias, bool relu) {
  check_rank("linear", "x", x, 2);
  check_rank("linear", "w", w, 2);
  using kernels::Epilogue;
  using kernels::Transpose;
  const Epilogue epilogue =
      bias.defined() ? (relu ? Epilogue::bias_relu : Epilogue::bias) : (relu ? Epilogue::relu : Epilogue::none);
  Tensor y({x.shape()[0], w.shape()[0]}, x.dtype(), x.device());
  kernels::gemm(x.device(), Transpose::no, Transpose::yes, 1.0, view_of(x), view_of(w), 0.0, y, epilogue,
                view_of(bias));
  return make_result(std::move(y), {x, w, bias}, [relu](Node& node) {
    const Variable& x = node.parents[0];
    const Variable& w = node.parents[1];
    const Variable& bias = node.parents[2];
    const Device& device = node.value.device();
    Tensor& dy = node.gradient;
    if (relu) kernels::relu_backward(device, node.value, dy, dy);
    if (bias.requires_gradient()) {
      Tensor gradient = like(bias);
      kernels::column_sums(device, dy, gradient);
      accumulate(bias, std::move(gradient));
    }
    if (w.requires_gradient()) {
      Tensor gradient = like(w);
      kernels::gemm(device, Transpose::yes, Transpose::no, 1.0, dy, view_of(x), 0.0, gradient);
      accumulate(w, std::move(gradient));
    }
    if (x.requires_gradient()) {
      Tensor gradient = like(x);
      kernels::gemm(device, Transpose::no, Transpose::no, 1.0, dy, view_of(w), 0.0, gradient);
      accumulate(x, std::move(gradient));
    }
  });
}

Variable residual_fusion(std::span<const FusionInput> blocks, const Variable& w, const Variable& bias) {
  check_rank("residual_fusion", "w", w, 2);
  if (blocks.empty()) throw ValueError("residual_fusion: no block of features");
  struct Block {
    double scale;
    ConstView keep;
  };
  std::vector<Block> settings;
  std::vector<Variable> parents;
  std::vector<kernels::FusionBlock> views;
  for (const FusionInput& block : blocks) {
    check_rank("residual_fusion", "a block of features", block.features, 2);
    settings.push_back({block.scale, block.keep});
    parents.push_back(block.features);
    views.push_back({view_of(block.features), block.scale, block.keep});
  }
  parents.push_back(w);
  parents.push_back(bias);
  Tensor y({parents.front().shape()[0], w.shape()[0]}, w.dtype(), w.device());
  kernels::residual_fusion_forward(w.device(), views, view_of(w), view_of(bias), y);
  return make_result(std::move(y), std::move(parents), [settings](Node& node) {
    const std::size_t count = settings.size();
    const Variable& w = node.parents[count];
    const Variable& bias = node.parents[count + 1];
    std::vector<kernels::FusionBlock> views;
    std::vector<Tensor> gradients(count);
    std::vector<View> gradient_views(count);
    for (std::size_t k = 0; k < count; ++k) {
      const Variable& features = node.parents[k];
      views.push_back({view_of(features), settings[k].scale, settings[k].keep});
      if (!features.requires_gradient()) continue;
      gradients[k] = like(features);
      gradient_views[k] = gradients[k];
    }
    Tensor dw = like(w);
    Tensor dbias = bias.requires_gradient() ? like(bias) : Tensor();
    kernels::residual_fusion_backward(w.device(), views, view_of(w), node.gradient, dw, dbias, gradient_views);
    for (std::size_t k = 0; k < count; ++k) {
      if (gradients[k].defined()) accumulate(node.parents[k], std::move(gradients[k]));
    }
    accumulate(w, std::move(dw));
    if (dbias.defined()) accumulate(bias, std::move(dbias));
  });
}

Variable cross_entropy(const Variable& logits, const Tensor& labels) {
  check_rank("cross_entropy", "logits", logits, 2);
  Tensor loss({1}, logits.dtype(), logits.device());
  Tensor probabilities = like(logits);
  kernels::cross_entropy_forward(logits.device(), view_of(logits), {labels}, probabilities, loss);
  Variable result = make_result(std::move(loss), {logits}, [](Node& node) {
    Tensor& probabilities = node.saved[0];
    kernels::cross_entropy_backward(probabilities.device(), probabilities, {node.saved[1]}, node.gradient,
                                    probabilities);
    accumulate(node.parents[0], std::move(probabilities));
  });
  if (result.requires_gradient()) {
    result.node()->saved.push_back(std::move(probabilities));
    result.node()->saved.push_back(labels.clone());
  }
  return result;
}

Variable dropout(const Variable& x, double probability, std::uint64_t seed, std::uint64_t stream) {
  if (probability == 0) return x;
  Tensor y = like(x);
  kernels::dropout(x.device(), view_of(x), probability, seed, stream, y);
  return make_result(std::move(y), {x}, [probability, seed, stream](Node& node) {
    kernels::dropout(node.gradient.device(), node.gradient, probability, seed, stream, node.gradient);
    accumulate(node.parents[0], std::move(node.gradient));
  });
}

Variable gather_rows(const Variable& table, const Tensor& rows) {
  if (table.shape().rank() == 0 || rows.rank() != 1) {
    throw ShapeError(fmt::format("gather_rows: table {} and rows {}; [n, ...] and [m] are needed",
                                 table.shape().to_string(), rows.shape().to_string()));
  }
  Tensor y(table.shape().with(0, rows.extent(0)), table.dtype(), table.device());
  kernels::gather_rows(table.device(), view_of(table), rows, y);
  Variable result = make_result(std::move(y), {table}, [](Node& node) {
    Tensor gradient = like(node.parents[0]);
    kernels::fill(gradient.device(), 0.0, gradient);
    kernels::scatter_add_rows(gradient.device(), node.gradient, node.saved[0], gradient);
    accumulate(node.parents[0], std::move(gradient));
  });
  if (result.requires_gradient()) result.node()->saved.push_back(rows.clone());
  return result;
}

}  // namespace rtl::autodiff
