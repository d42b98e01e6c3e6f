// The order in which the CUDA emulator does what could be done in any.
#pragma once

#include <cstdlib>
#include <string>
#include <vector>

namespace rtl::test {

/// Sets RTL_EMULATION_ORDER for the length of a test.
class EmulationOrder {
 public:
  explicit EmulationOrder(const std::string& order) {
    const char* before = std::getenv("RTL_EMULATION_ORDER");
    before_ = before == nullptr ? "forward" : before;
    setenv("RTL_EMULATION_ORDER", order.c_str(), 1);
  }
  ~EmulationOrder() { setenv("RTL_EMULATION_ORDER", before_.c_str(), 1); }
  EmulationOrder(const EmulationOrder&) = delete;
  EmulationOrder& operator=(const EmulationOrder&) = delete;

 private:
  std::string before_;
};

inline const std::vector<std::string> emulation_orders = {"forward", "reverse", "shuffled:1", "shuffled:2",
                                                          "shuffled:3"};

}  // namespace rtl::test
