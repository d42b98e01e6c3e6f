#include "kernels/cpu/pointwise_conv.hpp"

#include "kernels/cpu/blas_parts.hpp"
#include "kernels/cpu/onednn.hpp"
#include "kernels/cpu/panel_product.hpp"
#include "kernels/cpu/prepared_linear.hpp"

namespace rtl::kernels::cpu {
namespace {

LinearActivation linear(Activation activation) {
  switch (activation) {
    case Activation::relu:
      return LinearActivation::relu;
    case Activation::relu6:
      return LinearActivation::relu6;
    default:
      return LinearActivation::none;
  }
}

}  // namespace

bool pointwise_fits(const ConvShape& s, DType images) {
  return images == DType::bf16 && multiplies_bf16() && !multiplies_tiles() && s.kernel_height == 1 &&
         s.kernel_width == 1 && s.stride == 1 && s.groups == 1 && s.padding_top == 0 && s.padding_left == 0;
}

Tensor pointwise_panels(const Device& device, ConstView w) {
  return linear_panels(device, w.reshaped({w.extent(0), w.extent(1)}), DType::bf16);
}

void pointwise_forward(const ConvShape& s, const bfloat16* x, ConstView panels, const float* bias,
                       const bfloat16* residual, Activation activation, bfloat16* y) {
  blas_parts(s.images * s.height * s.width, s.operations(), [&](std::int64_t begin, std::int64_t end) {
    multiply_panels(
        PanelProduct<bfloat16, bfloat16>{.a = x + begin * s.channels,
                                         .a_row = s.channels,
                                         .a_step = 2,
                                         .panels = panels.data_as<bfloat16>(),
                                         .m = end - begin,
                                         .n = s.out_channels,
                                         .k = s.channels,
                                         .c = y + begin * s.out_channels,
                                         .c_row = s.out_channels,
                                         .bias = bias,
                                         .residual = residual == nullptr ? nullptr : residual + begin * s.out_channels,
                                         .activation = linear(activation)});
  });
}

}  // namespace rtl::kernels::cpu
