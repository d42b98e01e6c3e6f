// Products of bf16 by oneDNN, on a processor that multiplies bf16 (multiplies_bf16).
#pragma once

#include "kernels/cpu/gemm_problem.hpp"
#include "kernels/cpu/lender.hpp"

namespace rtl::kernels::cpu {

class ProductPlans;

/// The products of one call, for a team of threads. Result is float or bfloat16.
template <typename Result>
class Bf16Products {
 public:
  Bf16Products(const Device& device, int team);
  ~Bf16Products();
  Bf16Products(const Bf16Products&) = delete;
  Bf16Products& operator=(const Bf16Products&) = delete;
  /// Makes what products like this one need; before the threads begin.
  void prepare(const Problem<bfloat16, Result>& problem);
  /// With the epilogue; on one thread, which may belong to the team.
  void multiply(const Problem<bfloat16, Result>& problem);

 private:
  Lender<ProductPlans>::Loan plans_;
  int team_;
};

extern template class Bf16Products<float>;
extern template class Bf16Products<bfloat16>;

}  // namespace rtl::kernels::cpu
