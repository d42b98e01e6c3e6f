// The operations of rtl/autodiff/operations.hpp on images.
#include <fmt/format.h>

#include <utility>

#include "autodiff/operands.hpp"
#include "rtl/autodiff/operations.hpp"
#include "rtl/kernels/norm.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::autodiff {
namespace {

using detail::Node;

void check_images(const char* call, const Variable& x) {
  if (!x.defined()) throw ValueError(fmt::format("{}: x is not defined", call));
  if (x.shape().rank() != 4) {
    throw ShapeError(fmt::format("{}: x is {}; images [N, H, W, C] are needed", call, x.shape().to_string()));
  }
}

Shape pooled_shape(const char* call, const Variable& x, const kernels::PoolOptions& options) {
  check_images(call, x);
  if (options.window < 1 || options.stride < 1) {
    throw ValueError(fmt::format("{}: window {} and stride {} must be positive", call, options.window, options.stride));
  }
  const auto extent = [&](int axis) {
    const std::int64_t length = x.shape()[axis];
    if (length < options.window) {
      throw ShapeError(
          fmt::format("{}: images {} are smaller than the window of {}", call, x.shape().to_string(), options.window));
    }
    return (length - options.window) / options.stride + 1;
  };
  return {x.shape()[0], extent(1), extent(2), x.shape()[3]};
}

/// Forward and backward kernels that need nothing but the views.
template <auto forward, auto backward>
Variable simple(const Variable& x, const Shape& shape) {
  Tensor y(shape, x.dtype(), x.device());
  forward(x.device(), view_of(x), y);
  return make_result(std::move(y), {x}, [](Node& node) {
    Tensor gradient = like(node.parents[0]);
    backward(gradient.device(), node.gradient, gradient);
    accumulate(node.parents[0], std::move(gradient));
  });
}

void batch_norm_backward(Node& node, const BatchNormOptions& options, const Tensor& mean, const Tensor& deviation) {
  const Variable& x = node.parents[0];
  const Variable& gamma = node.parents[1];
  const Variable& residual = node.parents[3];
  const Device& device = x.device();
  Tensor dgamma = like(gamma);
  Tensor dbeta = like(gamma);
  Tensor dresidual = residual.defined() ? like(x) : Tensor();
  Tensor& dy = node.gradient;
  if (options.training) {
    kernels::batch_norm_training_backward(device, view_of(x), node.value, view_of(gamma), mean, deviation, dy, dy,
                                          dgamma, dbeta, options.relu, dresidual);
  } else {
    kernels::batch_norm_evaluation_backward(device, view_of(x), node.value, view_of(gamma), mean, deviation,
                                            options.epsilon, dy, dy, dgamma, dbeta, options.relu, dresidual);
  }
  accumulate(gamma, std::move(dgamma));
  accumulate(node.parents[2], std::move(dbeta));
  if (dresidual.defined()) accumulate(residual, std::move(dresidual));
  accumulate(x, std::move(dy));
}

}  // namespace

Variable conv2d(const Variable& x, const Variable& w, const Variable& bias, const kernels::Conv2dOptions& options,
                bool relu) {
  check_images("conv2d", x);
  if (!w.defined() || w.shape().rank() != 4) {
    throw ShapeError(fmt::format("conv2d: w is {}; [out, in, height, width] is needed",
                                 w.defined() ? w.shape().to_string() : "not defined"));
  }
  Tensor y({x.shape()[0], kernels::conv2d_extent(x.shape()[1], w.shape()[2], options),
            kernels::conv2d_extent(x.shape()[2], w.shape()[3], options), w.shape()[0]},
           x.dtype(), x.device());
  kernels::conv2d_forward(x.device(), view_of(x), view_of(w), view_of(bias), options, y, relu);
  return make_result(std::move(y), {x, w, bias}, [options, relu](Node& node) {
    const Variable& x = node.parents[0];
    const Variable& w = node.parents[1];
    const Variable& bias = node.parents[2];
    const Device& device = node.value.device();
    Tensor& dy = node.gradient;
    if (relu) kernels::relu_backward(device, node.value, dy, dy);
    if (w.requires_gradient() || bias.requires_gradient()) {
      Tensor dw = like(w);
      Tensor dbias = bias.requires_gradient() ? like(bias) : Tensor();
      kernels::conv2d_backward_weights(device, view_of(x), dy, options, dw, dbias);
      accumulate(w, std::move(dw));
      if (dbias.defined()) accumulate(bias, std::move(dbias));
    }
    if (x.requires_gradient()) {
      Tensor dx = like(x);
      kernels::conv2d_backward_data(device, dy, view_of(w), options, dx);
      accumulate(x, std::move(dx));
    }
  });
}

