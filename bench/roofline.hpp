// What this machine can do at best, measured in the same run as everything it is compared with.
#pragma once

#include <string>

#include "measure.hpp"

namespace rtl::bench {

struct Roofline {
  double flops = 0;       ///< f32 FLOP/s of all threads: independent fused multiply-adds on registers
  double flops_bf16 = 0;  ///< FLOP/s of all threads in a product of two bf16 matrices, 2048 x 2048
  double bandwidth = 0;   ///< bytes/s of all threads: a[i] = b[i] + s * c[i] on arrays far larger than the caches
};

Roofline measure_roofline(const Settings& settings);

/// The rate that the roofline allows for work of so many FLOP and bytes, and what limits it.
struct Limit {
  double rate = 0;  ///< units/s
  std::string from;
};
Limit limit_of(const Roofline& roofline, double flop, double bytes, bool bf16 = false);

}  // namespace rtl::bench
