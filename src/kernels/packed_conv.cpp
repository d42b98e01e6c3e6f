#include "rtl/kernels/packed_conv.hpp"

#include "kernels/backend/packed_conv.hpp"
#include "kernels/check.hpp"
#include "kernels/dispatch.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::kernels {
namespace {

template <typename Weights, typename Packed>
void check_pairs(const char* call, const Device& device, std::span<const Weights> weights,
                 std::span<const Packed> packed) {
  check::value(weights.size() == packed.size(), call,
               [&] { return fmt::format("{} weights and {} packed ones", weights.size(), packed.size()); });
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const Shape& w = weights[i].shape();
    check::dense_layer_operands(call, device, {{"packed", packed[i]}}, {{"w", weights[i]}});
    check::rank(call, {"w", weights[i]}, 4);
    check::shape(call, {"packed", packed[i]}, {w[0], w[2], w[3], w[1]});
    check::dtype(call, {"packed", packed[i]}, packed[0].dtype());
  }
}

/// Shape of the output; checks images and weights against each other.
Shape output_shape(const char* call, const Shape& images, const ConstView& packed, const Conv2dOptions& options) {
  check::rank(call, {"packed", packed}, 4);
  check::value(options.groups > 0, call, "the number of groups must be positive");
  if (images.rank() != 4 || packed.count() == 0 || images[3] != packed.extent(3) * options.groups ||
      packed.extent(0) % options.groups != 0) {
    throw ShapeError(
        fmt::format("{}: images {} and packed weights {} in {} groups do not fit; [N, H, W, in] and [out, height, "
                    "width, in / groups]",
                    call, images.to_string(), packed.shape().to_string(), options.groups));
  }
  return {images[0], conv2d_extent(images[1], packed.extent(1), options),
          conv2d_extent(images[2], packed.extent(2), options), packed.extent(0)};
}

}  // namespace

void PackedConv2d::pack(const Device& device, std::span<const ConstView> weights, std::span<const View> packed) {
  constexpr auto call = "PackedConv2d::pack";
  check_pairs(call, device, weights, packed);
  RTL_DISPATCH(device, pack_weights(device, weights, packed));
}

void PackedConv2d::unpack(const Device& device, std::span<const ConstView> packed, std::span<const View> weights) {
  constexpr auto call = "PackedConv2d::unpack";
  check_pairs(call, device, weights, packed);
  RTL_DISPATCH(device, unpack_weights(device, packed, weights));
}

void PackedConv2d::forward(const Device& device, ConstView x, ConstView packed, ConstView bias,
                           const Conv2dOptions& options, View y, Activation activation, ConstView residual) {
  constexpr auto call = "PackedConv2d::forward";
  check::dense_layer_operands(call, device,
                              {{"x", x}, {"packed", packed}, {"y", y}, {"residual", residual, check::optional}},
                              {{"bias", bias, check::optional}});
  check::shapes(call, {{"y", y}, {"residual", residual}}, output_shape(call, x.shape(), packed, options));
  check::shape(call, {"bias", bias}, {packed.extent(0)});
  if (y.count() == 0) return;
  RTL_DISPATCH(device, packed_conv2d_forward(device, x, packed, bias, options, y, activation, residual));
}

void PackedConv2d::backward_data(const Device& device, ConstView dy, ConstView packed, const Conv2dOptions& options,
                                 View dx, ConstView added) {
  constexpr auto call = "PackedConv2d::backward_data";
  check::dense_layer_operands(call, device,
                              {{"dy", dy}, {"packed", packed}, {"dx", dx}, {"added", added, check::optional}}, {});
  check::shape(call, {"added", added}, dx.shape());
  check::shape(call, {"dy", dy}, output_shape(call, dx.shape(), packed, options));
  if (dx.count() == 0) return;
  RTL_DISPATCH(device, packed_conv2d_backward_data(device, dy, packed, options, dx, added));
}

void PackedConv2d::backward_weights(const Device& device, ConstView x, ConstView dy, const Conv2dOptions& options,
                                    View packed, View dbias) {
  constexpr auto call = "PackedConv2d::backward_weights";
  check::dense_layer_operands(call, device, {{"x", x}, {"dy", dy}, {"packed", packed}},
                              {{"dbias", dbias, check::optional}});
  check::shape(call, {"dy", dy}, output_shape(call, x.shape(), packed, options));
  check::shape(call, {"dbias", dbias}, {packed.extent(0)});
  if (x.extent(0) == 0) {
    fill(device, 0.0, packed);
    if (dbias.given()) fill(device, 0.0, dbias);
    return;
  }
  RTL_DISPATCH(device, packed_conv2d_backward_weights(device, x, dy, options, packed, dbias));
}

}  // namespace rtl::kernels
