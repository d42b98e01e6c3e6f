// A share of an optimizer step.
#pragma once

#include <cstdint>

#include "kernels/optimizer_functors.hpp"

namespace rtl::kernels::cpu {

/// Elements [begin, end) of one slot, all of one replica.
struct Part {
  functors::StepNumbers numbers;  ///< of the replica
  std::int64_t start_shift = 0;   ///< the start point's elements are so much further on
  std::int64_t begin = 0, end = 0;
  double average_decay = 0;
};

}  // namespace rtl::kernels::cpu
