#include "kernels/backend/pointwise.hpp"

#include "kernels/cuda/elementwise.cuh"
#include "kernels/functors.hpp"
#include "kernels/repeated_byte.hpp"

namespace rtl::kernels::cuda {
namespace {

template <typename T>
struct Constant {
  T value;
  __device__ T operator()() const { return value; }
};

}  // namespace

void unary(const Device& device, UnaryOp op, ConstView x, View y) {
  functors::visit_floating(y.dtype(), [&](auto element) {
    using T = decltype(element);
    functors::visit(op, [&](auto functor) { map<T, T>(device, functor, y, x); });
  });
}

void binary(const Device& device, BinaryOp op, ConstView a, ConstView b, View y) {
  functors::visit_floating(y.dtype(), [&](auto element) {
    using T = decltype(element);
    functors::visit(op, [&](auto functor) { map<T, T, T>(device, functor, y, a, b); });
  });
}

void scale_add(const Device& device, double alpha, ConstView x, double beta, View y) {
  functors::visit_floating(y.dtype(), [&](auto element) {
    using T = decltype(element);
    const functors::ScaleAdd<T> functor{static_cast<T>(alpha), static_cast<T>(beta)};
    if (beta == 0) {
      map<T, T>(device, functor, y, x);
    } else {
      map<T, T, T>(device, functor, y, x, ConstView(y));
    }
  });
}

void fill(const Device& device, double value, View y) {
  functors::visit_any(y.dtype(), [&](auto element) {
    using T = decltype(element);
    const T filler = functors::convert<T>(value);
    if (const auto byte = repeated_byte(filler); byte && y.is_contiguous()) {
      return device.context().set(y.data(), *byte, y.bytes());
    }
    map<T>(device, Constant<T>{filler}, y);
  });
}

void add_relu(const Device& device, ConstView a, ConstView b, View y) {
  functors::visit_floating(y.dtype(), [&](auto element) {
    using T = decltype(element);
    map<T, T, T>(device, functors::AddRelu(), y, a, b);
  });
}

void relu_backward(const Device& device, ConstView y, ConstView dy, View dx) {
  functors::visit_floating(y.dtype(), [&](auto element) {
    using T = decltype(element);
    map<T, T, T>(device, functors::ReluBackward(), dx, y, dy);
  });
}

}  // namespace rtl::kernels::cuda
