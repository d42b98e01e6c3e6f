#include "rtl/kernels/dropout.hpp"

#include "kernels/backend/dropout.hpp"
#include "kernels/check.hpp"
#include "kernels/dispatch.hpp"

namespace rtl::kernels {

namespace {

void check_dropout(const Device& device, ConstView x, double probability, const Shape& shape, View y) {
  check::dense_layer_operands("dropout", device, {{"x", x}, {"y", y}});
  check::shape("dropout", {"y", y}, shape);
  check::value(probability >= 0 && probability < 1, "dropout",
               [&] { return fmt::format("the probability is {}, but must be in [0, 1)", probability); });
}

}  // namespace

void dropout(const Device& device, ConstView x, double probability, std::uint64_t seed, std::uint64_t stream, View y) {
  check_dropout(device, x, probability, x.shape(), y);
  if (y.count() == 0) return;
  RTL_DISPATCH(device, dropout(device, x, probability, seed, stream, y));
}

void dropout(const Device& device, ConstView x, double probability, std::uint64_t name, ConstView counters, View y) {
  check::on_device("dropout", device, {{"counters", counters}});
  const std::int64_t replicas = counters.rank() == 2 ? counters.extent(0) : 0;
  check::counters("dropout", device, counters, replicas);
  const bool shared = replicas > 0 && y.rank() == x.rank() + 1;
  check_dropout(device, x, probability, shared ? check::replicated(replicas, x.shape()) : x.shape(), y);
  if (replicas > 0 && !shared && (x.rank() == 0 || x.extent(0) != replicas)) {
    throw ShapeError(fmt::format("dropout: 'x' is {}; with counters of {} replicas it needs a leading axis of them",
                                 x.shape().to_string(), replicas));
  }
  if (y.count() == 0) return;
  RTL_DISPATCH(device, dropout(device, x, probability, name, counters, y));
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
