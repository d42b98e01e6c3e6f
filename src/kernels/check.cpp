#include "kernels/check.hpp"

#include <algorithm>
#include <array>

#include "rtl/kernels/step_state.hpp"

namespace rtl::kernels::check {

void on_device(std::string_view call, const Device& device, std::initializer_list<Named> views) {
  for (const Named& named : views) {
    if (!named.view.given()) {
      if (named.presence == Presence::optional) continue;
      throw DeviceError(fmt::format("{}: '{}' is missing; give it memory on {}", call, named.name, device.name()));
    }
    const detail::Context& context = *named.view.context();
    const bool fits = device.is_cuda() ? &context == &device.context() : context.kind() == DeviceKind::cpu;
    if (!fits) {
      throw DeviceError(fmt::format("{}: '{}' lives on {} {}, but the call runs on {}; move it with Tensor::to", call,
                                    named.name, context.kind() == DeviceKind::cpu ? "cpu" : "cuda", context.index(),
                                    device.name()));
    }
  }
}

void same_floating(std::string_view call, std::initializer_list<Named> views) {
  const Named& first = *views.begin();
  if (first.view.dtype() != DType::f32 && first.view.dtype() != DType::f64) {
    throw DTypeError(fmt::format("{}: '{}' is {}; f32 or f64 is needed (convert with cast)", call, first.name,
                                 name_of(first.view.dtype())));
  }
  for (const Named& named : views) dtype(call, named, first.view.dtype());
}

void operands(std::string_view call, const Device& device, std::initializer_list<Named> views) {
  on_device(call, device, views);
  same_floating(call, views);
}

void dense_operands(std::string_view call, const Device& device, std::initializer_list<Named> views) {
  operands(call, device, views);
  contiguous(call, views);
}

void activations_and_parameters(std::string_view call, std::initializer_list<Named> activations,
                                std::initializer_list<Named> parameters) {
  const Named& first = *activations.begin();
  const DType dtype = first.view.dtype();
  if (dtype != DType::f32 && dtype != DType::f64 && dtype != DType::bf16) {
    throw DTypeError(fmt::format("{}: '{}' is {}; f32, f64 or bf16 is needed (convert with cast)", call, first.name,
                                 name_of(dtype)));
  }
  for (const Named& named : activations) check::dtype(call, named, dtype);
  for (const Named& named : parameters) check::dtype(call, named, parameter_dtype(dtype));
}

void layer_operands(std::string_view call, const Device& device, std::initializer_list<Named> activations,
                    std::initializer_list<Named> parameters) {
  on_device(call, device, activations);
  on_device(call, device, parameters);
  activations_and_parameters(call, activations, parameters);
}

void dense_layer_operands(std::string_view call, const Device& device, std::initializer_list<Named> activations,
                          std::initializer_list<Named> parameters) {
  layer_operands(call, device, activations, parameters);
  contiguous(call, activations);
  contiguous(call, parameters);
}

void dtype(std::string_view call, const Named& view, DType wanted) {
  if (view.view.given() && view.view.dtype() != wanted) {
    throw DTypeError(fmt::format("{}: '{}' is {}, but {} is needed (convert with cast)", call, view.name,
                                 name_of(view.view.dtype()), name_of(wanted)));
  }
}

void shape(std::string_view call, const Named& view, const Shape& wanted) {
  if (view.view.given() && view.view.shape() != wanted) {
    throw ShapeError(fmt::format("{}: '{}' is {}, but {} is needed", call, view.name, view.view.shape().to_string(),
                                 wanted.to_string()));
  }
}

void shapes(std::string_view call, std::initializer_list<Named> views, const Shape& wanted) {
  for (const Named& named : views) shape(call, named, wanted);
}

void rank(std::string_view call, const Named& view, int wanted) {
  if (view.view.given() && view.view.rank() != wanted) {
    throw ShapeError(
        fmt::format("{}: '{}' is {}, but rank {} is needed", call, view.name, view.view.shape().to_string(), wanted));
  }
}

void contiguous(std::string_view call, std::initializer_list<Named> views) {
  for (const Named& named : views) {
    if (named.view.given() && !named.view.is_contiguous()) {
      throw ShapeError(fmt::format("{}: '{}' {} is strided; copy it to a contiguous tensor first", call, named.name,
                                   named.view.shape().to_string()));
    }
  }
}

void writable(std::string_view call, const Named& view) {
  if (view.view.count() == 0) return;
  for (int axis = 0; axis < view.view.rank(); ++axis) {
    if (view.view.extent(axis) > 1 && view.view.strides()[static_cast<std::size_t>(axis)] == 0) {
      throw ShapeError(fmt::format("{}: '{}' {} repeats its elements along axis {} and cannot be written; use a tensor",
                                   call, view.name, view.view.shape().to_string(), axis));
    }
  }
}

ConstView broadcast(std::string_view call, const Named& view, const Shape& shape) {
  try {
    return view.view.broadcast_to(shape);
  } catch (const ShapeError&) {
    throw ShapeError(fmt::format("{}: '{}' {} does not broadcast to {}", call, view.name, view.view.shape().to_string(),
                                 shape.to_string()));
  }
}

Shape replicated(std::int64_t replicas, const Shape& shape) {
  std::array<std::int64_t, Shape::max_rank + 1> extents{replicas};
  std::copy(shape.extents().begin(), shape.extents().end(), extents.begin() + 1);
  return Shape(std::span<const std::int64_t>(extents.data(), static_cast<std::size_t>(shape.rank()) + 1));
}

void counters(std::string_view call, const Device& device, ConstView counters, std::int64_t replicas) {
  const Named named{"counters", counters, optional};
  on_device(call, device, {named});
  if (!counters.given()) return;
  dtype(call, named, DType::i64);
  contiguous(call, {named});
  const Shape one{Counters::count};
  shape(call, named, replicas > 0 && counters.rank() == 2 ? replicated(replicas, one) : one);
}

void row_numbers(std::string_view call, const Device& device, ConstView rows, ConstView counters, std::int64_t replicas,
                 std::int64_t count) {
  const Named named{"rows", rows};
  on_device(call, device, {named});
  contiguous(call, {named});
  if (rows.dtype() != DType::i32 && rows.dtype() != DType::i64) {
    throw DTypeError(fmt::format("{}: 'rows' is {}; i32 or i64 is needed", call, name_of(rows.dtype())));
  }
  check::counters(call, device, counters, replicas);
  const bool stacked = replicas > 0 && rows.rank() == 2;
  rank(call, named, stacked ? 2 : 1);
  const bool whole_epoch = counters.given() && rows.extent(-1) >= count;
  const Shape one{whole_epoch ? rows.extent(-1) : count};
  shape(call, named, stacked ? replicated(replicas, one) : one);
}

void value(bool holds, std::string_view call, std::string_view fault) {
  if (!holds) throw ValueError(fmt::format("{}: {}", call, fault));
}

}  // namespace rtl::kernels::check
