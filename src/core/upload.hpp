// Bytes that the host makes piece by piece and a device needs.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "rtl/core/device.hpp"

namespace rtl::detail {

/// Writes `count` of the bytes to host memory, from the one at `begin` on.
using FillPiece = std::function<void(std::byte* to, std::size_t begin, std::size_t count)>;

/// Puts `bytes` bytes to `to`, which is memory of `device`. `fill` is called for one piece after another; pieces begin
/// at multiples of `granule`. On a CUDA device a piece is copied from page-locked memory while the next is filled, and
/// the last is still on its way, in the device's stream, when this returns; on the host `fill` writes to `to`.
void upload(const Device& device, void* to, std::size_t bytes, std::size_t granule, const FillPiece& fill);

/// Host memory that a CUDA device's kernels can read, each byte over the bus as it is asked for. Freed with the last
/// copy of the pointer. Throws OutOfMemory, NotCompiled in builds without CUDA.
std::shared_ptr<std::byte> page_locked(const Device& device, std::size_t bytes);

/// Whether a CUDA device reads what lies at `memory` from the host, over the bus.
bool lies_on_host(const Device& device, const void* memory);

}  // namespace rtl::detail
