// The inner loops of ridge and L2-SP paths: rows are centred and scaled, rotated (gemm), and then every penalty and
// output is scored in one pass over them. No coefficient matrix per penalty is formed.
#pragma once

#include <cstdint>

#include "rtl/core/tensor.hpp"

namespace rtl::kernels {

/// sums[j] = sum over i of weights[i] * x[i, j], added up in f64. x [n, p] f32 or f64 with contiguous rows; weights [n]
/// f64, absent: all 1; sums f64 [p]. Deterministic.
void weighted_column_sums(const Device& device, ConstView x, ConstView weights, View sums);

/// out[i, j] = (x[i, j] - shift[j]) * scale[i], computed in f64 and rounded to out's dtype. x [n, p] f32 or f64 and out
/// [n, p] f32 or f64, both with contiguous rows that may be strided; shift f64 [p] (absent: 0); scale f64 [n] (absent:
/// 1).
void center_rows(const Device& device, ConstView x, ConstView shift, ConstView scale, View out);

/// What ridge_path_errors works on: `batch` independent problems of n rows, r components, k outputs. All contiguous and
/// of one dtype, f32 or f64.
struct RidgePathRows {
  ConstView basis;    ///< [batch, r, n]: component j of row i
  ConstView targets;  ///< [batch, k, n]; absent: the complement form
  ConstView rotated;  ///< [batch, r, k]
  ConstView filters;  ///< [batch, s, r]
  ConstView mixing;   ///< [batch, L, s]: the filter of penalty l is sum_s mixing[l, s] filters[s, :]; absent: L = s
  ConstView intercept_leverage;  ///< [batch, n]: leverage that the components do not show; absent: 0
};

/// For each problem, row i, penalty l and output o, with g_lj the filter of penalty l at component j:
///
///   part  = sum_j basis[j, i] rotated[j, o] g_lj            share = sum_j basis[j, i]^2 g_lj
///   error = targets[o, i] - part,  margin = 1 - intercept_leverage[i] - share  (with targets)
///   error = part,                  margin = share - intercept_leverage[i]      (the complement form, without)
///   left_out[l, o] += (error / margin)^2,   residual[l, o] += error^2
///
/// Primal ridge: basis = (X V)', rotated = V'X'R, g_lj = 1 / (e_j + n penalty_l); from singular vectors U: basis = U',
/// rotated = U'R, g_lj = e_j / (e_j + n penalty_l); dual (complement): the same with g_lj = n penalty_l / (e_j + n
/// penalty_l), or a multiple of it for each penalty, which multiplies error and margin alike. Then error / margin is
/// the leave-one-out residual. Where margin is not above 64 unit roundoffs, left_out becomes
/// infinite. left_out and residual are f64 [batch, L, k] and are added to. 2 n r (s k + s) + 2 n s L (k + 1) FLOP a
/// problem. One launch for all problems, in a fixed order of additions. Throws ShapeError, DTypeError, DeviceError.
void ridge_path_errors(const Device& device, const RidgePathRows& rows, View left_out, View residual);

}  // namespace rtl::kernels
