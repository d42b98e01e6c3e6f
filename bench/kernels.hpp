// Kernel functions, one after the other, on sizes of real use. Every public function of rtl/kernels that runs on a
// device has a case here (tests/bench checks that).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "random_values.hpp"
#include "rtl/core/tensor.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::bench {

struct KernelCase {
  std::string name;   ///< of the function
  std::string sizes;  ///< "m=512 n=128 k=64"
  double flop = 0;
  double bytes = 0;  ///< operands read and results written, once each
  std::function<void()> run;
};

using KernelCases = std::vector<KernelCase>;
void add_gemm_kernels(const Device& device, KernelCases& cases);
void add_conv_kernels(const Device& device, KernelCases& cases);
void add_pool_kernels(const Device& device, KernelCases& cases);
void add_norm_kernels(const Device& device, KernelCases& cases);
void add_elementwise_kernels(const Device& device, KernelCases& cases);
void add_head_kernels(const Device& device, KernelCases& cases);
void add_sequence_kernels(const Device& device, KernelCases& cases);
void add_linear_algebra_kernels(const Device& device, KernelCases& cases);

/// One family at a time, so that only its memory exists.
using KernelFamily = void (*)(const Device&, KernelCases&);
const std::vector<KernelFamily>& all_kernel_families();

/// A tensor that several cases share.
using Shared = std::shared_ptr<Tensor>;
inline Shared shared_values(const Shape& shape, const Device& device) {
  return std::make_shared<Tensor>(random_values(shape, device, 7));
}
inline Shared shared_values(const Shape& shape, DType dtype, const Device& device) {
  const auto values = std::make_shared<Tensor>(shape, dtype, device);
  kernels::cast(device, random_values(shape, device, 7), *values);
  return values;
}
inline Shared shared_zeros(const Shape& shape, DType dtype, const Device& device) {
  return std::make_shared<Tensor>(Tensor::zeros(shape, dtype, device));
}

}  // namespace rtl::bench
