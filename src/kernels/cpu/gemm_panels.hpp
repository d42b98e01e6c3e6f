// Products by panels of the second matrix, packed anew in each call.
#pragma once

#include "kernels/cpu/gemm_problem.hpp"
#include "rtl/core/device.hpp"

namespace rtl::kernels::cpu {

/// Whether panels are faster than oneDNN: GFLOP/s of a product by panels and by oneDNN, with one thread of a Zen 4,
/// weights packed anew by each: in bf16 220 and 187 for 4096 x 512 x 128 (m, n, k), 222 and 198 with b not transposed;
/// in f32 107 and 93, 111 and 108, and oneDNN's bias and ReLU would be a pass of its own. (With tiles, AMX, oneDNN is
/// faster in bf16.) The problem alone decides, so the products of a batch have the bits of single ones.
bool panels_serve(const Problem<float>& problem);
template <typename Result>
bool panels_serve(const Problem<bfloat16, Result>& problem);

/// All products of a batch that they serve, with the epilogue.
template <typename T, typename Result>
void multiply_by_panels(const Device& device, const Batch<T, Result>& batch);

extern template bool panels_serve(const Problem<bfloat16, float>&);
extern template bool panels_serve(const Problem<bfloat16, bfloat16>&);
extern template void multiply_by_panels(const Device&, const Batch<float, float>&);
extern template void multiply_by_panels(const Device&, const Batch<bfloat16, float>&);
extern template void multiply_by_panels(const Device&, const Batch<bfloat16, bfloat16>&);

}  // namespace rtl::kernels::cpu
