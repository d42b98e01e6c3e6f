// Products of bf16 by panels, on a processor that multiplies bf16 by vectors.
#pragma once

#include "kernels/cpu/gemm_problem.hpp"
#include "rtl/core/device.hpp"

namespace rtl::kernels::cpu {

/// Whether panels are faster than oneDNN: GFLOP/s of a product by panels and by oneDNN, with one thread of a Zen 4,
/// weights packed anew by each: 220 and 187 for 4096 x 512 x 128 (m, n, k), 222 and 198 with b not transposed. (With
/// tiles, AMX, oneDNN is faster.) The problem alone decides, so the products of a batch have the bits of single ones.
template <typename Result>
bool panels_serve(const Problem<bfloat16, Result>& problem);

/// All products of a batch that they serve, with the epilogue.
template <typename Result>
void multiply_by_panels(const Device& device, const Batch<bfloat16, Result>& batch);

extern template bool panels_serve(const Problem<bfloat16, float>&);
extern template bool panels_serve(const Problem<bfloat16, bfloat16>&);
extern template void multiply_by_panels(const Device&, const Batch<bfloat16, float>&);
extern template void multiply_by_panels(const Device&, const Batch<bfloat16, bfloat16>&);

}  // namespace rtl::kernels::cpu