Variable batch_norm(const Variable& x, const Variable& gamma, const Variable& beta, Tensor& running_mean,
                    Tensor& running_variance, const BatchNormOptions& options, const Variable& residual) {
  Tensor y = like(x);
  const Device& device = x.device();
  if (!options.training) {
    kernels::batch_norm_evaluation_forward(device, view_of(x), view_of(gamma), view_of(beta), running_mean,
                                           running_variance, options.epsilon, y, options.relu, view_of(residual));
    return make_result(std::move(y), {x, gamma, beta, residual},
                       [options, mean = &running_mean, variance = &running_variance](Node& node) {
                         batch_norm_backward(node, options, *mean, *variance);
                       });
  }
  Tensor mean = like(gamma);
  Tensor inverse_deviation = like(gamma);
  kernels::batch_norm_training_forward(device, view_of(x), view_of(gamma), view_of(beta), options.epsilon,
                                       options.momentum, running_mean, running_variance, y, mean, inverse_deviation,
                                       options.relu, view_of(residual));
  Variable result = make_result(std::move(y), {x, gamma, beta, residual}, [options](Node& node) {
    batch_norm_backward(node, options, node.saved[0], node.saved[1]);
  });
  if (result.requires_gradient()) {
    result.node()->saved.push_back(std::move(mean));
    result.node()->saved.push_back(std::move(inverse_deviation));
  }
  return result;
}

Variable max_pool(const Variable& x, const kernels::PoolOptions& options) {
  const Shape shape = pooled_shape("max_pool", x, options);
  Tensor y(shape, x.dtype(), x.device());
  Tensor winners(shape, DType::i32, x.device());
  kernels::max_pool_forward(x.device(), view_of(x), options, y, winners);
  Variable result = make_result(std::move(y), {x}, [options](Node& node) {
    Tensor gradient = like(node.parents[0]);
    kernels::max_pool_backward(gradient.device(), node.gradient, node.saved[0], options, gradient);
    accumulate(node.parents[0], std::move(gradient));
  });
  if (result.requires_gradient()) result.node()->saved.push_back(std::move(winners));
  return result;
}

Variable average_pool(const Variable& x, const kernels::PoolOptions& options) {
  Tensor y(pooled_shape("average_pool", x, options), x.dtype(), x.device());
  kernels::average_pool_forward(x.device(), view_of(x), options, y);
  return make_result(std::move(y), {x}, [options](Node& node) {
    Tensor gradient = like(node.parents[0]);
    kernels::average_pool_backward(gradient.device(), node.gradient, options, gradient);
    accumulate(node.parents[0], std::move(gradient));
  });
}

Variable global_average_pool(const Variable& x) {
  check_images("global_average_pool", x);
  return simple<kernels::global_average_pool_forward, kernels::global_average_pool_backward>(
      x, {x.shape()[0], x.shape()[3]});
}

Variable flatten(const Variable& x) {
  check_images("flatten", x);
  return simple<kernels::flatten_forward, kernels::flatten_backward>(
      x, {x.shape()[0], x.shape()[1] * x.shape()[2] * x.shape()[3]});
}

Variable shortcut_a(const Variable& x, std::int64_t channels) {
  check_images("shortcut_a", x);
  return simple<kernels::shortcut_a_forward, kernels::shortcut_a_backward>(
      x, {x.shape()[0], (x.shape()[1] + 1) / 2, (x.shape()[2] + 1) / 2, channels});
}

}  // namespace rtl::autodiff
