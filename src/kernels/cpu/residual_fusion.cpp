// Residual fusion on the host: one product per block, accumulated into the logits; masks act on the small [N, C] side.
#include "kernels/backend/residual_fusion.hpp"

#include <algorithm>
#include <cstddef>

#include "kernels/backend/gemm.hpp"
#include "kernels/backend/pointwise.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/workspace.hpp"
#include "kernels/functors.hpp"

namespace rtl::kernels::cpu {
namespace {

/// Elements of bf16 features, or of their gradient, that are in f32 at a time: they stay in the cache for their
/// product.
constexpr std::int64_t widened_elements = 1 << 18;

/// A matrix of f32 or f64 for the length of a call.
class ScratchMatrix {
 public:
  ScratchMatrix(const Device& device, std::int64_t rows, std::int64_t columns, DType dtype)
      : memory_(device, rows * columns * static_cast<std::int64_t>(size_of(dtype))),
        view_(memory_.data(), dtype, {rows, columns}, device) {}
  const View& view() const { return view_; }

 private:
  Scratch<std::byte> memory_;
  View view_;
};

/// Whether any block is masked.
bool any_masked(std::span<const FusionBlock> blocks) {
  return std::ranges::any_of(blocks, [](const FusionBlock& block) { return block.mask.given(); });
}

/// to[i, c] (+)= mask[i] * from[i, c].
template <typename T>
void mask_rows(ConstView from, ConstView mask, View to, bool add) {
  const std::int64_t columns = to.extent(1);
  const T* x = from.data_as<T>();
  const T* factor = mask.data_as<T>();
  T* y = to.data_as<T>();
  parallel_ranges(to.extent(0), grain_of(columns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const T kept = factor[row];
      for (std::int64_t i = row * columns; i < (row + 1) * columns; ++i) y[i] = kept * x[i] + (add ? y[i] : T{0});
    }
  });
}

void mask_rows(ConstView from, ConstView mask, View to, bool add) {
  functors::visit_floating(to.dtype(), [&](auto zero) { mask_rows<decltype(zero)>(from, mask, to, add); });
}

/// Calls f(scratch matrix of `dtype`, first row, last row) on row ranges that cover a matrix of `shape`.
template <typename F>
void for_widened(const Device& device, const Shape& shape, DType dtype, const F& f) {
  const std::int64_t rows = shape[0], columns = shape[1];
  const std::int64_t tile = std::clamp<std::int64_t>(widened_elements / columns, 1, rows);
  const ScratchMatrix widened(device, tile, columns, dtype);
  for (std::int64_t begin = 0; begin < rows; begin += tile) {
    const std::int64_t end = std::min(rows, begin + tile);
    f(widened.view().slice(0, 0, end - begin), begin, end);
  }
}

/// Calls f(features as `dtype`, first row, last row) on row ranges that cover the block.
template <typename F>
void for_features(const Device& device, ConstView features, DType dtype, const F& f) {
  if (features.dtype() == dtype) {
    f(features, std::int64_t{0}, features.extent(0));
    return;
  }
  for_widened(device, features.shape(), dtype, [&](const View& part, std::int64_t begin, std::int64_t end) {
    cpu::cast(device, features.slice(0, begin, end), part);
    f(ConstView(part), begin, end);
  });
}

/// dfeatures = scale * gradient * w, in the dtype of dfeatures.
void feature_gradient(const Device& device, double scale, ConstView gradient, ConstView w, View dfeatures) {
  const auto product = [&](ConstView rows, View out) {
    cpu::gemm(device, Transpose::no, Transpose::no, scale, rows, w, 0.0, out, Epilogue::none, {});
  };
  if (dfeatures.dtype() == w.dtype()) return product(gradient, dfeatures);
  for_widened(device, dfeatures.shape(), w.dtype(), [&](const View& part, std::int64_t begin, std::int64_t end) {
    product(gradient.slice(0, begin, end), part);
    cpu::cast(device, part, dfeatures.slice(0, begin, end));
  });
}

}  // namespace

void residual_fusion_forward(const Device& device, std::span<const FusionBlock> blocks, ConstView w, ConstView bias,
                             View logits) {
  bool started = bias.given();
  if (started) cpu::scale_add(device, 1.0, bias.broadcast_to(logits.shape()), 0.0, logits);
  std::int64_t column = 0;
  const ScratchMatrix product(device, any_masked(blocks) ? logits.extent(0) : 0, logits.extent(1), logits.dtype());
  for (const FusionBlock& block : blocks) {
    const ConstView w_block = w.slice(1, column, column + block.features.extent(1));
    column += block.features.extent(1);
    const bool masked = block.mask.given();
    const View target = masked ? product.view() : logits;
    for_features(device, block.features, w.dtype(), [&](ConstView x, std::int64_t begin, std::int64_t end) {
      cpu::gemm(device, Transpose::no, Transpose::yes, block.scale, x, w_block, started && !masked ? 1.0 : 0.0,
                target.slice(0, begin, end), Epilogue::none, {});
    });
    if (masked) mask_rows(product.view(), block.mask, logits, started);
    started = true;
  }
}

void residual_fusion_backward(const Device& device, std::span<const FusionBlock> blocks, ConstView w, ConstView dlogits,
                              View dw, View dbias, std::span<const View> dfeatures) {
  if (dbias.given()) cpu::column_sums(device, dlogits, dbias);
  std::int64_t column = 0;
  const ScratchMatrix masked(device, any_masked(blocks) ? dlogits.extent(0) : 0, dlogits.extent(1), dlogits.dtype());
  for (std::size_t k = 0; k < blocks.size(); ++k) {
    const FusionBlock& block = blocks[k];
    const std::int64_t last = column + block.features.extent(1);
    ConstView gradient = dlogits;
    if (block.mask.given()) {
      mask_rows(dlogits, block.mask, masked.view(), false);
      gradient = masked.view();
    }
    for_features(device, block.features, w.dtype(), [&](ConstView x, std::int64_t begin, std::int64_t end) {
      cpu::gemm(device, Transpose::yes, Transpose::no, block.scale, gradient.slice(0, begin, end), x,
                begin > 0 ? 1.0 : 0.0, dw.slice(1, column, last), Epilogue::none, {});
    });
    if (k < dfeatures.size() && dfeatures[k].given()) {
      feature_gradient(device, block.scale, gradient, w.slice(1, column, last), dfeatures[k]);
    }
    column = last;
  }
}

}  // namespace rtl::kernels::cpu
