// Products on one thread, by the library of their type: oneDNN in f32 and bf16, OpenBLAS in f64.
#pragma once

#include "kernels/cpu/gemm_onednn.hpp"
#include "kernels/cpu/gemm_problem.hpp"

namespace rtl::kernels::cpu {

/// The epilogue is left out.
void multiply(const Problem<float>& problem);
void multiply(const Problem<double>& problem);

/// The products of one call, for a team of threads: `prepare` is called for one of each kind before the threads begin.
template <typename T, typename Result>
struct Products {
  Products(const Device&, int) {}
  void prepare(const Problem<T, Result>&) const {}
  void multiply(const Problem<T, Result>& problem) const { cpu::multiply(problem); }
};
template <typename Result>
struct Products<bfloat16, Result> : Bf16Products<Result> {
  using Bf16Products<Result>::Bf16Products;
};

}  // namespace rtl::kernels::cpu
