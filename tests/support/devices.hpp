// The devices that tests run their cases on.
#pragma once

#include <string>
#include <vector>

#include "rtl/core/device.hpp"

namespace rtl::test {

/// The host, and the first CUDA device (in an EMULATED build, the emulator) where there is one.
inline std::vector<Device> devices() {
  std::vector<Device> found = {Device::cpu()};
  if (Device::cuda_count() > 0) found.push_back(Device::cuda(0));
  return found;
}

/// The same, the host with one and with two threads: what kernel tests run on.
inline std::vector<Device> devices_and_threads() {
  std::vector<Device> found = {Device::cpu(1), Device::cpu(2)};
  if (Device::cuda_count() > 0) found.push_back(Device::cuda(0));
  return found;
}

inline std::string name_of(const Device& device) {
  return device.is_cuda() ? device.name() : device.name() + " with " + std::to_string(device.threads()) + " threads";
}

}  // namespace rtl::test
