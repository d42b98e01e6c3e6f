#include "rtl/kernels/norm.hpp"

#include "kernels/backend/norm.hpp"
#include "kernels/check.hpp"
#include "kernels/dispatch.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::kernels {
namespace {

/// Shape of the per-channel vectors of x, which is [rows, C] or [N, H, W, C].
Shape channels_of(const char* call, ConstView x) {
  if (x.rank() != 2 && x.rank() != 4) {
    throw ShapeError(
        fmt::format("{}: 'x' is {}, but [rows, C] or [N, H, W, C] is needed", call, x.shape().to_string()));
  }
  return {x.extent(-1)};
}

void check_epsilon(const char* call, double epsilon) {
  check::value(epsilon >= 0, call, [&] { return fmt::format("epsilon is {}, but must not be negative", epsilon); });
}

/// At least two rows: the unbiased variance divides by rows - 1.
void check_rows(const char* call, ConstView x) {
  check::value(x.extent(-1) == 0 || x.count() / x.extent(-1) >= 2, call, [&] {
    return fmt::format("'x' {} has fewer than two rows to take statistics of; use a larger batch or evaluation mode",
                       x.shape().to_string());
  });
}

struct BackwardViews {
  ConstView x, y, dy;
  View dx, dgamma, dbeta, dresidual;
};

/// Checks of both backward forms; `y` matters only with ReLU.
void check_backward(const char* call, const Device& device, const BackwardViews& v, ConstView gamma,
                    const check::Named& mean, const check::Named& spread, bool relu) {
  check::dense_layer_operands(call, device,
                              {{"x", v.x},
                               {"dy", v.dy},
                               {"dx", v.dx},
                               {"y", v.y, relu ? check::Presence::required : check::optional},
                               {"dresidual", v.dresidual, check::optional}},
                              {{"dgamma", v.dgamma}, {"dbeta", v.dbeta}, {"gamma", gamma}, mean, spread});
  const Shape channels = channels_of(call, v.x);
  check::shapes(call, {{"y", v.y}, {"dy", v.dy}, {"dx", v.dx}, {"dresidual", v.dresidual}}, v.x.shape());
  check::shapes(call, {{"dgamma", v.dgamma}, {"dbeta", v.dbeta}, {"gamma", gamma}, mean, spread}, channels);
}

}  // namespace

void batch_norm_training_forward(const Device& device, ConstView x, ConstView gamma, ConstView beta, double epsilon,
                                 double momentum, View running_mean, View running_variance, View y, View saved_mean,
                                 View saved_inverse_deviation, bool relu, ConstView residual) {
  constexpr auto call = "batch_norm_training_forward";
  check::dense_layer_operands(call, device, {{"x", x}, {"y", y}, {"residual", residual, check::optional}},
                              {{"gamma", gamma},
                               {"beta", beta},
                               {"running_mean", running_mean},
                               {"running_variance", running_variance},
                               {"saved_mean", saved_mean},
                               {"saved_inverse_deviation", saved_inverse_deviation}});
  const Shape channels = channels_of(call, x);
  check::shapes(call, {{"y", y}, {"residual", residual}}, x.shape());
  check::shapes(call,
                {{"gamma", gamma},
                 {"beta", beta},
                 {"running_mean", running_mean},
                 {"running_variance", running_variance},
                 {"saved_mean", saved_mean},
                 {"saved_inverse_deviation", saved_inverse_deviation}},
                channels);
  check_epsilon(call, epsilon);
  check_rows(call, x);
  if (y.count() == 0) return;
  RTL_DISPATCH(device,
               batch_norm_training_forward(device, x, gamma, beta, epsilon, momentum, running_mean, running_variance, y,
                                           saved_mean, saved_inverse_deviation, relu, residual));
}

void batch_norm_training_backward(const Device& device, ConstView x, ConstView y, ConstView gamma, ConstView saved_mean,
                                  ConstView saved_inverse_deviation, ConstView dy, View dx, View dgamma, View dbeta,
                                  bool relu, View dresidual) {
  constexpr auto call = "batch_norm_training_backward";
  check_backward(call, device, {x, y, dy, dx, dgamma, dbeta, dresidual}, gamma, {"saved_mean", saved_mean},
                 {"saved_inverse_deviation", saved_inverse_deviation}, relu);
  check_rows(call, x);
  if (x.count() == 0) return;
  RTL_DISPATCH(device, batch_norm_training_backward(device, x, y, gamma, saved_mean, saved_inverse_deviation, dy, dx,
                                                    dgamma, dbeta, relu, dresidual));
}

void batch_norm_evaluation_forward(const Device& device, ConstView x, ConstView gamma, ConstView beta, ConstView mean,
                                   ConstView variance, double epsilon, View y, bool relu, ConstView residual) {
  constexpr auto call = "batch_norm_evaluation_forward";
  check::dense_layer_operands(call, device, {{"x", x}, {"y", y}, {"residual", residual, check::optional}},
                              {{"gamma", gamma}, {"beta", beta}, {"mean", mean}, {"variance", variance}});
  check::shapes(call, {{"y", y}, {"residual", residual}}, x.shape());
  check::shapes(call, {{"gamma", gamma}, {"beta", beta}, {"mean", mean}, {"variance", variance}}, channels_of(call, x));
  check_epsilon(call, epsilon);
  if (y.count() == 0) return;
  RTL_DISPATCH(device,
               batch_norm_evaluation_forward(device, x, gamma, beta, mean, variance, epsilon, y, relu, residual));
}

void batch_norm_evaluation_backward(const Device& device, ConstView x, ConstView y, ConstView gamma, ConstView mean,
                                    ConstView variance, double epsilon, ConstView dy, View dx, View dgamma, View dbeta,
                                    bool relu, View dresidual) {
  constexpr auto call = "batch_norm_evaluation_backward";
  check_backward(call, device, {x, y, dy, dx, dgamma, dbeta, dresidual}, gamma, {"mean", mean}, {"variance", variance},
                 relu);
  check_epsilon(call, epsilon);
  if (x.count() == 0) {
    fill(device, 0.0, dgamma);
    fill(device, 0.0, dbeta);
    return;
  }
  RTL_DISPATCH(device, batch_norm_evaluation_backward(device, x, y, gamma, mean, variance, epsilon, dy, dx, dgamma,
                                                      dbeta, relu, dresidual));
}

void fold_batch_norm(const Device& device, ConstView w, ConstView bias, ConstView gamma, ConstView beta, ConstView mean,
                     ConstView variance, double epsilon, View folded_w, View folded_bias) {
  constexpr auto call = "fold_batch_norm";
  check::dense_operands(call, device,
                        {{"w", w},
                         {"bias", bias, check::optional},
                         {"gamma", gamma},
                         {"beta", beta},
                         {"mean", mean},
                         {"variance", variance},
                         {"folded_w", folded_w},
                         {"folded_bias", folded_bias}});
  if (w.rank() < 1) throw ShapeError(fmt::format("{}: 'w' is a scalar, but [out, ...] is needed", call));
  check::shapes(call,
                {{"bias", bias},
                 {"gamma", gamma},
                 {"beta", beta},
                 {"mean", mean},
                 {"variance", variance},
                 {"folded_bias", folded_bias}},
                {w.extent(0)});
  check::shape(call, {"folded_w", folded_w}, w.shape());
  check_epsilon(call, epsilon);
  if (w.extent(0) == 0) return;
  RTL_DISPATCH(device, fold_batch_norm(device, w, bias, gamma, beta, mean, variance, epsilon, folded_w, folded_bias));
}

}  // namespace rtl::kernels
