#include "rtl/kernels/row_norm.hpp"

#include "kernels/backend/row_norm.hpp"
#include "kernels/check.hpp"
#include "kernels/dispatch.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::kernels {
namespace {

void check_row_norm(const char* call, double epsilon) {
  check::value(epsilon >= 0, call, [&] { return fmt::format("epsilon is {}, but must not be negative", epsilon); });
}

Shape columns_of(const char* call, ConstView x) {
  if (x.rank() < 1) throw ShapeError(fmt::format("{}: 'x' is a scalar, but rows [..., C] are needed", call));
  return {x.extent(-1)};
}

Shape rows_of(ConstView x) { return {x.extent(-1) == 0 ? 0 : x.count() / x.extent(-1)}; }

}  // namespace

void layer_norm_forward(const Device& device, ConstView x, ConstView gamma, ConstView beta, double epsilon, View y,
                        View saved_mean, View saved_inverse_deviation) {
  constexpr auto call = "layer_norm_forward";
  check::dense_layer_operands(call, device, {{"x", x}, {"y", y}},
                              {{"gamma", gamma},
                               {"beta", beta},
                               {"saved_mean", saved_mean},
                               {"saved_inverse_deviation", saved_inverse_deviation}});
  check::shapes(call, {{"gamma", gamma}, {"beta", beta}}, columns_of(call, x));
  check::shape(call, {"y", y}, x.shape());
  check::shapes(call, {{"saved_mean", saved_mean}, {"saved_inverse_deviation", saved_inverse_deviation}}, rows_of(x));
  check_row_norm(call, epsilon);
  if (x.count() == 0) return;
  RTL_DISPATCH(device, layer_norm_forward(device, x, gamma, beta, epsilon, y, saved_mean, saved_inverse_deviation));
}

void layer_norm_backward(const Device& device, ConstView x, ConstView gamma, ConstView saved_mean,
                         ConstView saved_inverse_deviation, ConstView dy, View dx, View dgamma, View dbeta) {
  constexpr auto call = "layer_norm_backward";
  check::dense_layer_operands(call, device, {{"x", x}, {"dy", dy}, {"dx", dx}},
                              {{"gamma", gamma},
                               {"saved_mean", saved_mean},
                               {"saved_inverse_deviation", saved_inverse_deviation},
                               {"dgamma", dgamma},
                               {"dbeta", dbeta}});
  check::shapes(call, {{"gamma", gamma}, {"dgamma", dgamma}, {"dbeta", dbeta}}, columns_of(call, x));
  check::shapes(call, {{"dy", dy}, {"dx", dx}}, x.shape());
  check::shapes(call, {{"saved_mean", saved_mean}, {"saved_inverse_deviation", saved_inverse_deviation}}, rows_of(x));
  if (x.count() == 0) {
    fill(device, 0.0, dgamma);
    fill(device, 0.0, dbeta);
    return;
  }
  RTL_DISPATCH(device,
               layer_norm_backward(device, x, gamma, saved_mean, saved_inverse_deviation, dy, dx, dgamma, dbeta));
}

void rms_norm_forward(const Device& device, ConstView x, ConstView gamma, double epsilon, View y, View saved_inverse) {
  constexpr auto call = "rms_norm_forward";
  check::dense_layer_operands(call, device, {{"x", x}, {"y", y}}, {{"gamma", gamma}, {"saved_inverse", saved_inverse}});
  check::shape(call, {"gamma", gamma}, columns_of(call, x));
  check::shape(call, {"y", y}, x.shape());
  check::shape(call, {"saved_inverse", saved_inverse}, rows_of(x));
  check_row_norm(call, epsilon);
  if (x.count() == 0) return;
  RTL_DISPATCH(device, rms_norm_forward(device, x, gamma, epsilon, y, saved_inverse));
}

void rms_norm_backward(const Device& device, ConstView x, ConstView gamma, ConstView saved_inverse, ConstView dy,
                       View dx, View dgamma) {
  constexpr auto call = "rms_norm_backward";
  check::dense_layer_operands(call, device, {{"x", x}, {"dy", dy}, {"dx", dx}},
                              {{"gamma", gamma}, {"saved_inverse", saved_inverse}, {"dgamma", dgamma}});
  check::shapes(call, {{"gamma", gamma}, {"dgamma", dgamma}}, columns_of(call, x));
  check::shapes(call, {{"dy", dy}, {"dx", dx}}, x.shape());
  check::shape(call, {"saved_inverse", saved_inverse}, rows_of(x));
  if (x.count() == 0) return fill(device, 0.0, dgamma);
  RTL_DISPATCH(device, rms_norm_backward(device, x, gamma, saved_inverse, dy, dx, dgamma));
}

}  // namespace rtl::kernels
