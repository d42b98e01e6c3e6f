// The devices that a test runs its cases on.
#pragma once

#include <vector>

#include "rtl/core/device.hpp"

namespace rtl::test {

/// The host, and the first CUDA device (in an EMULATED build, the emulator) where there is one.
inline std::vector<Device> devices() {
  std::vector<Device> found = {Device::cpu()};
  if (Device::cuda_count() > 0) found.push_back(Device::cuda(0));
  return found;
}

}  // namespace rtl::test
