#include "core/branch.hpp"

#if RTL_WITH_CUDA
#include "core/cuda/context.hpp"
#endif

namespace rtl::detail {
namespace {

thread_local bool branching = false;

}  // namespace

bool in_branch() noexcept { return branching; }
BranchScope::BranchScope() noexcept { branching = true; }
BranchScope::~BranchScope() { branching = false; }

void beside([[maybe_unused]] const Device& device, const std::function<void()>& work) {
#if RTL_WITH_CUDA
  if (device.is_cuda()) return record_beside(device.context(), work);
#endif
  work();
}

void join([[maybe_unused]] const Device& device) {
#if RTL_WITH_CUDA
  if (device.is_cuda()) record_join(device.context());
#endif
}

}  // namespace rtl::detail
