// Matrix products of heads and of plain size.
#include "rtl/kernels/gemm.hpp"

#include <fmt/format.h>

#include "kernels.hpp"

namespace rtl::bench {
namespace {

using kernels::Transpose;

const char* suffix_of(DType dtype) { return dtype == DType::bf16 ? " bf16" : ""; }

void add_gemm(const Device& device, KernelCases& cases, DType dtype, std::int64_t m, std::int64_t n, std::int64_t k,
              Transpose ta, Transpose tb, bool bias_relu) {
  const bool a_turned = ta == Transpose::yes;
  const bool b_turned = tb == Transpose::yes;
  const Shared a = shared_values(a_turned ? Shape{k, m} : Shape{m, k}, dtype, device);
  const Shared b = shared_values(b_turned ? Shape{n, k} : Shape{k, n}, dtype, device);
  const Shared bias = shared_values({n}, device);
  const Shared c = shared_zeros({m, n}, dtype, device);
  const double flop = 2.0 * static_cast<double>(m * n) * static_cast<double>(k);
  cases.push_back({"gemm",
                   fmt::format("m={} n={} k={} {}{}{}{}", m, n, k, a_turned ? 'T' : 'N', b_turned ? 'T' : 'N',
                               bias_relu ? " bias+relu" : "", suffix_of(dtype)),
                   flop, static_cast<double>(a->bytes() + b->bytes() + c->bytes()),
                   [device, ta, tb, bias_relu, a, b, bias, c] {
                     kernels::gemm(device, ta, tb, 1.0, *a, *b, 0.0, *c,
                                   bias_relu ? kernels::Epilogue::bias_relu : kernels::Epilogue::none,
                                   bias_relu ? ConstView(*bias) : ConstView());
                   }});
}

}  // namespace

void add_gemm_kernels(const Device& device, KernelCases& cases) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    add_gemm(device, cases, dtype, 512, 128, 64, Transpose::no, Transpose::yes, true);
    add_gemm(device, cases, dtype, 512, 10, 128, Transpose::no, Transpose::yes, false);
    add_gemm(device, cases, dtype, 128, 64, 512, Transpose::yes, Transpose::no, false);
    add_gemm(device, cases, dtype, 10, 128, 512, Transpose::yes, Transpose::no, false);
    add_gemm(device, cases, dtype, 512, 128, 10, Transpose::no, Transpose::no, false);
    add_gemm(device, cases, dtype, 1024, 1024, 1024, Transpose::no, Transpose::no, false);
  }
  for (const DType dtype : {DType::f32, DType::bf16}) {
    constexpr std::int64_t replicas = 20, rows = 512, outputs = 128, inputs = 64;
    const Shared batch = shared_values({replicas, rows, inputs}, dtype, device),
                 weights = shared_values({replicas, outputs, inputs}, dtype, device),
                 products = shared_zeros({replicas, rows, outputs}, dtype, device);
    cases.push_back(
        {"gemm_batched", fmt::format("{} x m={} n={} k={} NT{}", replicas, rows, outputs, inputs, suffix_of(dtype)),
         2.0 * replicas * static_cast<double>(rows * outputs * inputs),
         static_cast<double>(batch->bytes() + weights->bytes() + products->bytes()),
         [=] { kernels::gemm_batched(device, Transpose::no, Transpose::yes, 1.0, *batch, *weights, 0.0, *products); }});
    const Shared x = shared_values({4096, 128}, dtype, device);
    const Shared sums = shared_zeros({128}, DType::f32, device);
    cases.push_back({"column_sums", fmt::format("4096x128{}", suffix_of(dtype)), static_cast<double>(x->count()),
                     static_cast<double>(x->bytes()), [device, x, sums] { kernels::column_sums(device, *x, *sums); }});
  }
}

}  // namespace rtl::bench
