#include "rtl/kernels/sequence.hpp"

#include "kernels/backend/sequence.hpp"
#include "kernels/check.hpp"
#include "kernels/dispatch.hpp"

namespace rtl::kernels {
namespace {

/// Sequences [N, T, C], what is pooled from them [N, C], and their lengths.
void check_pooling(const char* call, const Device& device, const check::Named& sequences, const check::Named& pooled,
                   ConstView lengths) {
  const check::Named named{"lengths", lengths, check::optional};
  check::on_device(call, device, {sequences, pooled, named});
  check::contiguous(call, {sequences, pooled, named});
  check::rank(call, sequences, 3);
  check::shape(call, pooled, {sequences.view.extent(0), sequences.view.extent(2)});
  if (!lengths.given()) return;
  check::dtype(call, named, DType::i32);
  check::shape(call, named, {sequences.view.extent(0)});
}

/// One dtype, or f32 beside sequences of bf16.
void check_pooled_dtype(const char* call, const check::Named& sequences, const check::Named& pooled) {
  if (pooled.view.dtype() == sequences.view.dtype()) {
    check::activations_and_parameters(call, {sequences, pooled}, {});
  } else {
    check::activations_and_parameters(call, {sequences}, {pooled});
  }
}

}  // namespace

void sequence_lengths(const Device& device, ConstView ids, View lengths) {
  constexpr auto call = "sequence_lengths";
  check::on_device(call, device, {{"ids", ids}, {"lengths", lengths}});
  check::contiguous(call, {{"ids", ids}, {"lengths", lengths}});
  check::dtype(call, {"ids", ids}, DType::i32);
  check::dtype(call, {"lengths", lengths}, DType::i32);
  check::rank(call, {"ids", ids}, 2);
  check::shape(call, {"lengths", lengths}, {ids.extent(0)});
  if (lengths.count() == 0) return;
  RTL_DISPATCH(device, sequence_lengths(device, ids, lengths));
}

void sequence_mean(const Device& device, ConstView x, ConstView lengths, View y) {
  constexpr auto call = "sequence_mean";
  check_pooling(call, device, {"x", x}, {"y", y}, lengths);
  check_pooled_dtype(call, {"x", x}, {"y", y});
  if (y.count() == 0) return;
  RTL_DISPATCH(device, sequence_mean(device, x, lengths, y));
}

void sequence_mean_backward(const Device& device, ConstView dy, ConstView lengths, View dx) {
  constexpr auto call = "sequence_mean_backward";
  check_pooling(call, device, {"dx", dx}, {"dy", dy}, lengths);
  check_pooled_dtype(call, {"dx", dx}, {"dy", dy});
  if (dx.count() == 0) return;
  RTL_DISPATCH(device, sequence_mean_backward(device, dy, lengths, dx));
}

void rotate_positions(const Device& device, ConstView x, ConstView cosines, ConstView sines, RotaryPairs pairs,
                      std::int64_t heads, bool back, View y) {
  constexpr auto call = "rotate_positions";
  check::dense_layer_operands(call, device, {{"x", x}, {"y", y}}, {{"cosines", cosines}, {"sines", sines}});
  check::rank(call, {"x", x}, 4);
  check::shape(call, {"y", y}, x.shape());
  check::rank(call, {"cosines", cosines}, 2);
  check::shape(call, {"sines", sines}, cosines.shape());
  const std::int64_t size = x.extent(3);
  check::value(size % 2 == 0, call, [&] { return fmt::format("heads of {} elements are no pairs", size); });
  check::value(heads >= 0 && heads <= x.extent(2), call,
               [&] { return fmt::format("{} of the {} heads of 'x' are to be turned", heads, x.extent(2)); });
  if (cosines.extent(0) < x.extent(1) || cosines.extent(1) != size / 2) {
    throw ShapeError(fmt::format("{}: 'cosines' are {}, but [at least {}, {}] are needed for 'x' {}", call,
                                 cosines.shape().to_string(), x.extent(1), size / 2, x.shape().to_string()));
  }
  if (x.count() == 0) return;
  RTL_DISPATCH(device, rotate_positions(device, x, cosines, sines, pairs, heads, back, y));
}

}  // namespace rtl::kernels
