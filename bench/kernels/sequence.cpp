// What transformers are made of, on 64 sequences of 64 positions of 128 elements.
#include "rtl/kernels/sequence.hpp"

#include "kernels.hpp"
#include "rtl/kernels/attention.hpp"
#include "rtl/kernels/row_norm.hpp"

namespace rtl::bench {
namespace {

constexpr std::int64_t sequences = 64, positions = 64, width = 128, heads = 4;
constexpr double epsilon = 1e-5;

std::string sizes_of(const char* sizes, DType dtype) {
  return dtype == DType::f32 ? sizes : std::string(sizes) + " bf16";
}

void add_row_norms(const Device& device, KernelCases& cases, DType dtype) {
  const Shape shape{sequences * positions, width};
  const Shared x = shared_values(shape, dtype, device), dy = shared_values(shape, dtype, device);
  const Shared y = shared_zeros(shape, dtype, device), gamma = shared_values({width}, device);
  const Shared dgamma = shared_zeros({width}, DType::f32, device), dbeta = shared_zeros({width}, DType::f32, device);
  const Shared mean = shared_zeros({shape[0]}, DType::f32, device), inverse = shared_values({shape[0]}, device);
  const auto bytes = static_cast<double>(x->bytes()), count = static_cast<double>(x->count());
  const std::string sizes = sizes_of("4096x128", dtype);
  cases.push_back({"layer_norm_forward", sizes, 8 * count, 2 * bytes,
                   [=] { kernels::layer_norm_forward(device, *x, *gamma, *gamma, epsilon, *y, *mean, *inverse); }});
  cases.push_back({"layer_norm_backward", sizes, 14 * count, 3 * bytes, [=] {
                     kernels::layer_norm_backward(device, *x, *gamma, *mean, *inverse, *dy, *y, *dgamma, *dbeta);
                   }});
  cases.push_back({"rms_norm_forward", sizes, 4 * count, 2 * bytes,
                   [=] { kernels::rms_norm_forward(device, *x, *gamma, epsilon, *y, *inverse); }});
  cases.push_back({"rms_norm_backward", sizes, 11 * count, 3 * bytes,
                   [=] { kernels::rms_norm_backward(device, *x, *gamma, *inverse, *dy, *y, *dgamma); }});
}

void add_activations(const Device& device, KernelCases& cases, DType dtype) {
  const Shape shape{sequences * positions, 4 * width};
  const Shared x = shared_values(shape, dtype, device), dy = shared_values(shape, dtype, device);
  const Shared y = shared_zeros(shape, dtype, device);
  const auto bytes = static_cast<double>(x->bytes()), count = static_cast<double>(x->count());
  const auto unary = [&](const char* name, kernels::UnaryOp op) {
    cases.push_back(
        {"unary", sizes_of("4096x512 ", dtype) + name, count, 2 * bytes, [=] { kernels::unary(device, op, *x, *y); }});
  };
  const auto binary = [&](const char* name, kernels::BinaryOp op) {
    cases.push_back({"binary", sizes_of("4096x512 ", dtype) + name, count, 3 * bytes,
                     [=] { kernels::binary(device, op, *x, *dy, *y); }});
  };
  unary("gelu", kernels::UnaryOp::gelu);
  unary("silu", kernels::UnaryOp::silu);
  binary("gelu_backward", kernels::BinaryOp::gelu_backward);
  binary("swiglu", kernels::BinaryOp::swiglu);
}

void add_attention(const Device& device, KernelCases& cases, DType dtype, std::int64_t count, std::int64_t length,
                   bool causal) {
  const std::int64_t size = width / heads;
  const Shape shape{count, length, heads, size};
  const Shared qkv = shared_values({count, length, 3 * heads, size}, dtype, device);
  const Shared dqkv = shared_zeros(qkv->shape(), dtype, device);
  const Shared out = shared_zeros(shape, dtype, device), dout = shared_values(shape, dtype, device);
  const Shared sums = shared_zeros({count, heads, length}, DType::f32, device);
  const auto part = [](const Shared& all, std::int64_t i) { return all->view().slice(2, i * heads, (i + 1) * heads); };
  const auto bytes = static_cast<double>(qkv->bytes()) / 3;
  const double flop = 4.0 * static_cast<double>(count * length * length * width) * (causal ? 0.5 : 1.0);
  const std::string sizes = sizes_of(length == positions ? "64x64x4x32" : "1x2048x4x32 causal", dtype);
  const kernels::AttentionOptions options{.causal = causal};
  const auto forward = [=] {
    kernels::attention_forward(device, part(qkv, 0), part(qkv, 1), part(qkv, 2), {}, {}, options, *out, *sums);
  };
  forward();
  cases.push_back({"attention_forward", sizes, flop, 4 * bytes, forward});
  cases.push_back({"attention_backward", sizes, 2.5 * flop, 8 * bytes, [=] {
                     kernels::attention_backward(device, part(qkv, 0), part(qkv, 1), part(qkv, 2), {}, {}, options,
                                                 *out, *sums, *dout, part(dqkv, 0), part(dqkv, 1), part(dqkv, 2));
                   }});
}

void add_sequences(const Device& device, KernelCases& cases) {
  const Shared ids = shared_zeros({sequences, positions}, DType::i32, device);
  const Shared lengths = shared_zeros({sequences}, DType::i32, device);
  const Shared x = shared_values({sequences, positions, heads, width / heads}, device);
  const Shared turned = shared_zeros(x->shape(), DType::f32, device);
  const Shared means = shared_zeros({sequences, width}, DType::f32, device);
  const Shared angles = shared_values({positions, width / heads / 2}, device);
  const auto bytes = static_cast<double>(x->bytes()), count = static_cast<double>(x->count());
  const auto rows = [](const Shared& all) { return all->view().reshaped({sequences, positions, width}); };
  cases.push_back({"sequence_lengths", "64x64", 0, static_cast<double>(ids->bytes()),
                   [=] { kernels::sequence_lengths(device, *ids, *lengths); }});
  cases.push_back(
      {"sequence_mean", "64x64x128", count, bytes, [=] { kernels::sequence_mean(device, rows(x), {}, *means); }});
  cases.push_back({"sequence_mean_backward", "64x64x128", count / positions, bytes,
                   [=] { kernels::sequence_mean_backward(device, *means, {}, rows(turned)); }});
  cases.push_back({"rotate_positions", "64x64x4x32", 3 * count, 2 * bytes, [=] {
                     kernels::rotate_positions(device, *x, *angles, *angles, kernels::RotaryPairs::halves, heads, false,
                                               *turned);
                   }});
}

}  // namespace

void add_sequence_kernels(const Device& device, KernelCases& cases) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    add_row_norms(device, cases, dtype);
    add_activations(device, cases, dtype);
    add_attention(device, cases, dtype, sequences, positions, false);
    add_attention(device, cases, dtype, 1, 2048, true);
  }
  add_sequences(device, cases);
}

}  // namespace rtl::bench
