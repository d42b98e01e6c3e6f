// The CUDA side of Device; absent from builds without CUDA.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "rtl/core/device.hpp"

namespace rtl::detail {

/// Number of usable devices; 0 without a driver.
int cuda_device_count() noexcept;

/// Throws DeviceError if there is no device `index`.
std::shared_ptr<Context> make_cuda_context(int index);

/// Numbers in memory of a CUDA context's device by which the blocks of a kernel count themselves: 0 when a kernel
/// begins, and left so. Kernels of one context run one after another, so that they may share them; those of a branch
/// (core/branch.hpp) do not, and get none: that throws CudaError.
constexpr std::int64_t ticket_count = 4096;
unsigned* tickets(Context& context);

/// What beside() and join() do for a CUDA context.
void record_beside(Context& context, const std::function<void()>& work);
void record_join(Context& context);

}  // namespace rtl::detail
