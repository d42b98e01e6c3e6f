#include "rtl/kernels/attention.hpp"

#include <cmath>

#include "kernels/backend/attention.hpp"
#include "kernels/check.hpp"
#include "kernels/dispatch.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/step_state.hpp"

namespace rtl::kernels {
namespace {

void check_heads(const char* call, const check::Named& heads) {
  check::rank(call, heads, 4);
  check::value(heads.view.count() == 0 || heads.view.extent(3) == 1 || heads.view.strides()[3] == 1, call, [&] {
    return fmt::format("the elements of a head of '{}' {} are not neighbours in memory", heads.name,
                       heads.view.shape().to_string());
  });
}

struct Operands {
  ConstView q, k, v, lengths, counters, out, log_sum_exp;
};

void check_attention(const char* call, const Device& device, const Operands& o, const AttentionOptions& options) {
  const check::Named lengths{"lengths", o.lengths, check::optional};
  check::on_device(call, device, {lengths});
  check::layer_operands(call, device, {{"q", o.q}, {"k", o.k}, {"v", o.v}, {"out", o.out}},
                        {{"log_sum_exp", o.log_sum_exp}});
  for (const check::Named& heads : {check::Named{"q", o.q}, {"k", o.k}, {"v", o.v}, {"out", o.out}}) {
    check_heads(call, heads);
  }
  check::contiguous(call, {lengths, {"log_sum_exp", o.log_sum_exp}});
  const std::int64_t sequences = o.q.extent(0), heads = o.q.extent(2), size = o.q.extent(3), groups = o.k.extent(2);
  check::shape(call, {"v", o.v}, o.k.shape());
  check::shape(call, {"out", o.out}, o.q.shape());
  check::shape(call, {"log_sum_exp", o.log_sum_exp}, {sequences, heads, o.q.extent(1)});
  if (o.k.extent(0) != sequences || o.k.extent(3) != size || groups < 1 || heads % groups != 0) {
    throw ShapeError(
        fmt::format("{}: 'q' is {} and 'k' {}; equal sequences and head sizes are needed, and a number of "
                    "heads that is a multiple of the key heads'",
                    call, o.q.shape().to_string(), o.k.shape().to_string()));
  }
  check::value(size <= 256, call, [&] { return fmt::format("heads of {} elements; at most 256 are possible", size); });
  if (o.lengths.given()) {
    check::dtype(call, lengths, DType::i32);
    check::shape(call, lengths, {sequences});
  }
  check::value(options.dropout >= 0 && options.dropout < 1, call,
               [&] { return fmt::format("dropout is {}, but must be in [0, 1)", options.dropout); });
  if (options.dropout == 0) return;
  check::on_device(call, device, {{"counters", o.counters}});
  check::dtype(call, {"counters", o.counters}, DType::i64);
  check::shape(call, {"counters", o.counters}, {Counters::count});
}

AttentionOptions with_scale(AttentionOptions options, std::int64_t head_size) {
  if (options.scale == 0) options.scale = 1 / std::sqrt(static_cast<double>(std::max<std::int64_t>(head_size, 1)));
  return options;
}

}  // namespace

void attention_forward(const Device& device, ConstView q, ConstView k, ConstView v, ConstView lengths,
                       ConstView counters, const AttentionOptions& options, View out, View log_sum_exp) {
  constexpr auto call = "attention_forward";
  check_attention(call, device, {q, k, v, lengths, counters, out, log_sum_exp}, options);
  check::writable(call, {"out", out});
  if (out.count() == 0) return;
  if (k.count() == 0) {
    fill(device, 0, out);
    return fill(device, -INFINITY, log_sum_exp);
  }
  const AttentionOptions scaled = with_scale(options, q.extent(3));
  RTL_DISPATCH(device, attention_forward(device, q, k, v, lengths, counters, scaled, out, log_sum_exp));
}

void attention_backward(const Device& device, ConstView q, ConstView k, ConstView v, ConstView lengths,
                        ConstView counters, const AttentionOptions& options, ConstView out, ConstView log_sum_exp,
                        ConstView dout, View dq, View dk, View dv) {
  constexpr auto call = "attention_backward";
  check_attention(call, device, {q, k, v, lengths, counters, out, log_sum_exp}, options);
  check::layer_operands(call, device, {{"q", q}, {"dout", dout}, {"dq", dq}, {"dk", dk}, {"dv", dv}});
  check::shapes(call, {{"dout", dout}, {"dq", dq}}, q.shape());
  check::shapes(call, {{"dk", dk}, {"dv", dv}}, k.shape());
  for (const check::Named& heads : {check::Named{"dout", dout}, {"dq", dq}, {"dk", dk}, {"dv", dv}}) {
    check_heads(call, heads);
  }
  for (const check::Named& result : {check::Named{"dq", dq}, {"dk", dk}, {"dv", dv}}) check::writable(call, result);
  if (q.count() == 0 || k.count() == 0) {
    for (const View& result : {dq, dk, dv}) fill(device, 0, result);
    return;
  }
  const AttentionOptions scaled = with_scale(options, q.extent(3));
  RTL_DISPATCH(device,
               attention_backward(device, q, k, v, lengths, counters, scaled, out, log_sum_exp, dout, dq, dk, dv));
}

}  // namespace rtl::kernels
