// What a piece of work costs beside its arithmetic: requests to a device's memory pool, allocations on the host and
// waits for the device.
#pragma once

#include <cstddef>
#include <ostream>

#include "rtl/core/device.hpp"

namespace rtl::graph::test {

struct Counts {
  std::size_t requests = 0;             ///< to the pool of the device
  std::size_t host_allocations = 0;     ///< operator new, in our code, by any thread
  std::size_t library_allocations = 0;  ///< operator new, called by another shared library (oneDNN)
  std::size_t waits = 0;                ///< of the host for the device
  friend bool operator==(const Counts&, const Counts&) = default;
};

inline std::ostream& operator<<(std::ostream& out, const Counts& counts) {
  return out << counts.requests << " requests to the pool, " << counts.host_allocations << " allocations on the host, "
             << counts.library_allocations << " of other libraries, " << counts.waits << " waits";
}

/// Begins to count; one at a time.
class Counting {
 public:
  explicit Counting(const Device& device);
  ~Counting();
  Counting(const Counting&) = delete;
  Counting& operator=(const Counting&) = delete;
  /// Since the beginning.
  Counts counts() const;

 private:
  Device device_;
  MemoryStatistics before_;
};

}  // namespace rtl::graph::test
