// Backend functions of "rtl/kernels/gemm.hpp": same parameters as the public ones, which have checked them.
#pragma once

#include "kernels/backend/declare.hpp"
#include "rtl/kernels/gemm.hpp"

namespace rtl::kernels {

RTL_DECLARE_BACKENDS(void gemm(const Device& device, Transpose transpose_a, Transpose transpose_b, double alpha,
                               ConstView a, ConstView b, double beta, View c, Epilogue epilogue, ConstView bias))
RTL_DECLARE_BACKENDS(void column_sums(const Device& device, ConstView x, View out))

}  // namespace rtl::kernels
