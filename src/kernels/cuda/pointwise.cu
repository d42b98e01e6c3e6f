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
  functors::visit_activations(y.dtype(), [&](auto element) {
    using T = decltype(element);
    functors::visit(op, [&](auto functor) { map<T, T>(device, functors::on_elements<T>(functor), y, x); });
  });
}

void binary(const Device& device, BinaryOp op, ConstView a, ConstView b, View y) {
  functors::visit_activations(y.dtype(), [&](auto element) {
    using T = decltype(element);
    functors::visit(op, [&](auto functor) { map<T, T, T>(device, functors::on_elements<T>(functor), y, a, b); });
  });
}

void scale_add(const Device& device, double alpha, ConstView x, double beta, View y) {
  functors::visit_activations(y.dtype(), [&](auto element) {
    using T = decltype(element);
    using A = Arithmetic<T>;
    const functors::ScaleAdd<A> functor{static_cast<A>(alpha), static_cast<A>(beta)};
    if (beta == 0) {
      map<T, T>(device, functors::on_elements<T>(functor), y, x);
    } else {
      map<T, T, T>(device, functors::on_elements<T>(functor), y, x, ConstView(y));
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
  functors::visit_activations(y.dtype(), [&](auto element) {
    using T = decltype(element);
    map<T, T, T>(device, functors::on_elements<T>(functors::AddRelu()), y, a, b);
  });
}

void relu_backward(const Device& device, ConstView y, ConstView dy, View dx) {
  functors::visit_activations(y.dtype(), [&](auto element) {
    using T = decltype(element);
    map<T, T, T>(device, functors::on_elements<T>(functors::ReluBackward()), dx, y, dy);
  });
}

}  // namespace rtl::kernels::cuda
