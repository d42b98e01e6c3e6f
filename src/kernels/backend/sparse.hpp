// Backend functions of "rtl/kernels/sparse.hpp": same parameters as the public ones, which have checked them.
#pragma once

#include "kernels/backend/declare.hpp"
#include "rtl/kernels/sparse.hpp"

namespace rtl::kernels {

RTL_DECLARE_BACKENDS(void sparse_product(const Device& device, const SparseRows& a, ConstView x, View y))
RTL_DECLARE_BACKENDS(void gather_sparse_rows(const Device& device, const SparseRows& table, ConstView background,
                                             ConstView rows, View out, ConstView counters))

}  // namespace rtl::kernels
