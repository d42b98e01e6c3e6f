// Calls of kernels that must be refused, and what the error must say.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "rtl/core/error.hpp"
#include "rtl/core/tensor.hpp"
#include "support/devices.hpp"

namespace rtl::kernels {

/// Makes zeroed tensors and keeps them for the duration of a test.
class Operands {
 public:
  explicit Operands(const Device& device) : device(device) {}
  View operator()(const Shape& shape, DType dtype = DType::f32) {
    kept_.push_back(Tensor::zeros(shape, dtype, device));
    return kept_.back().view();
  }
  /// A matrix whose rows are not next to each other.
  View strided(std::int64_t rows, std::int64_t columns) { return (*this)({rows, columns + 1}).slice(1, 0, columns); }

  const Device device;

 private:
  std::vector<Tensor> kept_;
};

struct Fault {
  const char* call;
  const char* kind;
  const char* fault;
  std::function<void(Operands&)> run;
};

inline std::string kind_of(const Error& error) {
  if (dynamic_cast<const ShapeError*>(&error) != nullptr) return "ShapeError";
  if (dynamic_cast<const DTypeError*>(&error) != nullptr) return "DTypeError";
  if (dynamic_cast<const DeviceError*>(&error) != nullptr) return "DeviceError";
  return dynamic_cast<const ValueError*>(&error) != nullptr ? "ValueError" : "another Error";
}

inline void expect_faults(std::span<const Fault> faults) {
  for (const Device& device : test::devices()) {
    for (const Fault& fault : faults) {
      SCOPED_TRACE(fmt::format("{} {} on {}", fault.call, fault.fault, device.name()));
      Operands operands(device);
      try {
        fault.run(operands);
        ADD_FAILURE() << "nothing was thrown";
      } catch (const Error& error) {
        EXPECT_EQ(kind_of(error), fault.kind) << error.what();
        EXPECT_NE(std::string(error.what()).find(fault.fault), std::string::npos) << error.what();
        EXPECT_EQ(std::string(error.what()).find(fault.call), 0u) << error.what();
      }
    }
  }
}

}  // namespace rtl::kernels
