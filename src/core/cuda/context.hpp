// The CUDA side of Device; absent from builds without CUDA.
#pragma once

#include <memory>

#include "rtl/core/device.hpp"

namespace rtl::detail {

/// Number of usable devices; 0 without a driver.
int cuda_device_count() noexcept;

/// Throws DeviceError if there is no device `index`.
std::shared_ptr<Context> make_cuda_context(int index);

}  // namespace rtl::detail
