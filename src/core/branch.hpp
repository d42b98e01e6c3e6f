// Work that a recording does beside other work.
#pragma once

#include <functional>

#include "rtl/core/device.hpp"

namespace rtl::detail {

/// Calls `work`. Where this thread captures (Context::capture), what that queues is recorded as a branch: behind all
/// that was recorded before, in turn with other branches, and beside all that is recorded until join() or the
/// recording's end. Elsewhere it is queued like any other. In a branch memory of the device cannot be taken, since what
/// runs beside it might be given the same; that throws CudaError.
void beside(const Device& device, const std::function<void()>& work);
/// What is recorded from here on is behind all branches.
void join(const Device& device);

/// Whether this thread records a branch.
bool in_branch() noexcept;

/// While it lives, this thread does.
class BranchScope {
 public:
  BranchScope() noexcept;
  ~BranchScope();
  BranchScope(const BranchScope&) = delete;
  BranchScope& operator=(const BranchScope&) = delete;
};

}  // namespace rtl::detail
