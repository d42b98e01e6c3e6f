// The devices that tests run their cases on.
#pragma once

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "rtl/core/device.hpp"

namespace rtl::test {

/// True with RTL_TEST_DEVICES=cuda, for runs that repeat the tests in another schedule of the emulator.
inline bool host_is_left_out() {
  const char* only = std::getenv("RTL_TEST_DEVICES");
  return only != nullptr && std::string_view(only) == "cuda" && Device::cuda_count() > 0;
}

/// The host, and the first CUDA device (in an EMULATED build, the emulator) where there is one.
inline std::vector<Device> devices() {
  std::vector<Device> found;
  if (!host_is_left_out()) found = {Device::cpu()};
  if (Device::cuda_count() > 0) found.push_back(Device::cuda(0));
  return found;
}

/// The same, the host with one and with two threads: what kernel tests run on.
inline std::vector<Device> devices_and_threads() {
  std::vector<Device> found;
  if (!host_is_left_out()) found = {Device::cpu(1), Device::cpu(2)};
  if (Device::cuda_count() > 0) found.push_back(Device::cuda(0));
  return found;
}

inline std::string name_of(const Device& device) {
  return device.is_cuda() ? device.name() : device.name() + " with " + std::to_string(device.threads()) + " threads";
}

}  // namespace rtl::test
