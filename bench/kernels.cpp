#include "kernels.hpp"

namespace rtl::bench {

const std::vector<KernelFamily>& all_kernel_families() {
  static const std::vector<KernelFamily> families = {add_gemm_kernels,     add_conv_kernels,          add_pool_kernels,
                                                     add_norm_kernels,     add_elementwise_kernels,   add_head_kernels,
                                                     add_sequence_kernels, add_linear_algebra_kernels};
  return families;
}

}  // namespace rtl::bench
