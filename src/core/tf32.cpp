#include "rtl/core/tf32.hpp"

#include <atomic>

namespace rtl {
namespace {

/// What a context allows.
struct AllowedPrecision {
  explicit AllowedPrecision(detail::Context&) {}
  std::atomic<bool> tf32 = false;
};

}  // namespace

void allow_tf32(const Device& device, bool allowed) { device.context().resource<AllowedPrecision>().tf32 = allowed; }

bool tf32_allowed(const Device& device) {
  return device.is_cuda() && device.context().resource<AllowedPrecision>().tf32;
}

}  // namespace rtl
