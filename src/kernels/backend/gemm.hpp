// Backend functions of "rtl/kernels/gemm.hpp": same parameters as the public ones, which have checked them.
#pragma once

#include "kernels/backend/declare.hpp"
#include "rtl/kernels/gemm.hpp"

namespace rtl::kernels {

/// A matrix as a batch of one.
template <typename V>
V batch_of_one(const V& matrix) {
  Strides strides{};
  strides[1] = matrix.strides()[0];
  strides[2] = matrix.strides()[1];
  return {matrix.data(), matrix.dtype(), {1, matrix.extent(0), matrix.extent(1)}, strides, matrix.context()};
}

RTL_DECLARE_BACKENDS(void gemm(const Device& device, Transpose transpose_a, Transpose transpose_b, double alpha,
                               ConstView a, ConstView b, double beta, View c, Epilogue epilogue, ConstView bias))
/// a and b have the batch of c, or the batch 1.
RTL_DECLARE_BACKENDS(void gemm_batched(const Device& device, Transpose transpose_a, Transpose transpose_b, double alpha,
                                       ConstView a, ConstView b, double beta, View c, Epilogue epilogue,
                                       ConstView bias))
RTL_DECLARE_BACKENDS(void column_sums(const Device& device, ConstView x, View out))

}  // namespace rtl::kernels
