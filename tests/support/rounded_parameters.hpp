// Cases in f32 and f64, and in bf16 with parameters of f32 that the kernel rounds to bf16.
#pragma once

#include <utility>
#include <vector>

#include "rtl/core/dtype.hpp"
#include "support/kernel_case.hpp"

namespace rtl::test {

inline Reals rounded_to_bf16(Reals values) {
  // The values are those of f32, which a conversion keeps.
  for (long double& value : values) value = to_float(to_bfloat16(static_cast<float>(value)));
  return values;
}

/// Adds `kernel_case` in f32 and f64, and in bf16 with a reference that rounds these inputs first.
inline void add_with_bf16(std::vector<KernelCase>& cases, KernelCase kernel_case, std::vector<std::size_t> rounded) {
  cases.push_back(kernel_case);
  kernel_case.label += "_bf16";
  kernel_case.dtypes = {DType::bf16};
  kernel_case.gradients = {};  // in f64, which the case above shows
  kernel_case.reference = [reference = kernel_case.reference, rounded = std::move(rounded)](
                              const std::vector<Reals>& in, const std::vector<Reals>& initial) {
    std::vector<Reals> given = in;
    for (const std::size_t i : rounded) given[i] = rounded_to_bf16(std::move(given[i]));
    return reference(given, initial);
  };
  cases.push_back(std::move(kernel_case));
}

}  // namespace rtl::test
