#include "rtl/kernels/dropout.hpp"

#include "kernels/backend/dropout.hpp"
#include "kernels/check.hpp"
#include "kernels/dispatch.hpp"

namespace rtl::kernels {

void dropout(const Device& device, ConstView x, double probability, std::uint64_t seed, std::uint64_t stream, View y) {
  check::dense_operands("dropout", device, {{"x", x}, {"y", y}});
  check::shape("dropout", {"y", y}, x.shape());
  check::value(probability >= 0 && probability < 1, "dropout",
               [&] { return fmt::format("the probability is {}, but must be in [0, 1)", probability); });
  if (y.count() == 0) return;
  RTL_DISPATCH(device, dropout(device, x, probability, seed, stream, y));
}

void uniform(const Device& device, double low, double high, std::uint64_t seed, std::uint64_t stream, View y) {
  check::dense_operands("uniform", device, {{"y", y}});
  if (y.count() == 0) return;
  RTL_DISPATCH(device, uniform(device, low, high, seed, stream, y));
}

void normal(const Device& device, double mean, double deviation, std::uint64_t seed, std::uint64_t stream, View y) {
  check::dense_operands("normal", device, {{"y", y}});
  if (y.count() == 0) return;
  RTL_DISPATCH(device, normal(device, mean, deviation, seed, stream, y));
}

}  // namespace rtl::kernels
