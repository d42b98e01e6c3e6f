#include "rtl/kernels/residual_fusion.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

#include "kernels/backend/residual_fusion.hpp"
#include "kernels/check.hpp"
#include "kernels/dispatch.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::kernels {
namespace {

/// "WHAT of block K", without an allocation.
class BlockName {
 public:
  BlockName(const char* what, std::size_t block) {
    length_ = fmt::format_to_n(text_.data(), text_.size(), "{} of block {}", what, block).size;
  }
  // NOLINTNEXTLINE(google-explicit-constructor)
  operator std::string_view() const { return {text_.data(), std::min(length_, text_.size())}; }

 private:
  std::array<char, 48> text_{};
  std::size_t length_ = 0;
};

void check_block(const char* call, const Device& device, const FusionBlock& block, ConstView w, std::int64_t samples,
                 std::size_t number) {
  const BlockName features("features", number), mask("mask", number);
  check::on_device(call, device, {{features, block.features}, {mask, block.mask, check::optional}});
  const bool mixed = w.dtype() == DType::f32 && block.features.dtype() == DType::bf16;
  if (!mixed) check::dtype(call, {features, block.features}, w.dtype());
  check::dtype(call, {mask, block.mask}, w.dtype());
  check::rank(call, {features, block.features}, 2);
  check::shape(call, {features, block.features}, {samples, block.features.extent(1)});
  check::shape(call, {mask, block.mask}, {samples});
  check::contiguous(call, {{features, block.features}, {mask, block.mask}});
}

/// Checks the blocks against `weights` [C, sum p_k] and `logits` [N, C].
void check_blocks(const char* call, const Device& device, std::span<const FusionBlock> blocks,
                  const check::Named& weights, const check::Named& logits) {
  check::value(!blocks.empty(), call, "there are no feature blocks; give at least one");
  check::rank(call, weights, 2);
  check::rank(call, logits, 2);
  std::int64_t columns = 0;
  for (std::size_t k = 0; k < blocks.size(); ++k) {
    check_block(call, device, blocks[k], weights.view, logits.view.extent(0), k);
    if (blocks[k].features.extent(1) == 0) {
      throw ShapeError(fmt::format("{}: block {} has no columns; leave it out", call, k));
    }
    columns += blocks[k].features.extent(1);
  }
  check::shape(call, weights, {logits.view.extent(1), columns});
}

}  // namespace

void residual_fusion_forward(const Device& device, std::span<const FusionBlock> blocks, ConstView w, ConstView bias,
                             View logits) {
  constexpr auto call = "residual_fusion_forward";
  check::dense_operands(call, device, {{"w", w}, {"bias", bias, check::optional}, {"logits", logits}});
  check_blocks(call, device, blocks, {"w", w}, {"logits", logits});
  check::shape(call, {"bias", bias}, {w.extent(0)});
  if (logits.count() == 0) return;
  RTL_DISPATCH(device, residual_fusion_forward(device, blocks, w, bias, logits));
}

void residual_fusion_backward(const Device& device, std::span<const FusionBlock> blocks, ConstView w, ConstView dlogits,
                              View dw, View dbias, std::span<const View> dfeatures) {
  constexpr auto call = "residual_fusion_backward";
  check::dense_operands(call, device, {{"w", w}, {"dlogits", dlogits}, {"dw", dw}, {"dbias", dbias, check::optional}});
  check_blocks(call, device, blocks, {"w", w}, {"dlogits", dlogits});
  check::shape(call, {"dw", dw}, w.shape());
  check::shape(call, {"dbias", dbias}, {w.extent(0)});
  if (!dfeatures.empty() && dfeatures.size() != blocks.size()) {
    throw ShapeError(fmt::format("{}: {} gradients for {} blocks; give one (or an absent view) for each", call,
                                 dfeatures.size(), blocks.size()));
  }
  for (std::size_t k = 0; k < dfeatures.size(); ++k) {
    const BlockName name("gradient", k);
    const check::Named gradient{name, dfeatures[k], check::optional};
    check::on_device(call, device, {gradient});
    check::dtype(call, gradient, blocks[k].features.dtype());
    check::contiguous(call, {gradient});
    check::shape(call, gradient, blocks[k].features.shape());
  }
  if (w.count() == 0) return;
  if (dlogits.count() == 0) {
    fill(device, 0.0, dw);
    if (dbias.given()) fill(device, 0.0, dbias);
    return;
  }
  RTL_DISPATCH(device, residual_fusion_backward(device, blocks, w, dlogits, dw, dbias, dfeatures));
}

}  // namespace rtl::kernels
